package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/queries/table"
	"wb/store"
	"wb/viz"
	"wb/viz/output"
)

// summarise prints the summary at the end and writes the report of --results.
func (s *invocation) summarise(ctx context.Context) error {
	var played []*bench.CellRun
	turns := 0
	for _, c := range s.Cells {
		if c.Progress != nil {
			c.Result.RunID, c.Result.Name = c.Progress.RunID, c.Progress.Name
			played = append(played, c)
			turns += c.Result.Turns
		}
	}
	if turns == 0 && !s.resume {
		return nil
	}
	var errs []error
	for _, c := range played {
		if (c.Users > 1 || c.Rate > 0) && c.Result.Status != "failed" {
			text, err := bench.BeyondSelftest(ctx, s.file, c.Progress.RunID)
			if errs = append(errs, err); text != "" {
				s.progress.warn(text)
			}
		}
	}
	if !s.quiet {
		if len(s.Cells) == 1 {
			errs = append(errs, s.summary(ctx, s.file, &played[0].Result))
			if s.Spec.Plan != "" && played[0].Result.Status != "ok" {
				fmt.Fprintf(s.stderr, "to resume it:\n  %s run --resume%s%s\n", self(), s.dbFlag(), s.pushFlag())
			}
		} else {
			errs = append(errs, s.planSummary(ctx, played))
		}
	}
	if s.results != "" {
		var ids []string
		for _, c := range played {
			ids = append(ids, c.Progress.RunID.String())
		}
		base := ""
		if len(ids) > 1 {
			base = ids[0]
		}
		files, err := writeReport(ctx, s.file, strings.Join(ids, ","), base, s.results)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !s.quiet {
			fmt.Fprintf(s.stderr, "report:\n  %s\n", strings.Join(files, "\n  "))
		}
	}
	return errors.Join(errs...)
}

// planSummary prints the table at the end of a plan, which compares every cell with the first.
func (s *invocation) planSummary(ctx context.Context, played []*bench.CellRun) error {
	cut := slices.ContainsFunc(played, func(c *bench.CellRun) bool { return c.Result.Status != "ok" && c.Result.Status != "" })
	metrics := []string{s.Spec.Metric}
	for _, m := range []string{"ttft", "tpot", "hit_ratio"} {
		if m != s.Spec.Metric {
			metrics = append(metrics, m)
		}
	}
	var ids []string
	for _, c := range played {
		ids = append(ids, c.Progress.RunID.String())
	}
	if cut { // an interrupted plan gets no verdict
		ids = ids[:1]
	}
	tables, found := compare.Narrow(ctx, s.file, ids, metrics, s.progress.warn)
	if len(tables) > 0 {
		if err := output.Render(s.stdout, "table", viz.Page{Tables: tables, Version: version}); err != nil {
			return err
		}
	}
	flag := s.dbFlag()
	fmt.Fprintf(s.stderr, "\nplan %s, recorded in %s:\n", s.Spec.Plan, s.db)
	since := ""
	if s.resume {
		since = " since it was resumed"
	}
	for _, c := range played {
		fmt.Fprintf(s.stderr, "  run %s: %s, %s%s\n", c.Result.Name, cmp.Or(c.Result.Status, "ok"), c.Result.TurnsText(), since)
	}
	if s.Spec.Text == calibration {
		s.noise(found)
	}
	if cut {
		fmt.Fprintf(s.stderr, "to resume it:\n  %s run --resume%s%s\n", self(), flag, s.pushFlag())
		return nil
	}
	base := ""
	if len(played) > 1 {
		base = " --base " + plain.Quote(played[0].Result.Name)
	}
	fmt.Fprintf(s.stderr, "to see more:\n  %s report plan:%s%s%s --out results\n", self(), s.Spec.Label(), base, flag)
	if len(played) > 1 {
		fmt.Fprintf(s.stderr, "  %s compare %s %s%s --by turn\n", self(), plain.Quote(played[0].Result.Name),
			plain.Quote(played[1].Result.Name), flag)
	}
	return nil
}

// summary prints the table at the end of a run, and commands that show more.
func (o *runOptions) summary(ctx context.Context, db *store.DB, res *bench.Result) error {
	q, err := queries.Builtin("conversation_summary")
	if err != nil {
		return err
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: res.RunID.String()})
	if err != nil {
		return err
	}
	t.Title, t.About = "Run "+res.Name, ""
	// the table must fit a terminal; the saved query has all columns
	for _, column := range []string{"run", "sessions", "completion_tokens", "energy_j", "warm_sessions"} {
		t.Columns, t.Rows = t.Without(column)
	}
	t.Charts = nil
	if err := output.Render(o.stdout, "table", viz.Page{Tables: []*table.Table{t}, Version: version}); err != nil {
		return err
	}
	if db.Present() != nil { // the file is gone, so that no command shows more; the error that follows says why
		fmt.Fprintf(o.stderr, "\nrun %s: %s, %s\n", res.Name, res.Status, res.TurnsText())
		return nil
	}
	flag := o.dbFlag()
	fmt.Fprintf(o.stderr, "\nrun %s: %s, %s, recorded in %s\n%s", res.Name, res.Status, res.TurnsText(), o.db, frozenText(res))
	if o.results == "" {
		fmt.Fprintf(o.stderr, "its results as files (results/*.csv, *.json, *.md, *.html, *_system.json):\n  %s report%s\n", self(), flag)
	}
	fmt.Fprintln(o.stderr, "to see more:")
	further := []string{"query cache_hit_by_turn" + flag, "query ttft_by_turn" + flag + " --format html -o ttft.html"}
	if res.Failed > 0 {
		further = append([]string{"query failed_turns" + flag}, further...)
	}
	for _, f := range append(further, "query --list") {
		fmt.Fprintf(o.stderr, "  %s %s\n", self(), f)
	}
	return nil
}

// frozenText warns of times that are doubtful, or is empty.
func frozenText(r *bench.Result) string {
	if r.Frozen == 0 {
		return ""
	}
	return fmt.Sprintf("warning: the machine kept wb from running %d times: times around those moments are not the server's "+
		"(%s query run_events)\n", r.Frozen, self())
}

// dbFlag gives the flag that names the file, for a command that is shown to the user. It is empty for the default file.
func (o *runOptions) dbFlag() string {
	if o.db == defaultDB {
		return ""
	}
	return " --db " + plain.Quote(o.db)
}

// pushFlag gives the flag that names the lake, for a command that goes on with a plan. It is empty if the name holds a secret.
func (o *runOptions) pushFlag() string {
	if o.push == "" || plain.Redact(o.push) != o.push {
		return ""
	}
	return " --push " + plain.Quote(o.push)
}

// noise prints what a calibration found.
func (s *invocation) noise(verdicts []compare.Verdict) {
	lines := compare.NoiseFound(verdicts)
	for _, line := range lines {
		s.line("%s", line)
	}
	switch {
	case len(lines) > 0:
		fmt.Fprintf(s.stderr, "%s compare shows it beside every change on this machine with the same server, model and number of users\n", self())
	case len(verdicts) > 0:
		fmt.Fprintln(s.stderr, "noise cannot be known from so few sessions: use a larger --repeat")
	}
}
