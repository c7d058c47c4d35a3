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

// reportColumns are the columns of each report. Charts and documents rely on their names.
var reportColumns = map[string]string{
	"cache_counters_agree": "run conversation repeat turn prompt_tokens counter_query_tokens cached_tokens counter_hit_tokens " +
		"server_cached_tokens external_hit_tokens difference_tokens agree server_requests",
	"cache_hit_by_turn": "series run conversation placement turn turns prompt_total_tokens cached_total_tokens uncached_total_tokens " +
		"hit_ratio documents warm_turns",
	"cache_ideal_vs_achieved": "series run conversation placement turn turns prompt_mean_tokens cached_mean_tokens " +
		"block_ideal_mean_tokens text_ideal_mean_tokens hit_ratio block_ideal_ratio text_ideal_ratio predicted_turns",
	"cache_miss_causes": "conversation_turn run conversation placement turn cause missed_mean_tokens turns",
	"compare_turns": "run_id run conversation placement nth turn prompt_tokens completion_tokens ttft_ms itl_p50_ms itl_p99_ms " +
		"tpot_ms e2e_ms decode_tokens_per_s hit_ratio energy_per_token_j peak_memory_bytes process truncated buffered began_warm " +
		"reply_bytes text_bytes_per_s",
	"first_divergence": "run conversation placement turn repeats cause recomputed_tokens divergence_message divergence_role " +
		"divergence_character divergence_before divergence_now advice",
	"rag_placement": "place run conversation placement phase turns prompt_total_tokens hit_ratio invalidated_mean_tokens " +
		"ttft_p50_ms checks_total checks_passed_total",
	"context_growth": "series run conversation placement turn longest_prompt_tokens longest_completion_tokens messages documents " +
		"max_model_len_tokens context_used_ratio",
	"conversation_summary": "run conversation sessions turns longest_prompt_tokens completion_total_tokens hit_ratio ttft_p50_ms " +
		"ttft_max_ms tpot_p50_ms decode_p50_tokens_per_s e2e_total_s energy_total_j warm_sessions",
	"energy_by_conversation": "run conversation sessions energy_total_j idle_energy_total_j power_mean_w energy_per_turn_j " +
		"energy_per_token_j covered_min_ratio",
	"conversation_metrics": "run conversation placement sessions turns longest_prompt_tokens prompt_mean_tokens prompt_total_tokens " +
		"cached_total_tokens completion_total_tokens hit_ratio ttft_mean_ms " +
		"ttft_p50_ms ttft_max_ms tpot_mean_ms tpot_p50_ms " +
		"decode_mean_tokens_per_s e2e_mean_ms e2e_total_s warm_sessions energy_total_j " +
		"cpu_mean_ratio cpu_peak_ratio memory_mean_bytes memory_peak_bytes server_rss_mean_bytes " +
		"server_rss_peak_bytes gpu_util_mean_ratio gpu_util_peak_ratio gpu_memory_mean_bytes gpu_memory_peak_bytes gpu_power_mean_w " +
		"gpu_power_peak_w",
	"drift": "run metric turns autocorrelation drift_ratio drift_t temperature_correlation clock_correlation " +
		"first_session_ratio remark",
	"energy_by_turn": "conversation_turn run conversation placement turn turns e2e_mean_ms energy_mean_j idle_energy_mean_j " +
		"energy_per_token_j covered_min_ratio",
	"roofline": "run conversation placement turn turns context_mean_tokens step_p50_tokens tpot_p50_ms decode_limit_p50_ms " +
		"mbu_p50_ratio prefill_mean_tokens prefill_p50_ms prefill_limit_p50_ms mfu_p50_ratio times_limit_p50 limited_by limits_of",
	"client_overhead": "run turns read_delay_p50_ms read_delay_p99_ms read_delay_max_ms alone_ratio read_delay_alone_p99_ms " +
		"added_p50_ms added_p99_ms cpu_cores gc_pause_ms wb_rss_peak_bytes sampling_ratio during_scrapes scrape_max_ms frozen " +
		"clock_steps buffer_full remark",
	"fidelity": "run streams pace_tokens_per_s turns ttft_true_mean_ms ttft_error_mean_ratio ttft_error_p50_ratio " +
		"ttft_error_p99_ratio itl_true_mean_ms itl_error_mean_ratio itl_error_p50_ratio itl_error_p99_ratio itl_max_ms " +
		"itl_true_max_ms load_kept_ratio kept_ratio bare_kept_ratio pause_p50_ms pause_p99_ms late_p99_ms late_limit_p99_ms " +
		"completion_total_tokens wb_cpu_s wb_rss_peak_bytes",
	"fleet_overview": "machine gpu_name model simulated runs turns last_started_at ttft_p50_ms ttft_p99_ms tpot_p50_ms " +
		"decode_p50_tokens_per_s hit_ratio",
	"fleet_outliers": "machine settings metric machines turns p50_ms others_p50_ms change_ratio",
	"regressions_over_time": "series machine model gpu_name settings simulated day compared_turns ttft_change_ratio tpot_change_ratio " +
		"engine_versions",
	"load": "run users sessions turns played_s streams_mean turns_per_s completion_tokens_per_s ttft_with_wait_p50_ms " +
		"ttft_with_wait_p90_ms ttft_with_wait_p99_ms tpot_p50_ms tpot_p99_ms wait_p50_ms wait_p99_ms",
	"failed_turns": "run conversation repeat turn status http_status error e2e_ms completion_tokens wall_time",
	"gpu_timeline": "series run gpu elapsed_s power_mean_w gpu_util_mean_ratio memory_util_mean_ratio sm_clock_mean_mhz " +
		"memory_used_max_bytes temperature_max_c sm_active_mean_ratio tensor_active_mean_ratio dram_active_mean_ratio " +
		"throttle_reasons turn_label",
	"itl_percentiles": "run conversation counted_by gap_tokens itl_mean_ms itl_p50_ms itl_p90_ms itl_p95_ms itl_p99_ms gap_max_ms",
	"memory_peaks":    "run gpu_memory_peak_bytes host_memory_peak_bytes engine_rss_peak_bytes wb_rss_peak_bytes kv_cache_peak_ratio",
	"run_differences": "source name first_value last_value other_values",
	"run_events":      "run elapsed_s kind source turn_id message",
	"run_overview": "run status simulated engine model tags started_at duration_s turns failed_turns longest_prompt_tokens " +
		"hit_ratio ttft_p50_ms ttft_max_ms tpot_p50_ms decode_p50_tokens_per_s events run_id",
	"run_settings": "run source name value",
	"server_startup": "start run start_id conversations status startup_s first_token_s first_ttft_ms import_s engine_s load_s " +
		"compile_phase_s profile_s capture_s warm_s stop_s release_s kv_cache_size_tokens weights_bytes error",
	"stalls": "run conversation repeat turn seq elapsed_s gap_ms gap_p50_ms times_median wb_late_ms cpu_ratio gpu_util_min_ratio " +
		"sm_clock_min_mhz throttle_reasons server_preemptions server_requests events",
	"throughput_by_run": "run turns prompt_total_tokens cached_total_tokens completion_total_tokens busy_s " +
		"completion_busy_tokens_per_s decode_tokens_per_s prompt_tokens_per_s prefill_tokens_per_s",
	"ttft_by_context": "series run conversation repeat turn prompt_tokens cached_tokens uncached_tokens ttft_ms",
	"ttft_by_turn": "series run conversation placement turn turns ttft_p50_ms ttft_min_ms ttft_max_ms prompt_mean_tokens " +
		"uncached_mean_tokens warm_turns",
	"ttft_cold_vs_cached": "series run prompt_from_tokens cache turns prompt_mean_tokens uncached_mean_tokens ttft_p50_ms times_faster",
	"ttft_split": "conversation_turn run conversation placement turn turns prompt_mean_tokens uncached_mean_tokens ttft_p50_ms " +
		"queue_p50_ms slot_wait_p50_ms prefill_p50_ms server_other_p50_ms outside_p50_ms",
	"turn_details": "run conversation placement repeat warmup began_warm turn status error finish_reason prompt_tokens cached_tokens " +
		"counter_hit_tokens hit_ratio completion_tokens ttft_ms tpot_ms decode_tokens_per_s e2e_ms server_queue_ms server_slot_wait_ms " +
		"server_prefill_ms server_other_ms outside_ms server_decode_ms messages documents checks checks_passed wall_time run_id turn_id",
}

// reportRows is how many rows each report has over the latest run, the last two and all.
var reportRows = map[string][3]int{
	"cache_counters_agree":    {5, 5, 6},
	"cache_hit_by_turn":       {3, 3, 4},
	"cache_ideal_vs_achieved": {3, 3, 3},
	"cache_miss_causes":       {5, 5, 5},
	"client_overhead":         {1, 1, 2},
	"compare_turns":           {4, 4, 5},
	"context_growth":          {3, 3, 4},
	"conversation_metrics":    {2, 2, 3},
	"conversation_summary":    {2, 2, 3},
	"drift":                   {1, 1, 1},
	"energy_by_conversation":  {2, 2, 2},
	"energy_by_turn":          {3, 3, 3},
	"failed_turns":            {1, 2, 2},
	"fidelity":                {1, 1, 1},
	"first_divergence":        {1, 1, 1},
	"fleet_outliers":          {0, 0, 0},
	"fleet_overview":          {1, 2, 3},
	"gpu_timeline":            {10, 10, 10},
	"itl_percentiles":         {2, 2, 2},
	"load":                    {1, 1, 2},
	"memory_peaks":            {1, 2, 3},
	"rag_placement":           {1, 1, 1},
	"regressions_over_time":   {0, 0, 0},
	"roofline":                {3, 3, 4},
	"run_differences":         {0, 3, 3},
	"run_events":              {2, 2, 2},
	"run_overview":            {1, 2, 3},
	"run_settings":            {4, 7, 10},
	"server_startup":          {2, 2, 2},
	"stalls":                  {1, 1, 1},
	"throughput_by_run":       {1, 1, 2},
	"ttft_by_context":         {4, 4, 5},
	"ttft_by_turn":            {3, 3, 4},
	"ttft_cold_vs_cached":     {4, 4, 5},
	"ttft_split":              {2, 2, 2},
	"turn_details":            {6, 7, 8},
}

// countsAll are the reports that show warm-up or failed turns.
var countsAll = map[string]bool{"failed_turns": true, "turn_details": true, "cache_counters_agree": true, "compare_turns": true}

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
			// warm-up and failed turns have unusual token counts
			standsOut := func(tokens string) bool { return strings.Contains(fixture.Text(t, tb), tokens) }
			if !countsAll[name] && slices.ContainsFunc([]string{"8888", "9999", "7777"}, standsOut) {
				t.Errorf("%s over %s counts warm-up or failed turns:\n%s", name, selector, fixture.Text(t, tb))
			}
		}
	}
	if len(names) != len(reportColumns) {
		t.Errorf("%d reports, expectations for %d", len(names), len(reportColumns))
	}
}

// Variables change the figures: a wider bucket, a lower limit for stalls.
func TestReportVariables(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	for _, c := range []struct {
		name string
		set  map[string]string
		rows int
	}{
		{"gpu_timeline", map[string]string{"bucket_s": "100"}, 2},
		{"stalls", map[string]string{"factor": "2.5"}, 2},
		{"stalls", map[string]string{"factor": "2.5", "min_ms": "60"}, 1},
		{"stalls", map[string]string{"min_ms": "240"}, 0},
	} {
		tb, err := find(t, c.name).Run(ctx, db, Options{Set: c.set})
		if err != nil || len(tb.Rows) != c.rows {
			t.Errorf("%s with %v: %v (%v), want %d rows", c.name, c.set, tb, err, c.rows)
		}
	}
}

// A report that runs in the DuckDB shell without variables gives what wb gives with its defaults.
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
	if compared != len(names)-5 { // run_differences and compare_turns take two runs, and the reports about machines take all
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
	if got := fixture.Text(t, tb, "start", "conversations", "status", "startup_s", "first_token_s", "first_ttft_ms", "import_s", "load_s",
		"compile_phase_s", "stop_s", "release_s", "kv_cache_size_tokens"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCacheReports(t *testing.T) {
	db := fixture.History(t)
	for name, want := range map[string]string{
		"cache_ideal_vs_achieved": "1 100 0 0 0 0 1\n2 200 128 128 140 0.64 1\n1 500 NULL 0 0 NULL 0",
		"cache_miss_causes":       "1 new_text 100\n2 new_text 20\n2 changed_text 40\n2 block_rounding 12\n1 new_text 500",
		"first_divergence": "changed_text 40 0 system 5 It is Monday It is Tuesday the system prompt changes at \"It is Tuesday\": 40 " +
			"tokens of what follows are computed again; put what changes behind what stays. For documents, wb run --rag-placement all measures " +
			"which place costs least",
		"rag_placement": "file with 1 500 NULL 0",
	} {
		columns := map[string]string{
			"cache_ideal_vs_achieved": "turn prompt_mean_tokens cached_mean_tokens block_ideal_mean_tokens text_ideal_mean_tokens hit_ratio " +
				"predicted_turns",
			"cache_miss_causes": "turn cause missed_mean_tokens",
			"first_divergence": "cause recomputed_tokens divergence_message divergence_role divergence_character divergence_before " +
				"divergence_now advice",
			"rag_placement": "placement phase turns prompt_total_tokens hit_ratio invalidated_mean_tokens",
		}[name]
		tb, err := find(t, name).Run(context.Background(), db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fixture.Text(t, tb, strings.Fields(columns)...); got != want {
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
	want := "16 unlimited 2 300 96 0.32 0\n64 unlimited 2 300 64 0.21333333333333335 0\n128 unlimited 2 300 0 0 0\n16 100 2 300 0 0 2\n64 " +
		"100 2 300 0 0 2\n128 100 2 300 0 0 2"
	if got := fixture.Text(t, tb, "block_size_tokens", "pool", "turns", "prompt_total_tokens", "cached_total_tokens", "hit_ratio",
		"refused"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := Simulate(context.Background(), db, WhatIf{Runs: "base", BlockSizes: []int{16}, PoolTokens: []int64{0}}); !errors.Is(err,
		ErrNoTokens) {
		t.Errorf("%v", err)
	}
}

// Only turns that were alone count: the server was restarted during the third, and answered somebody else during the fourth.
func TestTTFTSplit(t *testing.T) {
	tb, err := find(t, "ttft_split").Run(context.Background(), fixture.History(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	// the server of the fixture takes longer than its client sees; the parts add up to TTFT
	want := "1 1 100 25 250 25 -200\n2 1 50 25 250 25 -250"
	if got := fixture.Text(t, tb, "turn", "turns", "ttft_p50_ms", "queue_p50_ms", "prefill_p50_ms", "server_other_p50_ms",
		"outside_p50_ms"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// All reports over a million streamed events.
func BenchmarkReports(b *testing.B) {
	ctx := context.Background()
	const turns, events = 2000, 500
	db := fixture.Record(b, filepath.Join(b.TempDir(), "a.duckdb"), func(ctx context.Context, r *store.Recorder) error {
		run := uuid.MustParse(fixture.BaseID)
		if err := store.Add(ctx, r, store.Run{RunID: run, Name: "big", Status: "ok",
			StartedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			return err
		}
		for i := range int32(turns) {
			at := float64(i) * 5
			if i%10 == 0 {
				if err := store.Add(ctx, r, store.Session{RunID: run, SessionID: i/10 + 1, Conversation: fmt.Sprint("c", i/10%5), Repeat: i/50 + 1,
					StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok"}); err != nil {
					return err
				}
			}
			if err := store.Add(ctx, r, fixture.Turn(run, i+1, i/10+1, i%10+1, "ok", at, at, at+0.1, at+0.1+(events-1)*0.008, at+4.2, 1000, 500,
				events)); err != nil {
				return err
			}
			cs := make([]store.Chunk, events)
			for k := range cs {
				cs[k] = store.Chunk{RunID: run, TurnID: i + 1, Seq: int32(k + 1), ReadSeq: int32(k + 1),
					TNs: fixture.Sec(at + 0.1 + float64(k)*0.008), Kind: "content", Tokens: new(int32(1))}
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
