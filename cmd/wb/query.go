package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/table"
	"wb/store"
	"wb/viz"
	"wb/viz/output"
)

type queryOptions struct {
	db, runs, format, out, text, dir string
	set                              []string
	list, wide                       bool
	timeout                          time.Duration
}

func newQuery(stdout, stderr io.Writer) *cobra.Command {
	var o queryOptions
	cmd := &cobra.Command{
		Use:   "query [NAME | FILE.sql]",
		Short: "Run a saved query, or SQL, over the history",
		Long: `Run a query over the history: a built-in report by its name, a .sql file, or SQL from the command line.

--runs chooses the runs: latest, latest~1, last:3, all, an id or its beginning, a name, tag:KEY=VALUE, plan:NAME (the runs of the
plan's newest execution), or several of these with commas between them.`,
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
	f.StringVar(&o.runs, "runs", "", "`selector` of the runs (default: the query's, usually latest)")
	f.StringArrayVar(&o.set, "set", nil, "set a variable of the query, `name=value`; can be repeated")
	o.outputFlags(cmd)
	f.StringVarP(&o.text, "command", "c", "", "run this `SQL`")
	f.StringVar(&o.dir, "queries", os.Getenv("WB_QUERIES"),
		"`directory` of .sql files, which are found before the built-in reports (default $WB_QUERIES)")
	f.BoolVar(&o.list, "list", false, "list the saved queries by group, with the question that each answers")
	usual := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, a []string) { // of a saved query, or of the command
		if names := cmd.Flags().Args(); len(names) == 1 {
			if q, err := (queries.Library{Dir: o.dir}).Find(names[0]); err == nil {
				fmt.Fprint(stdout, q.Help(self()))
				return
			}
		}
		usual(cmd, a)
	})
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "stop the query after this time; 0 sets no limit")
	return cmd
}

func (o *queryOptions) outputFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	f.BoolVar(&o.wide, "wide", false, "show all columns and whole texts, even if they are wider than the terminal")
	f.StringVarP(&o.out, "out", "o", "", "write to this `file` instead of standard output; without --format its ending chooses the format")
}

// endings maps further endings of output files to formats. The name of each format is an ending, too.
var endings = map[string]string{"txt": "table", "markdown": "md", "jsonl": "ndjson", "htm": "html"}

// chooseFormat takes the format from the ending of the output file, unless --format names one. It refuses an unknown format.
func (o *queryOptions) chooseFormat(cmd *cobra.Command) error {
	ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(o.out), "."))
	switch known := cmp.Or(endings[ext], ext); {
	case cmd.Flags().Changed("format"):
	case slices.Contains(viz.Formats(), known):
		o.format = known
	case ext != "" && o.out != standardOutput:
		err := usagef("flag --out: unknown ending .%s; known are %s", ext, strings.Join(viz.Formats(), ", "))
		return plain.WithHint(err, "with --format the file can have any ending")
	}
	if !slices.Contains(viz.Formats(), o.format) {
		return usagef("flag --format: unknown format %q; known are %s", o.format, strings.Join(viz.Formats(), ", "))
	}
	return nil
}

// standardOutput stands for standard output where the name of a file is expected.
const standardOutput = "-"

func (o *queryOptions) run(ctx context.Context, name string, stdout, stderr io.Writer) error {
	lib := queries.Library{Dir: o.dir}
	set, err := queries.ParseSettings(o.set)
	if err != nil {
		return plain.Mistake(fmt.Errorf("flag --set: %w", err))
	}
	switch {
	case o.list && (name != "" || o.text != ""):
		return usagef("flag --list: cannot be used with a query")
	case o.list:
		return o.printList(stdout, stderr, lib)
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
				return plain.WithHint(err, "use -c to run SQL from the command line")
			}
			return err
		}
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, queries.TooLong{Limit: o.timeout})
		defer cancel()
	}
	var opened atomic.Pointer[store.DB]
	defer queries.LimitMemory(ctx, func(why error) {
		if why == nil {
			why = stopped(ctx, "query")
		}
		if db := opened.Load(); db != nil {
			_ = db.Abandon() // what cannot be removed now is removed when the file is opened next
		}
		os.Exit(reportError(stderr, why))
	})()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // most memory is kept until it is printed
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

// printList prints the saved queries: by group for people, and as one table for programs.
func (o *queryOptions) printList(stdout, stderr io.Writer, lib queries.Library) error {
	if slices.Contains([]string{"table", "md", "html"}, o.format) {
		tables, err := lib.GroupedList()
		if err != nil {
			return err
		}
		return o.writePage(stdout, stderr, viz.Page{Title: "Reports", Tables: tables, Version: version, Wide: o.wide})
	}
	t, err := lib.List()
	if err != nil {
		return err
	}
	return o.write(stdout, stderr, t)
}

func (o *queryOptions) write(stdout, stderr io.Writer, t *table.Table) error {
	if o.format == "csv" || o.format == "ndjson" { // these formats have no place for notes
		for _, n := range slices.Concat(t.Answer, t.Missing, t.Notes) {
			fmt.Fprintf(stderr, "note: %s\n", n)
		}
	}
	return o.writePage(stdout, stderr, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version, Wide: o.wide})
}

func (o *queryOptions) writePage(stdout, stderr io.Writer, page viz.Page) error {
	if o.out == "" || o.out == standardOutput {
		return output.Render(stdout, o.format, page)
	}
	for _, p := range []string{o.db, o.db + ".wal"} {
		if plain.SameFile(p, o.out) {
			return usagef("flag --out: %s is the history itself", o.out)
		}
	}
	if err := output.WritePage(o.out, o.format, page); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %s\n", o.out)
	return nil
}

// stopped makes the error of a query that was stopped by --timeout or by Ctrl-C.
func stopped(ctx context.Context, what string) error {
	if long := (queries.TooLong{}); errors.As(context.Cause(ctx), &long) {
		return fmt.Errorf("%s: %w", what, long)
	}
	return fmt.Errorf("%s: %w", what, bench.ErrInterrupted)
}
