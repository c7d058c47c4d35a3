package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wb/queries"
	"wb/queries/compare"
	"wb/queries/table"
	"wb/store"
)

// metrics gives the metrics that a report compares.
func metrics() []string {
	return []string{"ttft", "tpot", "itl_p99", "e2e", "hit_ratio", "j_per_token", "peak_mem"}
}

// Margin is the change that does not matter in the comparison of a report.
const Margin = 0.02

// compareAll compares each run with one of them, in one table with one row per run and metric. It gives nil for a single run.
func compareAll(ctx context.Context, db *store.DB, runs []table.RunRef, base string) (*table.Table, error) {
	if len(runs) < 2 {
		if base != "" {
			return nil, errors.New("compare with a base: only one run is selected")
		}
		return nil, nil
	}
	candidates := runs
	if base != "" {
		one, err := baseOf(ctx, db, runs, base)
		if err != nil {
			return nil, err
		}
		candidates = []table.RunRef{one}
	}
	for _, first := range candidates { // a run without a measured turn cannot be the base
		a, err := compareWith(ctx, db, first, runs)
		if err != nil {
			return nil, err
		}
		if a.compared > 0 {
			return a.table(runs), nil
		}
	}
	return nil, nil
}

// baseOf finds the run that the selector base means.
func baseOf(ctx context.Context, db *store.DB, runs []table.RunRef, base string) (one table.RunRef, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return one, fmt.Errorf("compare with %s: %w", base, err)
	}
	defer conn.Close()
	named, err := queries.Select(ctx, conn, base)
	if err != nil {
		return one, err
	}
	found := slices.DeleteFunc(slices.Clone(runs), func(r table.RunRef) bool { return !slices.Contains(named, r) })
	switch len(found) {
	case 0:
		return one, fmt.Errorf("compare with %s: it is not one of the %d runs", base, len(runs))
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, r := range found {
		ids = append(ids, r.ID[:8])
	}
	return one, fmt.Errorf("compare with %s: it may be any of %d runs; give the start of one's id: %s",
		base, len(ids), strings.Join(ids, ", "))
}

// mostMissing is how many commands a report names, at most, that would record what its answers lack.
const mostMissing = 2

// against is the comparisons of several runs with one of them.
type against struct {
	first    table.RunRef
	head     string       // name of the last run that was compared
	one      *table.Table // the first of the comparisons
	rows     [][]any
	compared int
	answers  []string            // of each comparison, in words
	missing  []string            // commands that would record what they lack, each once
	notSame  [][2]string         // names of runs, and how the server of each differs from that of the first
	notes    []string            // in the order in which they came
	whose    map[string][]string // names of the runs whose comparison has a note
}

// compareWith compares all other runs with the first. Those without a measured turn are left out.
func compareWith(ctx context.Context, db *store.DB, first table.RunRef, runs []table.RunRef) (*against, error) {
	a := &against{first: first, whose: map[string][]string{}}
	for _, head := range runs {
		if head.ID == first.ID {
			continue
		}
		r, err := compare.Run(ctx, db, compare.Comparison{Base: first.ID, Head: head.ID, Metrics: metrics(), Margin: Margin})
		if errors.Is(err, compare.ErrNothingMeasured) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.add(head.Name, r)
	}
	return a, nil
}

// add adds the comparison of one run.
func (a *against) add(name string, r *compare.Result) {
	t := r.Table()
	answer := r.Answer()
	a.answers = append(a.answers, name+": "+answer.Line)
	for _, command := range answer.Commands {
		if !slices.Contains(a.missing, command) {
			a.missing = append(a.missing, command)
		}
	}
	if a.one == nil {
		a.one = t
	}
	for i, row := range t.Rows {
		// a metric that was not measured has no row
		if r.Verdicts[i].Sessions > 0 || r.Verdicts[i].Outcome == compare.NotCompared {
			a.rows = append(a.rows, slices.Concat([]any{name}, row))
		}
	}
	for _, n := range t.NotSame {
		a.notSame = append(a.notSame, [2]string{name, n})
	}
	a.compared++
	a.head = name
	for _, n := range t.Notes {
		if a.whose[n] == nil {
			a.notes = append(a.notes, n)
		}
		a.whose[n] = append(a.whose[n], name)
	}
}

// table joins the comparisons in one table, without the columns that are the same in every row.
func (a *against) table(runs []table.RunRef) *table.Table {
	t := &table.Table{
		Name: comparison, Title: "Against " + a.first.Name, About: a.one.About, SQL: a.one.SQL, Runs: runs, Rows: a.rows,
		Columns: slices.Concat([]table.Column{{Name: "run"}}, a.one.Columns), Charts: []table.Chart{compare.Chart("metric", "run")},
		Answer: a.answers, Missing: a.missing,
	}
	if len(t.Missing) > mostMissing { // commands for more runs than a person records again one by one
		t.Missing = nil
	}
	if len(t.Answer) == 1 { // the title has the name of the run
		t.Answer = []string{strings.TrimPrefix(t.Answer[0], a.head+": ")}
	}
	for _, n := range a.notSame {
		if a.compared == 1 {
			t.NotSame = append(t.NotSame, n[1])
		} else {
			t.NotSame = append(t.NotSame, n[0]+": "+n[1])
		}
	}
	for _, n := range a.notes {
		t.Notes = append(t.Notes, a.note(n))
	}
	for _, column := range []string{"group", "compared"} {
		t.Columns, t.Rows = t.Without(column)
	}
	return t
}

// note adds to a note which runs it is about, unless it is about all runs or names one of them itself.
func (a *against) note(n string) string {
	whose := a.whose[n]
	named := strings.Contains(n, a.first.Name) || slices.ContainsFunc(whose, func(name string) bool { return strings.Contains(n, name) })
	if named || len(whose) == a.compared {
		return n
	}
	return strings.Join(whose, ", ") + ": " + n
}
