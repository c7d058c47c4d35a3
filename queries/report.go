package queries

import (
	"context"
	"fmt"

	"wb/store"
)

// reportQueries is the order of a report: overview first, evidence last.
var reportQueries = []string{"run_overview", "conversation_summary", "run_differences", "cache_hit_by_turn", "cache_ideal_vs_achieved", "cache_miss_causes", "first_divergence", "rag_placement", "ttft_cold_vs_cached", "ttft_by_turn", "ttft_split", "ttft_by_context",
	"context_growth", "itl_percentiles", "throughput_by_run", "stalls", "gpu_timeline", "memory_peaks", "energy_by_conversation", "server_startup",
	"cache_counters_agree", "failed_turns", "run_events", "turn_details"}

// Report runs the saved queries of a report over the selected runs. Tables without rows are left out and named in empty.
func Report(ctx context.Context, db *store.DB, lib Library, selector string) (tables []*Table, empty []string, err error) {
	for _, name := range reportQueries {
		q, err := lib.Find(name)
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
	if len(tables) == 0 {
		return nil, nil, fmt.Errorf("report runs %q: nothing to show", selector)
	}
	return tables, empty, nil
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
		q := AdHoc(s.text)
		q.Name, q.File, q.Title, q.Vars = s.name, s.name, s.title, []Var{{Name: RunsVar, Default: "latest"}}
		t, err := q.Run(ctx, db, Options{Runs: selector})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
