package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"wb/data/plain"
	"wb/queries"
	wbreport "wb/queries/report"
	"wb/queries/table"
	"wb/store"
	"wb/viz"
	"wb/viz/output"
)

type queryOptions struct {
	db, runs, format, out, text, dir string
	set                              []string
	list                             bool
	timeout                          time.Duration
}

func newQuery(stdout, stderr io.Writer) *cobra.Command {
	var o queryOptions
	cmd := &cobra.Command{
		Use:   "query [NAME | FILE.sql]",
		Short: "Run a saved query over the history",
		Long: `Run a saved query (a built-in report by name, or a .sql file) or SQL from the command line over the history.

Runs are chosen with --runs: latest, latest~1, last:3, all, an id or its start, a name, tag:KEY=VALUE, plan:NAME (the runs of its newest execution), or several with commas.`,
		Example: `  wb query cache_hit_by_turn
  wb query ttft_by_turn --runs last:2 --format html -o ttft.html
  wb query stalls --set factor=3 --format csv
  wb query -c "SELECT conversation, count(*) FROM turns GROUP BY ALL"`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			name := ""
			if len(a) == 1 {
				name = a[0]
			}
			if err := o.chooseFormat(cmd); err != nil {
				return err
			}
			return o.run(cmd.Context(), name, stdout, stderr)
		},
	}
	f := cmd.Flags()
	historyFlag(cmd, &o.db)
	f.StringVar(&o.runs, "runs", "", "which `runs` (default: what the query says, usually latest)")
	f.StringArrayVar(&o.set, "set", nil, "set a variable of the query, `name=value`; may be repeated")
	o.outputFlags(cmd)
	f.StringVarP(&o.text, "command", "c", "", "run this `SQL`")
	f.StringVar(&o.dir, "queries", os.Getenv("WB_QUERIES"), "`directory` of .sql files that go before the built-in reports (default $WB_QUERIES)")
	f.BoolVar(&o.list, "list", false, "list the saved queries")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end the query after so long; 0: never")
	return cmd
}

func (o *queryOptions) outputFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", ")+"; -o FILE.html and the like choose by themselves")
	f.StringVarP(&o.out, "out", "o", "", "write to this `file` instead of standard output; its ending chooses the format")
}

// endings are those of output files beside the names of the formats.
var endings = map[string]string{"txt": "table", "markdown": "md", "jsonl": "ndjson", "htm": "html"}

// chooseFormat takes the format from the ending of the output file unless one was asked for, and refuses one that there is not.
func (o *queryOptions) chooseFormat(cmd *cobra.Command) error {
	ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(o.out), "."))
	switch known := cmp.Or(endings[ext], ext); {
	case cmd.Flags().Changed("format"):
	case slices.Contains(viz.Formats(), known):
		o.format = known
	case ext != "" && o.out != standardOutput:
		err := usagef("flag --out: unknown ending .%s; known are %s", ext, strings.Join(viz.Formats(), ", "))
		return plain.WithHint(err, "--format says what to write into a file of another name")
	}
	if !slices.Contains(viz.Formats(), o.format) {
		return usagef("flag --format: unknown format %q; known are %s", o.format, strings.Join(viz.Formats(), ", "))
	}
	return nil
}

// standardOutput is the name of standard output where a file is wanted.
const standardOutput = "-"

func (o *queryOptions) run(ctx context.Context, name string, stdout, stderr io.Writer) error {
	lib := queries.Library{Dir: o.dir}
	set := map[string]string{}
	for _, s := range o.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return usagef("flag --set: wants NAME=VALUE, not %q", s)
		}
		if k == queries.RunsVar {
			return usagef("flag --set: runs are chosen with --runs")
		}
		set[k] = v
	}
	switch {
	case o.list && (name != "" || o.text != ""):
		return usagef("flag --list: takes no query")
	case o.list:
		t, err := lib.List()
		if err != nil {
			return err
		}
		return o.write(stdout, stderr, t)
	case name == "" && o.text == "":
		return plain.WithHint(usagef("query: wants a name, a file or -c SQL"), "wb query --list shows the saved queries")
	case name != "" && o.text != "":
		return usagef("query: wants a name or -c SQL, not both")
	}
	q := queries.AdHoc(o.text)
	if name != "" {
		var err error
		if q, err = lib.Find(name); err != nil {
			if strings.ContainsAny(name, " \n") {
				return plain.WithHint(err, "-c runs SQL that is given in words")
			}
			return err
		}
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, tooLong{o.timeout})
		defer cancel()
	}
	var opened atomic.Pointer[store.DB]
	defer bounded(ctx, stderr, func() {
		if db := opened.Load(); db != nil {
			_ = db.Abandon() // what cannot be removed now is swept when the file is opened next
		}
	})()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // nearly all that is made is kept until it is printed
	db, err := openRead(ctx, o.db, stderr)
	if err != nil {
		return err
	}
	opened.Store(db)
	t, err := q.Run(ctx, db, queries.Options{Runs: o.runs, Set: set})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return stopped(ctx, "query "+q.File)
	case err != nil:
		return err
	}
	return o.write(stdout, stderr, t)
}

func (o *queryOptions) write(stdout, stderr io.Writer, t *table.Table) error {
	page := viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version}
	if o.format == "csv" || o.format == "ndjson" { // formats that are nothing but rows
		for _, n := range t.Notes {
			fmt.Fprintf(stderr, "note: %s\n", n)
		}
	}
	if o.out == "" || o.out == standardOutput {
		return output.Render(stdout, o.format, page)
	}
	for _, p := range []string{o.db, o.db + ".wal"} {
		if output.SameFile(p, o.out) {
			return usagef("flag --out: %s is the history itself", o.out)
		}
	}
	if err := output.WritePage(o.out, o.format, page); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %s\n", o.out)
	return nil
}

type reportOptions struct{ db, out, base string }

func newReport(stdout, stderr io.Writer) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report [SELECTOR]",
		Short: "Write the report of one or several runs: CSV, JSON, Markdown, HTML and system facts",
		Long: `Write the report of the selected runs (the latest by default). Several runs are compared with one of them, --base or the first, and their
Markdown is short: overview, comparison and what differs, to paste into a review.`,
		Example: `  wb report
  wb report plan:apc --base apc/enable-prefix-caching=false
  wb report baseline,candidate --out results`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			selector := "latest"
			if len(a) == 1 {
				selector = a[0]
			}
			ctx := cmd.Context()
			db, err := openRead(ctx, o.db, stderr)
			if err != nil {
				return err
			}
			files, err := writeReport(ctx, db, selector, o.base, o.out)
			if err = errors.Join(err, db.Close()); err != nil {
				return err
			}
			fmt.Fprintln(stdout, strings.Join(files, "\n"))
			return nil
		},
	}
	historyFlag(cmd, &o.db)
	cmd.Flags().StringVar(&o.out, "out", "results", "`directory` to write into; made when missing")
	cmd.Flags().StringVar(&o.base, "base", "", "`run` that others are compared with, by name or id (default: the first)")
	return cmd
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, plain.PathCause(err))
	}
	return nil
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileName makes the name of a run that of its files. Where another run could have the same ones, the id is in it, too.
func fileName(r table.RunRef) string {
	const longest = 80
	id := r.ID[:min(8, len(r.ID))]
	own := strings.TrimSuffix(r.Name, " "+id) // as the view runs tells those of one name apart
	name := strings.Trim(unsafeName.ReplaceAllString(own, "-"), "-.")
	if name == r.Name && len(name) <= longest && !strings.HasSuffix(name, systemFacts) {
		return name
	}
	return strings.TrimLeft(name[:min(len(name), longest)]+"-"+id, "-")
}

// systemFacts ends the name of the file with what is known of the machine.
const systemFacts = "_system"

// writeReport writes NAME.csv (one row per conversation), NAME.json, NAME.md, NAME.html and NAME_system.json.
func writeReport(ctx context.Context, db *store.DB, selector, base, dir string) ([]string, error) {
	tables, empty, err := wbreport.Tables(ctx, db, selector, base)
	if err != nil {
		return nil, err
	}
	sys, err := wbreport.System(ctx, db, selector)
	if err != nil {
		return nil, err
	}
	runs := tables[0].Runs
	name, title := fileName(runs[0]), "Run "+runs[0].Name
	if len(runs) > 1 {
		name, title = fmt.Sprintf("%s-and-%d-more", name, len(runs)-1), fmt.Sprintf("%d runs", len(runs))
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	page := viz.Page{Title: title, Tables: tables, Version: version}
	if len(empty) > 0 {
		page.Intro = []string{"Left out because they have no rows: " + strings.Join(empty, ", ") + "."}
	}
	summary := page
	for _, t := range tables {
		if t.Name == "conversation_summary" {
			summary.Tables = []*table.Table{t}
		}
	}
	if len(summary.Tables) != 1 { // every turn failed: there is nothing to sum up
		summary.Tables = tables[:1]
	}
	text := page
	if len(runs) > 1 { // to paste into a review
		text.Tables, text.Intro = slices.DeleteFunc(slices.Clone(tables), func(t *table.Table) bool { return !wbreport.Short(t) }), nil
		for i, t := range text.Tables {
			plain := *t
			plain.SQL = ""
			text.Tables[i] = &plain
		}
	}
	var files []string
	for _, x := range []struct {
		suffix, format string
		page           viz.Page
	}{{".csv", "csv", summary}, {".json", "json", page}, {".md", "md", text}, {".html", "html", page},
		{systemFacts + ".json", "json", viz.Page{Title: title, Tables: sys, Version: version}}} {
		p := filepath.Join(dir, name+x.suffix)
		if err := output.WritePage(p, x.format, x.page); err != nil {
			return nil, err
		}
		files = append(files, p)
	}
	return files, nil
}
