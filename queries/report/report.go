// Package report joins saved queries and the comparison of all runs in a report that is read from top to bottom. It is not part of
// queries, as it needs queries/compare, which needs queries.
package report

import (
	"context"
	"slices"

	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

// comparison is the place of the comparison of several runs in sections, and the name of its table.
const comparison = "compare"

// sections gives the order of a report: overview first, details last.
func sections() []string {
	return []string{
		"run_overview", "conversation_summary", comparison, "cache_hit_by_turn", "cache_ideal_vs_achieved", "cache_miss_causes",
		"first_divergence", "rag_placement", "ttft_cold_vs_cached", "ttft_by_turn", "ttft_split", "ttft_by_context",
		"context_growth", "itl_percentiles", "throughput_by_run", "load", "stalls", "gpu_timeline", "memory_peaks",
		"energy_by_conversation", "energy_by_turn", "server_startup", "roofline", "drift", "client_overhead", "fidelity",
		"run_differences", "cache_counters_agree", "failed_turns", "run_events", "turn_details",
	}
}

// Short says whether a table belongs in the short form of a report, for pasting into a review: overview, comparison, differences.
func Short(t *table.Table) bool {
	return slices.Contains([]string{"run_overview", "conversation_summary", comparison, "run_differences"}, t.Name)
}

// Tables runs the saved queries of a report over the selected runs. Tables without rows are left out and named in empty. Several runs are
// compared with one of them, base, or with the first when base is "". A selector that finds nothing, and a base that is not one of the
// runs, are errors.
func Tables(ctx context.Context, db *store.DB, selector, base string) (tables []*table.Table, empty []string, err error) {
	for _, name := range sections() {
		if name == comparison {
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
		q, err := queries.Builtin(name)
		if err != nil {
			return nil, nil, err
		}
		t, err := q.Run(ctx, db, queries.Options{Runs: selector})
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

// Conversations gives one row per conversation of the selected runs, with what the machine did while it was played: the CSV file of a
// report.
func Conversations(ctx context.Context, db *store.DB, selector string) (*table.Table, error) {
	q, err := queries.Builtin("conversation_metrics")
	if err != nil {
		return nil, err
	}
	return q.Run(ctx, db, queries.Options{Runs: selector})
}

// System gives the machine, GPUs, server and settings of the selected runs, for the *_system.json file of a report.
func System(ctx context.Context, db *store.DB, selector string) ([]*table.Table, error) {
	var out []*table.Table
	for _, s := range []struct{ name, title string }{
		{"hosts", "Host"},
		{"gpus", "GPUs"},
		{"engines", "Server"},
		{"servers", "Server starts"},
		{"settings", "Settings"},
	} {
		t, err := queries.Internal("system_"+s.name, s.name, s.title).Run(ctx, db, queries.Options{Runs: selector})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
