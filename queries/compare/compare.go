// Package compare says by how much runs differ, and whether the difference is more than chance.
//
// The database is read first (load.go). All that follows needs no database: which turns are compared with each other (pair.go), by how
// much they differ, with an interval (estimate.go), what that means (decide.go), how much equal runs differ (noise.go), and what else a
// reader must know (warn_*.go). The words are separate from the figures (words.go).
package compare

import (
	"context"
	"errors"
	"fmt"

	"wb/data/plain"
	"wb/queries/table"
	"wb/store"
)

// Comparison says what to compare with what.
type Comparison struct {
	Base, Head string // selectors
	Metrics    []string
	By         string  // "", turn, context or conversation
	Margin     float64 // differences within it do not matter; 0.02 for 2 %
}

// Result is the outcome of a comparison, with all the values that its texts are made from.
type Result struct {
	Comparison Comparison
	Base, Head Side
	Facts      Facts
	Verdicts   []Verdict // by group, "all" first, and within a group by metric, in the order of Comparison.Metrics
	Warnings   []Warning // what a reader of the verdicts must know

	warmth  warmth
	engines engines
	pairing pairing
	noiseOf string // day of the calibration that the noise comes from; "" for none
}

// ErrNothingMeasured is returned when a side has no turn that counts.
var ErrNothingMeasured = plain.WithHint(errors.New("no measured turn"),
	"wb query failed_turns --runs all shows what happened to its turns")

// Run compares two selections of runs. The unit of evidence is a session, which gives one value: the median over its turns of the
// quotient with the same turn of the other side. That needs equal prompt and output tokens in at least four of five turns. Otherwise
// sessions are compared without pairing, and a warning says so. If a side had several server processes and one of them served several
// sessions, the unit is the process: some processes are faster than others, so sessions of one process are not independent.
//
// If the sides have different engines, tokenisers or templates, turns are compared that were asked the same text, whatever their token
// counts. Metrics in tokens are compared only if the tokenisers are known to be the same; bytes of text per second are added in their
// place.
//
// An unknown metric or grouping, a selector that finds nothing and a run on both sides are errors. ErrNothingMeasured says that a side
// has no turn that counts.
func Run(ctx context.Context, db *store.DB, c Comparison) (*Result, error) {
	metrics, err := c.metrics()
	if err != nil {
		return nil, err
	}
	loaded := withBytes(metrics)
	base, head, err := loadSides(ctx, db, c, loaded)
	if err != nil {
		return nil, err
	}
	r := &Result{Comparison: c, Base: base, Head: head, warmth: warmthOf(base, head)}
	if err := r.meet(ctx, db); err != nil {
		return nil, err
	}
	if r.engines.apart && r.engines.tokenizer != alikeSame && timesTokens(metrics) {
		metrics = loaded
	}
	b, h, err := r.observed()
	if err != nil { // checked before anything else is read
		return nil, err
	}
	if r.Facts, err = loadFacts(ctx, db, r.Base, r.Head, metrics); err != nil {
		return nil, err
	}
	r.work(b, h, metrics)
	return r, nil
}

// meet finds out how the servers of both sides differ, and reads what was asked where turns are paired by it.
func (r *Result) meet(ctx context.Context, db *store.DB) error {
	if err := loadEngines(ctx, db, &r.Base, &r.Head); err != nil {
		return err
	}
	if r.engines = enginesOf(r.Base, r.Head); !r.engines.apart {
		return nil
	}
	return loadTexts(ctx, db, &r.Base, &r.Head)
}

// observed gives the turns of both sides that count, or ErrNothingMeasured where a side has none.
func (r *Result) observed() (base, head []observation, err error) {
	skip := r.warmth.skip
	base, head = observe(r.Base.Turns, r.Comparison.By, skip), observe(r.Head.Turns, r.Comparison.By, skip)
	for _, side := range []struct {
		selector string
		turns    int
	}{{r.Comparison.Base, len(base)}, {r.Comparison.Head, len(head)}} {
		if side.turns == 0 {
			return nil, nil, fmt.Errorf("compare runs: %s: %w", side.selector, ErrNothingMeasured)
		}
	}
	return base, head, nil
}

// work pairs, estimates and decides, and finds the warnings. It needs no database.
func (r *Result) work(base, head []observation, metrics []Metric) {
	if r.engines.apart {
		r.pairing = pairByText(base, head, r.engines.tokenizer)
	} else {
		r.pairing = pair(base, head)
	}
	r.Verdicts = decide(r.pairing, metrics, r.Comparison)
	r.foreign()
	r.noise(metrics)
	r.Warnings = warn(r, checks())
}

// foreign marks the verdicts of sides that cannot be compared. If only one is simulated, or one began warm and the other cold, there is
// no verdict.
func (r *Result) foreign() {
	none := r.Base.Simulated() != r.Head.Simulated() || r.warmth.apart
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		v.Foreign = none || r.pairing.strangers || r.pairing.otherTexts() || v.OtherLengths || v.Outcome == NotCompared
		if none && v.Outcome != NotCompared {
			v.Outcome, v.More = Inconclusive, 0
		}
	}
}

// Table gives the result for people.
func (r *Result) Table() *table.Table { return tableOf(r) }

// Narrow compares the first of some runs with each of the others, in tables that fit a terminal, and gives the verdicts of the last
// comparison. It passes the error of a failed comparison to warn.
func Narrow(ctx context.Context, db *store.DB, runs, metrics []string, warn func(string)) (tables []*table.Table, last []Verdict) {
	for _, head := range runs[1:] {
		r, err := Run(ctx, db, Comparison{Base: runs[0], Head: head, Metrics: metrics, Margin: 0.02})
		if err != nil {
			warn(err.Error())
			continue
		}
		t := r.Table()
		t.About, t.Charts = "", nil
		for _, column := range []string{"group", "p", "p_holm", "compared"} { // wb compare shows all columns
			t.Columns, t.Rows = t.Without(column)
		}
		tables, last = append(tables, t), r.Verdicts
	}
	return tables, last
}
