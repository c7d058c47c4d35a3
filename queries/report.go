package queries

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wb/store"
)

// reportQueries is the order of a report: overview first, evidence last. Of several runs, the comparison stands where it says so.
var reportQueries = []string{"run_overview", "conversation_summary", comparisonPlace, "cache_hit_by_turn", "cache_ideal_vs_achieved", "cache_miss_causes", "first_divergence", "rag_placement", "ttft_cold_vs_cached", "ttft_by_turn", "ttft_split", "ttft_by_context",
	"context_growth", "itl_percentiles", "throughput_by_run", "load", "stalls", "gpu_timeline", "memory_peaks", "energy_by_conversation", "energy_by_turn", "server_startup", "roofline", "drift", "client_overhead", "fidelity",
	"run_differences", "cache_counters_agree", "failed_turns", "run_events", "turn_details"}

// comparisonPlace is where the comparison of several runs goes.
const comparisonPlace = "compare"

// Short says whether a table of a report belongs into what people paste into a review: overview, comparison, what differs.
func Short(t *Table) bool {
	return slices.Contains([]string{"run_overview", "conversation_summary", comparisonPlace, "run_differences"}, t.Name)
}

// Report runs the saved queries of a report over the selected runs. Tables without rows are left out and named in empty. Several runs are compared with one
// of them, base, or with the first when base is "".
func Report(ctx context.Context, db *store.DB, selector, base string) (tables []*Table, empty []string, err error) {
	for _, name := range reportQueries {
		if name == comparisonPlace {
			t, err := compareAll(ctx, db, tables[0].Runs, base)
			if err != nil {
				return nil, nil, err
			}
			if t != nil {
				tables = append(tables, t)
			} else if len(tables[0].Runs) > 1 {
				empty = append(empty, name)
			}
			continue
		}
		q, err := Builtin(name)
		if err != nil {
			return nil, nil, err
		}
		t, err := q.Run(ctx, db, Options{Runs: selector})
		if err != nil {
			return nil, nil, err
		}
		if len(t.Rows) == 0 {
			empty = append(empty, name)
			continue
		}
		tables = append(tables, t)
	}
	return tables, empty, nil
}

// reportMetrics are those of a report's comparison.
var reportMetrics = []string{"ttft", "tpot", "itl_p99", "e2e", "hit_ratio", "j_per_token", "peak_mem"}

// compareAll holds each run against one of them, in one table with a run a row and metric; nil for a single run.
func compareAll(ctx context.Context, db *store.DB, runs []RunRef, base string) (*Table, error) {
	if len(runs) < 2 {
		if base != "" {
			return nil, errors.New("compare with a base: there is one run")
		}
		return nil, nil
	}
	candidates := runs
	if base != "" {
		conn, err := db.SQL().Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("compare with %s: %w", base, err)
		}
		defer conn.Close()
		named, err := Select(ctx, conn, base)
		if err != nil {
			return nil, err
		}
		candidates = slices.DeleteFunc(slices.Clone(runs), func(r RunRef) bool { return !slices.Contains(named, r) })
		switch len(candidates) {
		case 0:
			return nil, fmt.Errorf("compare with %s: it is not one of the %d runs", base, len(runs))
		case 1:
		default:
			var ids []string
			for _, r := range candidates {
				ids = append(ids, r.ID[:8])
			}
			return nil, fmt.Errorf("compare with %s: it may be any of %d runs; give the start of one's id: %s",
				base, len(ids), strings.Join(ids, ", "))
		}
	}
	var all *Table
	compared, whose, notes := 0, map[string][]string{}, []string{} // of which comparisons a note is
	for _, first := range candidates {                             // one without a measured turn is no base
		for _, head := range runs {
			if head.ID == first.ID {
				continue
			}
			t, verdicts, err := Compare(ctx, db, Comparison{Base: first.ID, Head: head.ID, Metrics: reportMetrics, Margin: 0.02})
			if errors.Is(err, ErrNothingMeasured) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if all == nil {
				all = &Table{Name: comparisonPlace, Title: "Against " + first.Name, About: t.About, SQL: t.SQL, Columns: slices.Concat([]Column{{Name: "run"}}, t.Columns),
					Charts: []Chart{{Kind: "interval", X: "metric", Y: []string{"change_ratio", "low_ratio", "high_ratio"}, Series: "run", Title: "Change with its 95 % interval"}}}
			}
			for i, row := range t.Rows {
				if verdicts[i].Sessions > 0 { // what was not measured is no row
					all.Rows = append(all.Rows, slices.Concat([]any{head.Name}, row))
				}
			}
			compared++
			for _, n := range t.Notes {
				if whose[n] == nil {
					notes = append(notes, n)
				}
				whose[n] = append(whose[n], head.Name)
			}
		}
		if all != nil {
			for _, n := range notes {
				if len(whose[n]) < compared && !strings.Contains(n, first.Name) && !slices.ContainsFunc(whose[n], func(name string) bool { return strings.Contains(n, name) }) {
					n = strings.Join(whose[n], ", ") + ": " + n
				}
				all.Notes = append(all.Notes, n)
			}
			break
		}
	}
	if all != nil {
		all.Runs = runs
		for _, column := range []string{"group", "label"} { // the same in every row
			all.Columns, all.Rows = all.Without(column)
		}
	}
	return all, nil
}

// system is what was known of machine, server and settings, for the *_system.json file of a report.
var system = []struct{ name, title, text string }{
	{"hosts", "Host", "SELECT r.run, h.* FROM raw.host h JOIN selected_runs r USING (run_id) ORDER BY r.started_at"},
	{"gpus", "GPUs", "SELECT r.run, g.* FROM raw.gpu g JOIN selected_runs r USING (run_id) ORDER BY r.started_at, g.gpu"},
	{"engines", "Server", "SELECT r.run, e.* FROM raw.engine e JOIN selected_runs r USING (run_id) ORDER BY r.started_at"},
	{"servers", "Server starts", "SELECT s.* EXCLUDE (run_id) FROM server_starts s WHERE s.run_id IN (SELECT run_id FROM selected_runs) ORDER BY s.run, s.start_id"},
	{"settings", "Settings", "SELECT r.run, s.source, s.name, s.value FROM raw.setting s JOIN selected_runs r USING (run_id) ORDER BY r.started_at, s.source, s.name"},
}

// System gives the machine, GPUs, server and settings of the selected runs.
func System(ctx context.Context, db *store.DB, selector string) ([]*Table, error) {
	var out []*Table
	for _, s := range system {
		q := Query{Name: s.name, File: s.name, Title: s.title, Vars: []Var{{Name: RunsVar, Default: "latest"}}, SQL: s.text, builtin: true}
		t, err := q.Run(ctx, db, Options{Runs: selector})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
