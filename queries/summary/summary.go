// Package summary makes what is said when a run or a plan has ended: a table that fits a terminal, and commands that show more.
// It must not know how runs are played, nor how a table is printed.
package summary

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/queries/table"
	"wb/store"
)

// Run is a run that has ended.
type Run struct {
	ID, Name, Status string
	Turns            string // how many were played and failed, in words
	Played, Failed   int    // turns
	Users            int    // that played at the same time; 0 where sessions began at a rate
	Frozen           int    // how often the machine kept wb from running
}

// ok says whether the run was played to its end.
func (r Run) ok() bool { return r.Status == "" || r.Status == "ok" }

// Call is how wb was called. Its commands can be pasted into a shell.
type Call struct {
	Self   string // the name by which wb was called
	DB     string // the history, as it was given
	DBFlag string // " --db …", or empty where a command finds the history without it
	Push   string // " --push …", or empty
}

// Resume is the line that names the command which goes on with a plan.
func (c Call) Resume() string {
	return fmt.Sprintf("to resume it:\n  %s run --resume%s%s", c.Self, c.DBFlag, c.Push)
}

// Table gives the summary of a run by conversation. It has the columns that fit a terminal; the saved query has all of them.
func Table(ctx context.Context, db *store.DB, r Run) (*table.Table, error) {
	q, err := queries.Builtin("conversation_summary")
	if err != nil {
		return nil, err
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: r.ID})
	if err != nil {
		return nil, err
	}
	t.Title, t.About = "Run "+r.Name, ""
	for _, column := range []string{"run", "sessions", "completion_total_tokens", "energy_total_j", "warm_sessions"} {
		t.Columns, t.Rows = t.Without(column)
	}
	t.Charts = nil
	return t, nil
}

// WideRun is the command that shows all columns of Table.
func (c Call) WideRun() string { return c.Self + " query conversation_summary" + c.DBFlag + " --wide" }

// Lines says how a run ended, and which commands show more. reported says that its report is written already.
func (c Call) Lines(ctx context.Context, db *store.DB, r Run, reported bool) []string {
	if db.Present() != nil { // the file is gone, so that no command shows more; the error that follows says why
		return []string{fmt.Sprintf("run %s: %s, %s", r.Name, r.Status, r.Turns)}
	}
	lines := []string{fmt.Sprintf("run %s: %s, %s, recorded in %s", r.Name, r.Status, r.Turns, c.DB)}
	if r.Frozen > 0 {
		lines = append(lines, fmt.Sprintf("warning: the machine kept wb from running %s: times around those moments are not the server's "+
			"(%s query run_events%s)", plain.Count(r.Frozen, "time"), c.Self, c.DBFlag))
	}
	return append(append(lines, "to see more:"), c.aligned(c.hints(ctx, db, r, reported))...)
}

// Plan is a plan that has ended.
type Plan struct {
	Name, Label string // Label stands in the selector of its runs
	Metric      string // the most important one
	Calibration bool   // its runs are equal on purpose
	Resumed     bool
	Runs        []Run
}

// Cut says whether a run of the plan did not come to its end. Such a plan gets no verdict.
func (p *Plan) Cut() bool { return slices.ContainsFunc(p.Runs, func(r Run) bool { return !r.ok() }) }

// Compared compares every run of the plan with the first, in tables that fit a terminal.
func (p *Plan) Compared(ctx context.Context, db *store.DB, warn func(string)) ([]*table.Table, []compare.Verdict) {
	metrics := []string{p.Metric}
	for _, m := range []string{"ttft", "tpot", "hit_ratio"} {
		if m != p.Metric {
			metrics = append(metrics, m)
		}
	}
	var ids []string
	for _, r := range p.Runs {
		ids = append(ids, r.ID)
	}
	if p.Cut() {
		ids = ids[:1]
	}
	return compare.Narrow(ctx, db, ids, metrics, warn)
}

// WidePlan is the command that shows all columns of the tables of Compared.
func (c Call) WidePlan(p *Plan) string {
	head := "HEAD"
	if len(p.Runs) == 2 {
		head = plain.Quote(p.Runs[1].Name)
	}
	return fmt.Sprintf("%s compare %s %s%s --wide", c.Self, plain.Quote(p.Runs[0].Name), head, c.DBFlag)
}

// PlanLines says how the runs of a plan ended, what a calibration found, and which commands show more.
func (c Call) PlanLines(p *Plan, found []compare.Verdict) []string {
	lines := []string{fmt.Sprintf("plan %s, recorded in %s:", p.Name, c.DB)}
	since := ""
	if p.Resumed {
		since = " since it was resumed"
	}
	for _, r := range p.Runs {
		lines = append(lines, fmt.Sprintf("  run %s: %s, %s%s", r.Name, cmp.Or(r.Status, "ok"), r.Turns, since))
	}
	if p.Calibration {
		lines = append(lines, c.noise(found)...)
	}
	if p.Cut() {
		return append(lines, c.Resume())
	}
	base, several := "", len(p.Runs) > 1
	if several {
		base = " --base " + plain.Quote(p.Runs[0].Name)
	}
	lines = append(lines, "to see more:", fmt.Sprintf("  %s report plan:%s%s%s --out results", c.Self, p.Label, base, c.DBFlag))
	if several {
		lines = append(lines, fmt.Sprintf("  %s compare %s %s%s --by turn", c.Self, plain.Quote(p.Runs[0].Name),
			plain.Quote(p.Runs[1].Name), c.DBFlag))
	}
	return lines
}

// noise says what a calibration found.
func (c Call) noise(verdicts []compare.Verdict) []string {
	lines := compare.NoiseFound(verdicts)
	switch {
	case len(lines) > 0:
		return append(lines,
			c.Self+" compare shows it beside every change on this machine with the same server, model and number of users")
	case len(verdicts) > 0:
		return []string{"noise cannot be known from so few sessions: use a larger --repeat"}
	}
	return nil
}
