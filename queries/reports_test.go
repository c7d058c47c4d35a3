//go:build duckdb_arrow

package queries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/store"
)

func find(t testing.TB, name string) *Query {
	t.Helper()
	q, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// What each report answers with, column by column; the chart and the documents of a reader rely on the names.
var reportColumns = map[string]string{
	"cache_counters_agree":    "run conversation repeat turn prompt_tokens counter_query_tokens cached_tokens counter_hit_tokens external_hit_tokens difference_tokens agree server_requests",
	"cache_hit_by_turn":       "series run conversation variant turn turns prompt_tokens cached_tokens uncached_tokens hit_ratio documents warm_turns",
	"cache_ideal_vs_achieved": "series run conversation variant turn turns prompt_tokens cached_tokens block_ideal_tokens text_ideal_tokens hit_ratio block_ideal_ratio text_ideal_ratio as_predicted",
	"cache_miss_causes":       "turn run conversation variant turn_number cause tokens turns",
	"compare_turns":           "run_id run conversation variant nth turn prompt_tokens completion_tokens ttft_ms itl_p50_ms itl_p99_ms tpot_ms e2e_ms decode_tokens_per_s hit_ratio energy_per_token_j peak_memory_bytes process truncated buffered began_warm",
	"first_divergence":        "run conversation variant repeat turn cause recomputed_tokens message role at_character text_before text_now advice",
	"rag_placement":           "series run conversation placement phase turns prompt_tokens hit_ratio invalidated_tokens ttft_p50_ms checks checks_passed",
	"context_growth":          "series run conversation variant turn prompt_tokens completion_tokens messages documents max_model_len_tokens context_used_ratio",
	"conversation_summary":    "run conversation sessions turns longest_prompt_tokens completion_tokens hit_ratio ttft_p50_ms ttft_max_ms tpot_p50_ms decode_tokens_per_s busy_s energy_j warm_sessions",
	"energy_by_conversation":  "run conversation sessions energy_j idle_energy_j mean_power_w turn_energy_j completion_token_energy_j covered_ratio",
	"drift":                   "run metric turns autocorrelation drift_ratio drift_t temperature_correlation clock_correlation first_session_ratio remark",
	"energy_by_turn":          "turn run conversation variant turn_number turns e2e_mean_ms energy_j idle_energy_j completion_token_energy_j covered_ratio",
	"roofline":                "run conversation variant turn turns context_tokens step_tokens tpot_ms decode_limit_ms mbu_ratio prefill_tokens prefill_ms prefill_limit_ms mfu_ratio times_limit bound limits_of",
	"client_overhead":         "run turns read_delay_p50_ms read_delay_p99_ms read_delay_max_ms alone_ratio read_delay_alone_p99_ms added_p50_ms added_p99_ms cpu_cores gc_pause_ms rss_peak_bytes sampling_ratio during_scrapes scrape_max_ms frozen clock_steps buffer_full verdict",
	"fidelity":                "run streams pace_tokens_per_s turns ttft_true_ms ttft_error_mean_ratio ttft_error_p50_ratio ttft_error_p99_ratio itl_true_ms itl_error_mean_ratio itl_error_p50_ratio itl_error_p99_ratio itl_max_ms itl_true_max_ms load_kept_ratio kept_ratio bare_kept_ratio pause_p50_ms pause_p99_ms late_p99_ms bound_p99_ms completion_tokens client_cpu_s client_rss_peak_bytes",
	"fleet_overview":          "machine gpu model simulated runs turns last_started_at ttft_p50_ms ttft_p99_ms tpot_p50_ms decode_p50_tokens_per_s hit_ratio",
	"fleet_outliers":          "machine settings metric machines turns ms others_ms change_ratio",
	"regressions_over_time":   "series machine model gpu settings simulated day compared_turns ttft_change_ratio tpot_change_ratio engine_versions",
	"load":                    "run users sessions turns duration_s streams_mean turns_per_s completion_tokens_per_s ttft_p50_ms ttft_p90_ms ttft_p99_ms tpot_p50_ms tpot_p99_ms wait_p50_ms wait_p99_ms",
	"failed_turns":            "run conversation repeat turn status http_status error e2e_ms completion_tokens wall_time",
	"gpu_timeline":            "series run gpu elapsed_s power_w gpu_util_ratio memory_util_ratio sm_clock_mhz memory_used_bytes temperature_c sm_active_ratio tensor_active_ratio dram_active_ratio throttle_reasons",
	"itl_percentiles":         "run conversation counted_by gap_tokens itl_mean_ms itl_p50_ms itl_p90_ms itl_p95_ms itl_p99_ms gap_max_ms",
	"memory_peaks":            "run gpu_memory_peak_bytes host_memory_peak_bytes engine_rss_peak_bytes wb_rss_peak_bytes kv_cache_peak_ratio",
	"run_differences":         "source name first_run last_run other_values",
	"run_events":              "run elapsed_s kind source turn_id message",
	"run_overview":            "run status simulated engine model tags started_at duration_s turns failed_turns longest_prompt_tokens hit_ratio ttft_p50_ms ttft_max_ms tpot_p50_ms decode_p50_tokens_per_s events run_id",
	"run_settings":            "run source name value",
	"server_startup":          "start run start_id conversations status startup_s first_token_s first_ttft_ms import_s engine_s load_s compile_phase_s profile_s capture_s warm_s stop_s release_s kv_cache_size_tokens weights_bytes error",
	"stalls":                  "run conversation repeat turn seq elapsed_s gap_ms median_ms times_median wb_late_ms cpu_ratio gpu_util_min_ratio sm_clock_min_mhz throttle_reasons server_preemptions server_requests events",
	"throughput_by_run":       "run turns prompt_tokens cached_tokens completion_tokens busy_s completion_tokens_per_s decode_tokens_per_s prompt_tokens_per_s prefill_tokens_per_s",
	"ttft_by_context":         "series run conversation repeat turn prompt_tokens cached_tokens uncached_tokens ttft_ms",
	"ttft_by_turn":            "series run conversation variant turn turns ttft_p50_ms ttft_min_ms ttft_max_ms prompt_tokens uncached_tokens warm_turns",
	"ttft_cold_vs_cached":     "series run context_tokens cache turns prompt_tokens uncached_tokens ttft_p50_ms times_faster",
	"ttft_split":              "turn run conversation variant turn_number turns prompt_tokens uncached_tokens ttft_p50_ms queue_ms prefill_ms server_other_ms outside_ms",
	"turn_details":            "run conversation variant repeat warmup began_warm turn status error finish_reason prompt_tokens cached_tokens counter_hit_tokens hit_ratio completion_tokens ttft_ms tpot_ms decode_tokens_per_s e2e_ms server_queue_ms server_prefill_ms server_other_ms outside_ms server_decode_ms messages documents checks checks_passed wall_time run_id turn_id",
}

// How many rows each report has over the latest run, the last two and all.
var reportRows = map[string][3]int{
	"cache_counters_agree": {5, 5, 6}, "cache_hit_by_turn": {3, 3, 4}, "context_growth": {3, 3, 4}, "conversation_summary": {2, 2, 3}, "energy_by_conversation": {2, 2, 2},
	"drift": {1, 1, 1}, "energy_by_turn": {3, 3, 3}, "roofline": {3, 3, 4}, "client_overhead": {1, 1, 2}, "fidelity": {1, 1, 1}, "load": {1, 1, 2}, "failed_turns": {1, 2, 2}, "gpu_timeline": {10, 10, 10}, "itl_percentiles": {2, 2, 2}, "memory_peaks": {1, 2, 3}, "run_differences": {0, 3, 3}, "run_events": {2, 2, 2},
	"run_overview": {1, 2, 3}, "run_settings": {4, 7, 10}, "server_startup": {2, 2, 2}, "cache_ideal_vs_achieved": {3, 3, 3}, "cache_miss_causes": {5, 5, 5}, "first_divergence": {1, 1, 1}, "rag_placement": {1, 1, 1}, "compare_turns": {4, 4, 5}, "stalls": {1, 1, 1}, "throughput_by_run": {1, 1, 2}, "ttft_by_context": {4, 4, 5}, "ttft_by_turn": {3, 3, 4},
	"fleet_overview": {1, 2, 3}, "fleet_outliers": {0, 0, 0}, "regressions_over_time": {0, 0, 0},
	"ttft_cold_vs_cached": {4, 4, 5}, "ttft_split": {2, 2, 2}, "turn_details": {6, 7, 8},
}

func TestEveryReport(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	names, err := Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		q := find(t, name)
		for i, selector := range []string{"latest", "last:2", "all"} {
			tb, err := q.Run(ctx, db, Options{Runs: selector})
			if err != nil {
				t.Errorf("%s over %s: %v", name, selector, err)
				continue
			}
			var got []string
			for _, c := range tb.Columns {
				got = append(got, c.Name)
			}
			if s := strings.Join(got, " "); s != reportColumns[name] {
				t.Errorf("%s has columns %q, want %q", name, s, reportColumns[name])
			}
			if len(tb.Rows) != reportRows[name][i] {
				t.Errorf("%s over %s has %d rows, want %d:\n%s", name, selector, len(tb.Rows), reportRows[name][i], fixture.Text(t, tb))
			}
			if len(tb.Runs) != i+1 || tb.Simulated() != (selector == "all") {
				t.Errorf("%s over %s: runs %v, simulated %v", name, selector, tb.Runs, tb.Simulated())
			}
			// warm-up and failed turns have token counts that stand out
			if all := fixture.Text(t, tb); !slices.Contains([]string{"failed_turns", "turn_details", "cache_counters_agree", "compare_turns"}, name) && (strings.Contains(all, "8888") || strings.Contains(all, "9999") || strings.Contains(all, "7777")) {
				t.Errorf("%s over %s counts warm-up or failed turns:\n%s", name, selector, all)
			}
		}
	}
	if len(names) != len(reportColumns) {
		t.Errorf("%d reports, expectations for %d", len(names), len(reportColumns))
	}
}

func TestReportFigures(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	nothing := func(from, to int) (lines string) {
		for s := from; s <= to; s++ {
			lines += fmt.Sprintf("GPU 0 %d%s\n", s, strings.Repeat(" NULL", 8))
		}
		return lines
	}
	for _, c := range []struct {
		name, runs, columns, want string
	}{
		// turn 1 of qa: turns 2 and 4, of which only turn 2 (0 of 100) says what was cached; turn 2: 128/200
		{"cache_hit_by_turn", "latest", "series turn turns prompt_tokens cached_tokens uncached_tokens hit_ratio documents",
			"qa 1 2 220 0 100 0 0\nqa 2 1 200 128 72 0.64 0\nrag 1 1 500 NULL NULL NULL 2"},
		{"cache_hit_by_turn", "all", "series hit_ratio",
			"qa · base 0.5\nqa · " + fixture.Late + " 0\nqa · " + fixture.Late + " 0.64\nrag · " + fixture.Late + " NULL"},
		// turn 2: 1.1−1; turn 4 from submit, nothing being written: 3.3−3; turn 3: 2.05−2
		{"ttft_by_turn", "latest", "conversation turn turns ttft_p50_ms ttft_min_ms ttft_max_ms prompt_tokens uncached_tokens",
			"qa 1 2 200 100 300 110 100\nqa 2 1 50 50 50 200 72\nrag 1 1 200 200 200 500 NULL"},
		// tokens by gap: 5×20 1×240 4×15 (turn 2), 4×50 (turn 3): 14 tokens in 600 ms; sorted 15 15 15 15 20 20 20 20 20 50 50 50 50 240;
		// p90 at 11.7: 50; p95 at 12.35: 50+0.35·190; p99 at 12.87: 50+0.87·190
		{"itl_percentiles", "latest", "conversation counted_by gap_tokens itl_mean_ms itl_p50_ms itl_p90_ms itl_p95_ms itl_p99_ms gap_max_ms",
			"qa tokens 14 42.857 20 50 116.5 215.3 240\nrag events 2 200 200 200 200 200 200"},
		// e2e 511+261+310+600 ms; 26 tokens/1.682 s; 22 tokens after the first in 400+200+400 ms; 920 tokens in 100+50+300+200 ms;
		// 172 tokens to prefill in the 100+50 ms of the two turns that say so
		{"throughput_by_run", "latest", "turns prompt_tokens cached_tokens completion_tokens busy_s completion_tokens_per_s decode_tokens_per_s prompt_tokens_per_s prefill_tokens_per_s",
			"4 920 128 26 1.682 15.46 22 1415.4 1146.7"},
		// the eighth event came 240 ms after the one at 1.2 s, others of its turn after 20; wb was 250 ms late, GPU 0 at 900 MHz
		{"stalls", "latest", "conversation repeat turn seq elapsed_s gap_ms median_ms times_median wb_late_ms cpu_ratio gpu_util_min_ratio sm_clock_min_mhz throttle_reasons server_preemptions server_requests events",
			"qa 1 1 8 1.2 240 20 12 250 0.9 0.1 900 8 2 1 frozen"},
		// session 2: 100+200 J in 2 s, 2 turns, 16 tokens; session 3 had a failed turn; session 4: 300 J and half of 100, in 1.5 s, 9 tokens
		// idle: 60 W, the lowest reading
		{"energy_by_conversation", "latest", "conversation sessions energy_j idle_energy_j mean_power_w turn_energy_j completion_token_energy_j covered_ratio",
			"qa 1 300 120 150 150 18.75 1\nrag 1 350 90 233.33 350 38.8889 1"},
		// TTFT 100 and 50 ms against 300 and 300 of a server whose clock is not the client's; the two turns that were alone
		{"client_overhead", "latest", "turns added_p50_ms added_p99_ms rss_peak_bytes during_scrapes frozen clock_steps buffer_full verdict",
			"4 -225 -200.5 700 2 1 1 0 client and network added at most 0.0 ms at p99; wb did not run at times, and times around them are not the server's"},
		// true: 95 ms to the first token, then 50 and 50 ms; seen: 100 ms, 400 ms in 7 gaps, of which the median is 20
		{"fidelity", "latest", "turns ttft_true_ms ttft_error_mean_ratio itl_true_ms itl_error_mean_ratio itl_error_p50_ratio itl_max_ms itl_true_max_ms load_kept_ratio client_rss_peak_bytes",
			"1 95 0.05263 50 0.14286 -0.6 240 50 NULL 700"},
		// turn 1: 1 ms of 50 W, 510 ms of 100 W, and 310 ms of 100 W, 12 tokens; turn 2: 1 ms of 100 W and 260 ms of 200 W, 5 tokens
		{"energy_by_turn", "latest", "turn turns energy_j idle_energy_j completion_token_energy_j covered_ratio",
			"qa 1 2 41.03 24.63 6.8375 1\nqa 2 1 52.1 15.66 10.42 1\nrag 1 1 180 36 20 1"},
		// GPUs 20+7; the engine's two processes 6000+1000
		{"memory_peaks", "latest", "gpu_memory_peak_bytes host_memory_peak_bytes engine_rss_peak_bytes wb_rss_peak_bytes kv_cache_peak_ratio", "27 3000 7000 700 0.5"},
		{"memory_peaks", "last:2", "run gpu_memory_peak_bytes kv_cache_peak_ratio", fixture.Early + " NULL NULL\n" + fixture.Late + " 27 0.5"},
		// warm-up without scrapes; equal; 12 more hits than said; counters that went back; one that nobody said, two requests
		{"cache_counters_agree", "latest", "prompt_tokens counter_query_tokens cached_tokens counter_hit_tokens difference_tokens agree server_requests",
			"8888 NULL 8888 NULL NULL NULL NULL\n100 100 0 0 0 true 1\n200 200 128 140 12 false 1\n120 NULL NULL NULL NULL NULL NULL\n500 500 NULL 0 NULL NULL 2"},
		{"run_differences", "last:2", "source name first_run last_run other_values", "plan only (unset) x 0\nplan repeats 2 1 0\nengine version 0.2 0.3 0"},
		// repeats is 1, 2, 1: first and last agree and one other value stands between them
		{"run_differences", "all", "source name first_run last_run other_values", "plan only (unset) x 0\nplan repeats 1 1 1\nengine version 0.1 0.3 1"},
		// steps of half a second: means of 60 and 80 W, 0.5 and 1, 1000 and 1201 MHz; 1|4; then instant power before average power;
		// readings with energy only make steps of NULLs
		{"gpu_timeline", "latest", "series elapsed_s power_w gpu_util_ratio memory_util_ratio sm_clock_mhz memory_used_bytes temperature_c dram_active_ratio throttle_reasons",
			"GPU 0 0 70 0.75 NULL 1101 20 55 NULL 5\nGPU 0 1 250 0.1 NULL 900 NULL NULL NULL 8\n" + nothing(2, 8) + "GPU 1 0 NULL NULL NULL NULL 7 NULL 0.25 NULL"},
		// tpot 40, 50 (one token has none) and 50; decode 25, 20 and 20; hits 128 of the 300 tokens of turns that say
		{"conversation_summary", "latest", "conversation sessions turns longest_prompt_tokens completion_tokens hit_ratio ttft_p50_ms ttft_max_ms tpot_p50_ms decode_tokens_per_s busy_s energy_j",
			"qa 2 3 200 17 0.427 100 300 45 22.5 1.08 300\nrag 1 1 500 9 NULL 200 200 50 20 0.6 350"},
		// cold: 100 tokens in 100 ms; cached: 200 in 50 ms; unknown: 620 in 500 ms
		{"ttft_cold_vs_cached", "latest", "context_tokens cache turns prompt_tokens uncached_tokens ttft_p50_ms times_faster",
			"64 cold 1 100 100 100 1\n64 unknown 1 120 NULL 300 0.33\n128 cached 1 200 72 50 NULL\n256 unknown 1 500 NULL 200 NULL"},
		{"ttft_by_context", "latest", "series prompt_tokens uncached_tokens ttft_ms", "cold 100 100 100\nunknown 120 NULL 300\ncached 200 72 50\nunknown 500 NULL 200"},
		// (prompt + completion) of 1000: the longest of a turn
		{"context_growth", "latest", "conversation turn prompt_tokens completion_tokens messages documents context_used_ratio", "qa 1 120 11 2 0 0.121\nqa 2 200 5 4 0 0.205\nrag 1 500 9 2 2 0.509"},
		{"context_growth", "base", "prompt_tokens max_model_len_tokens context_used_ratio", "100 NULL NULL"},
		{"run_overview", "all", "run status simulated engine tags duration_s turns failed_turns longest_prompt_tokens hit_ratio ttft_p50_ms ttft_max_ms tpot_p50_ms decode_p50_tokens_per_s events run_id",
			"base ok true simulator 0.1 host=lab note=x=y 60 1 0 100 0.5 400 400 100 10 0 " + fixture.BaseID + "\n" +
				fixture.Early + " failed false vllm 0.2 host=attic 5 1 1 NULL NULL NULL NULL NULL NULL 0 " + fixture.EarlyID + "\n" +
				fixture.Late + " ok false vllm 0.3 host=lab 10 5 1 500 0.4267 150 300 50 20 2 " + fixture.LateID},
		{"failed_turns", "all", "run turn status error e2e_ms completion_tokens", fixture.Early + " 1 http_error NULL 2000 77\n" + fixture.Late + " 2 cut the stream ended early 1590 99"},
		{"run_events", "latest", "elapsed_s kind source", "1.6 frozen sampler\n5 clock_step sampler"},
		{"run_settings", "latest", "source name value", "plan only x\nplan repeats 1\nengine version 0.3\ncache_config block_size 16"},
		{"turn_details", "latest", "turn_id warmup status hit_ratio ttft_ms tpot_ms server_prefill_ms",
			"1 true ok 1 900 1.034 NULL\n2 false ok 0 100 40 250\n3 false ok 0.64 50 50 250\n4 false ok NULL 300 NULL NULL\n5 false cut 1 1500 0.918 NULL\n6 false ok NULL 200 50 NULL"},
	} {
		tb, err := find(t, c.name).Run(ctx, db, Options{Runs: c.runs})
		if err != nil {
			t.Errorf("%s over %s: %v", c.name, c.runs, err)
			continue
		}
		if got := fixture.Text(t, tb, strings.Fields(c.columns)...); got != c.want {
			t.Errorf("%s over %s:\n%s\nwant\n%s", c.name, c.runs, got, c.want)
		}
	}
}

// Variables move the figures: a wider bucket, a lower bar for stalls.
func TestReportVariables(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	for _, c := range []struct {
		name string
		set  map[string]string
		rows int
	}{
		{"gpu_timeline", map[string]string{"bucket_s": "100"}, 2}, {"stalls", map[string]string{"factor": "2.5"}, 2}, {"stalls", map[string]string{"factor": "2.5", "min_ms": "60"}, 1},
		{"stalls", map[string]string{"min_ms": "240"}, 0},
	} {
		tb, err := find(t, c.name).Run(ctx, db, Options{Set: c.set})
		if err != nil || len(tb.Rows) != c.rows {
			t.Errorf("%s with %v: %v (%v), want %d rows", c.name, c.set, tb, err, c.rows)
		}
	}
}

// A report read in the DuckDB shell, no variable set, says what wb says with its defaults.
func TestPlainSQLIsTheDefault(t *testing.T) {
	ctx := context.Background()
	p := fixture.Path(t)
	db := fixture.Record(t, p, fixture.Fill)
	names, err := Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, name := range names {
		q := find(t, name)
		if i := slices.IndexFunc(q.Vars, func(v Var) bool { return v.Name == RunsVar }); i < 0 || q.Vars[i].Default != "latest" {
			continue
		}
		tb, err := q.Run(ctx, db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want[name] = fixture.Text(t, tb)
	}
	if err := db.Close(); err != nil { // one process holds a file only once
		t.Fatal(err)
	}
	shell, err := sql.Open("duckdb", p+"?access_mode=READ_ONLY")
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	compared := 0
	for name, want := range want {
		q := find(t, name)
		rows, err := shell.QueryContext(ctx, q.SQL)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tb := &table.Table{Name: name}
		if err := read(rows, tb); err != nil {
			t.Error(err)
		}
		rows.Close()
		if got := fixture.Text(t, tb); got != want || want == "" {
			t.Errorf("%s as plain SQL:\n%s\nwant\n%s", name, got, want)
		}
		compared++
	}
	if compared != len(names)-5 { // run_differences and compare_turns take two runs, and those about machines take all
		t.Errorf("%d of %d reports compared", compared, len(names))
	}
}

// Phases last until the next one; the first token counts from the process's start, warm-up included.
func TestServerStartup(t *testing.T) {
	tb, err := find(t, "server_startup").Run(context.Background(), fixture.History(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := "1 qa ready 4 5.9 900 2 2 NULL 0.25 0.25 4096\n2 rag ready 0.25 0.7 200 0.25 NULL NULL NULL NULL 4096"
	if got := fixture.Text(t, tb, "start", "conversations", "status", "startup_s", "first_token_s", "first_ttft_ms", "import_s", "load_s", "compile_phase_s", "stop_s", "release_s", "kv_cache_size_tokens"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCacheReports(t *testing.T) {
	db := fixture.History(t)
	for name, want := range map[string]string{
		"cache_ideal_vs_achieved": "1 100 0 0 0 0 1\n2 200 128 128 140 0.64 1\n1 500 NULL 0 0 NULL 0",
		"cache_miss_causes":       "1 new_text 100\n2 new_text 20\n2 changed_text 40\n2 block_rounding 12\n1 new_text 500",
		"first_divergence":        "changed_text 40 0 system 5 It is Monday It is Tuesday the system prompt changes at \"It is Tuesday\": 40 tokens of what follows are computed again; put what changes behind what stays. For documents, wb run --rag-placement all measures which place costs least",
		"rag_placement":           "file with 1 500 NULL 0",
	} {
		columns := map[string][]string{"cache_ideal_vs_achieved": {"turn", "prompt_tokens", "cached_tokens", "block_ideal_tokens", "text_ideal_tokens", "hit_ratio", "as_predicted"}, "cache_miss_causes": {"turn_number", "cause", "tokens"},
			"first_divergence": {"cause", "recomputed_tokens", "message", "role", "at_character", "text_before", "text_now", "advice"}, "rag_placement": {"placement", "phase", "turns", "prompt_tokens", "hit_ratio", "invalidated_tokens"}}[name]
		tb, err := find(t, name).Run(context.Background(), db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fixture.Text(t, tb, columns...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// The second prompt takes whole blocks of the first with its reply: 111 tokens, less the last.
func TestSimulate(t *testing.T) {
	db := fixture.History(t)
	tb, err := Simulate(context.Background(), db, WhatIf{Runs: fixture.Late, BlockSizes: []int{16, 64, 128}, PoolTokens: []int64{0, 100}})
	if err != nil {
		t.Fatal(err)
	}
	want := "16 unlimited 2 300 96 0.32 0\n64 unlimited 2 300 64 0.21333333333333335 0\n128 unlimited 2 300 0 0 0\n16 100 2 300 0 0 2\n64 100 2 300 0 0 2\n128 100 2 300 0 0 2"
	if got := fixture.Text(t, tb, "block_size_tokens", "pool", "turns", "prompt_tokens", "cached_tokens", "hit_ratio", "refused"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := Simulate(context.Background(), db, WhatIf{Runs: "base", BlockSizes: []int{16}, PoolTokens: []int64{0}}); !errors.Is(err, ErrNoTokens) {
		t.Errorf("%v", err)
	}
}

// Only turns that were alone count: the third ran beside a restart, the fourth beside somebody else.
func TestTTFTSplit(t *testing.T) {
	tb, err := find(t, "ttft_split").Run(context.Background(), fixture.History(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := "1 1 100 25 250 25 -200\n2 1 50 25 250 25 -250" // the fixture's server takes longer than its client sees; the parts add up to TTFT
	if got := fixture.Text(t, tb, "turn", "turns", "ttft_p50_ms", "queue_ms", "prefill_ms", "server_other_ms", "outside_ms"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// All reports over a million streamed events.
func BenchmarkReports(b *testing.B) {
	ctx := context.Background()
	const turns, events = 2000, 500
	db := fixture.Record(b, filepath.Join(b.TempDir(), "a.duckdb"), func(ctx context.Context, r *store.Recorder) error {
		run := uuid.MustParse(fixture.BaseID)
		if err := store.Add(ctx, r, store.Run{RunID: run, Name: "big", Status: "ok", StartedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			return err
		}
		for i := range int32(turns) {
			at := float64(i) * 5
			if i%10 == 0 {
				if err := store.Add(ctx, r, store.Session{RunID: run, SessionID: i/10 + 1, Conversation: fmt.Sprint("c", i/10%5), Repeat: i/50 + 1, StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok"}); err != nil {
					return err
				}
			}
			if err := store.Add(ctx, r, fixture.Turn(run, i+1, i/10+1, i%10+1, "ok", at, at, at+0.1, at+0.1+(events-1)*0.008, at+4.2, 1000, 500, events)); err != nil {
				return err
			}
			cs := make([]store.Chunk, events)
			for k := range cs {
				cs[k] = store.Chunk{RunID: run, TurnID: i + 1, Seq: int32(k + 1), ReadSeq: int32(k + 1), TNs: fixture.Sec(at + 0.1 + float64(k)*0.008), Kind: "content", Tokens: new(int32(1))}
			}
			cs[events/2].TNs += fixture.Sec(0.005)
			if err := store.Add(ctx, r, cs...); err != nil {
				return err
			}
		}
		return nil
	})
	names, err := Library{}.Names()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		q := find(b, name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := q.Run(ctx, db, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
