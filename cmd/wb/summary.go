package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/queries/summary"
	"wb/queries/table"
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
				s.progress.Warn(text)
			}
		}
	}
	if !s.quiet {
		if len(s.Cells) == 1 {
			errs = append(errs, s.runSummary(ctx, &played[0].Result))
			if s.Spec.Plan != "" && played[0].Result.Status != "ok" {
				fmt.Fprintln(s.stderr, s.call().Resume())
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
		files, err := writeReport(ctx, s.file, strings.Join(ids, ","), base, s.results, s.dbFlag())
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
	p := &summary.Plan{Name: s.Spec.Plan, Label: s.Spec.Label(), Metric: s.Spec.Metric, Calibration: s.Spec.Text == calibration,
		Resumed: s.resume}
	for _, c := range played {
		p.Runs = append(p.Runs, ended(&c.Result))
	}
	tables, found := p.Compared(ctx, s.file, s.progress.Warn)
	if len(tables) > 0 {
		if err := output.Render(s.stdout, "table", viz.Page{Tables: tables, Version: version, More: s.call().WidePlan(p)}); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.stderr, "\n%s\n", strings.Join(s.call().PlanLines(p, found), "\n"))
	return nil
}

// runSummary prints the table at the end of a run, and commands that show more.
func (s *invocation) runSummary(ctx context.Context, res *bench.Result) error {
	run := ended(res)
	run.Users = s.Cells[0].Users
	t, err := summary.Table(ctx, s.file, run)
	if err != nil {
		return err
	}
	page := viz.Page{Tables: []*table.Table{t}, Version: version, More: s.call().WideRun()}
	if err := output.Render(s.stdout, "table", page); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "\n%s\n", strings.Join(s.call().Lines(ctx, s.file, run, s.results != ""), "\n"))
	return nil
}

// ended is what the summary says of a run.
func ended(r *bench.Result) summary.Run {
	return summary.Run{ID: r.RunID.String(), Name: r.Name, Status: string(r.Status), Turns: r.TurnsText(), Played: r.Turns,
		Failed: r.Failed, Frozen: r.Frozen}
}

// call is how wb was called, for commands that are shown to the user.
func (o *runOptions) call() summary.Call {
	return summary.Call{Self: self(), DB: o.db, DBFlag: o.dbFlag(), Push: o.pushFlag()}
}

// dbFlag gives the flag that names the file, for a command that is shown to the user. It is empty where commands find the
// file without it.
func (o *runOptions) dbFlag() string {
	if o.db == defaultDB() {
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
