//go:build duckdb_arrow

package queries

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wb/queries/internal/fixture"
)

// figure is a report over some runs, and the expected values of some of its columns: one line per row.
type figure struct{ report, runs, columns, want string }

// figuresOfCaches are about cached tokens, and the contexts that they belong to.
func figuresOfCaches() []figure {
	return []figure{
		// turn 1 of qa: turns 2 and 4, of which only turn 2 (0 of 100) has a count of cached tokens; turn 2: 128/200
		{"cache_hit_by_turn", "latest",
			"series turn turns prompt_total_tokens cached_total_tokens uncached_total_tokens hit_ratio documents",
			"qa 1 2 220 0 100 0 0\n" +
				"qa 2 1 200 128 72 0.64 0\n" +
				"rag 1 1 500 NULL NULL NULL 2"},
		{"cache_hit_by_turn", "all",
			"series hit_ratio",
			"qa · base 0.5\n" +
				"qa · " + fixture.Late + " 0\n" +
				"qa · " + fixture.Late + " 0.64\n" +
				"rag · " + fixture.Late + " NULL"},
		// warm-up without scrapes; equal; 12 more hits than reported; counters that went back; none reported, and two requests
		{"cache_counters_agree", "latest",
			"prompt_tokens counter_query_tokens cached_tokens counter_hit_tokens difference_tokens agree server_requests",
			"8888 NULL 8888 NULL NULL NULL NULL\n" +
				"100 100 0 0 0 true 1\n" +
				"200 200 128 140 12 false 1\n" +
				"120 NULL NULL NULL NULL NULL NULL\n" +
				"500 500 NULL 0 NULL NULL 2"},
		// cold: 100 tokens in 100 ms; cached: 200 in 50 ms; unknown: 620 in 500 ms
		{"ttft_cold_vs_cached", "latest",
			"prompt_from_tokens cache turns prompt_mean_tokens uncached_mean_tokens ttft_p50_ms times_faster",
			"64 cold 1 100 100 100 1\n" +
				"64 unknown 1 120 NULL 300 0.33\n" +
				"128 cached 1 200 72 50 NULL\n" +
				"256 unknown 1 500 NULL 200 NULL"},
		{"ttft_by_context", "latest",
			"series prompt_tokens uncached_tokens ttft_ms",
			"cold 100 100 100\n" +
				"unknown 120 NULL 300\n" +
				"cached 200 72 50\n" +
				"unknown 500 NULL 200"},
		// (prompt + completion) of 1000: the longest of a turn
		{"context_growth", "latest",
			"conversation turn longest_prompt_tokens longest_completion_tokens messages documents context_used_ratio",
			"qa 1 120 11 2 0 0.121\n" +
				"qa 2 200 5 4 0 0.205\n" +
				"rag 1 500 9 2 2 0.509"},
		{"context_growth", "base", "longest_prompt_tokens max_model_len_tokens context_used_ratio", "100 NULL NULL"},
	}
}

// figuresOfTime are about when tokens came, what delayed them, and how accurate those times are.
func figuresOfTime() []figure {
	return []figure{
		// turn 2: 1.1−1; turn 4 from submit, as it has no time of writing: 3.3−3; turn 3: 2.05−2
		{"ttft_by_turn", "latest",
			"conversation turn turns ttft_p50_ms ttft_min_ms ttft_max_ms prompt_mean_tokens uncached_mean_tokens",
			"qa 1 2 200 100 300 110 100\n" +
				"qa 2 1 50 50 50 200 72\n" +
				"rag 1 1 200 200 200 500 NULL"},
		// tokens by gap: 5×20 1×240 4×15 (turn 2), 4×50 (turn 3): 14 tokens in 600 ms; sorted 15 15 15 15 20 20 20 20 20 50 50 50 50 240;
		// p90 at 11.7: 50; p95 at 12.35: 50+0.35·190; p99 at 12.87: 50+0.87·190
		{"itl_percentiles", "latest",
			"conversation counted_by gap_tokens itl_mean_ms itl_p50_ms itl_p90_ms itl_p95_ms itl_p99_ms gap_max_ms",
			"qa tokens 14 42.857 20 50 116.5 215.3 240\n" +
				"rag events 2 200 200 200 200 200 200"},
		// e2e 511+261+310+600 ms; 26 tokens/1.682 s; 22 tokens after the first in 400+200+400 ms; 920 tokens in 100+50+300+200 ms;
		// 172 tokens to prefill in the 100+50 ms of the two turns that report them
		{"throughput_by_run", "latest",
			"turns prompt_total_tokens cached_total_tokens completion_total_tokens busy_s completion_busy_tokens_per_s " +
				"decode_tokens_per_s prompt_tokens_per_s prefill_tokens_per_s",
			"4 920 128 26 1.682 15.46 22 1415.4 1146.7"},
		// the eighth event came 240 ms after the one at 1.2 s, others of its turn after 20; wb was 250 ms late, GPU 0 at 900 MHz
		{"stalls", "latest",
			"conversation repeat turn seq elapsed_s gap_ms gap_p50_ms times_median wb_late_ms cpu_ratio gpu_util_min_ratio " +
				"sm_clock_min_mhz throttle_reasons server_preemptions server_requests events",
			"qa 1 1 8 1.2 240 20 12 250 0.9 0.1 900 8 2 1 frozen"},
		// TTFT 100 and 50 ms against 300 and 300 of a server whose clock is not the client's; the two turns that were alone
		{"client_overhead", "latest",
			"turns added_p50_ms added_p99_ms wb_rss_peak_bytes during_scrapes frozen clock_steps buffer_full remark",
			"4 -225 -200.5 700 2 1 1 0 client and network added at most 0.0 ms at p99; wb did not run at times, and times around them are not " +
				"the server's"},
		// true: 95 ms to the first token, then 50 and 50 ms; seen: 100 ms, 400 ms in 7 gaps, of which the median is 20
		{"fidelity", "latest",
			"turns ttft_true_mean_ms ttft_error_mean_ratio itl_true_mean_ms itl_error_mean_ratio itl_error_p50_ratio itl_max_ms " +
				"itl_true_max_ms load_kept_ratio wb_rss_peak_bytes",
			"1 95 0.05263 50 0.14286 -0.6 240 50 NULL 700"},
	}
}

// figuresOfMachines are about energy, memory and the GPU.
func figuresOfMachines() []figure {
	nothing := "" // and the turn that was under way in each step
	for s, turn := range []string{2: "qa 2", "qa 2", "qa 2", "NULL", "rag 1", "NULL", "NULL"} {
		if turn != "" {
			nothing += fmt.Sprintf("GPU 0 %d%s %s\n", s, strings.Repeat(" NULL", 8), turn)
		}
	}
	return []figure{
		// session 2: 100+200 J in 2 s, 2 turns, 16 tokens; session 3 had a failed turn; session 4: 300 J and half of 100, in 1.5 s, 9 tokens
		// idle: 60 W, the lowest reading
		{"energy_by_conversation", "latest",
			"conversation sessions energy_total_j idle_energy_total_j power_mean_w energy_per_turn_j energy_per_token_j covered_min_ratio",
			"qa 1 300 120 150 150 18.75 1\n" +
				"rag 1 350 90 233.33 350 38.8889 1"},
		// turn 1: 1 ms of 50 W, 510 ms of 100 W, and 310 ms of 100 W, 12 tokens; turn 2: 1 ms of 100 W and 260 ms of 200 W, 5 tokens
		{"energy_by_turn", "latest",
			"conversation_turn turns energy_mean_j idle_energy_mean_j energy_per_token_j covered_min_ratio",
			"qa 1 2 41.03 24.63 6.8375 1\n" +
				"qa 2 1 52.1 15.66 10.42 1\n" +
				"rag 1 1 180 36 20 1"},
		// GPUs 20+7; the engine's two processes 6000+1000
		{"memory_peaks", "latest",
			"gpu_memory_peak_bytes host_memory_peak_bytes engine_rss_peak_bytes wb_rss_peak_bytes kv_cache_peak_ratio",
			"27 3000 7000 700 0.5"},
		{"memory_peaks", "last:2",
			"run gpu_memory_peak_bytes kv_cache_peak_ratio",
			fixture.Early + " NULL NULL\n" +
				fixture.Late + " 27 0.5"},
		// steps of half a second: means of 60 and 80 W, 0.5 and 1, 1000 and 1201 MHz; 1|4; then instant power before average power;
		// readings with energy only make steps of NULLs
		{"gpu_timeline", "latest",
			"series elapsed_s power_mean_w gpu_util_mean_ratio memory_util_mean_ratio sm_clock_mean_mhz memory_used_max_bytes " +
				"temperature_max_c dram_active_mean_ratio throttle_reasons turn_label",
			"GPU 0 0 70 0.75 NULL 1101 20 55 NULL 5 qa 1\n" +
				"GPU 0 1 250 0.1 NULL 900 NULL NULL NULL 8 qa 1\n" +
				nothing + "GPU 1 0 NULL NULL NULL NULL 7 NULL 0.25 NULL qa 1"},
	}
}

// figuresOfRuns are about whole runs, conversations and single turns.
func figuresOfRuns() []figure {
	return []figure{
		{"run_differences", "last:2",
			"source name first_value last_value other_values",
			"plan only (unset) x 0\n" +
				"plan repeats 2 1 0\n" +
				"engine version 0.2 0.3 0"},
		// repeats is 1, 2, 1: first and last agree, and there is one other value between them
		{"run_differences", "all",
			"source name first_value last_value other_values",
			"plan only (unset) x 0\n" +
				"plan repeats 1 1 1\n" +
				"engine version 0.1 0.3 1"},
		// tpot 40, 50 (one token has none) and 50; decode 25, 20 and 20; hits 128 of the 300 tokens of turns that report them
		{"conversation_summary", "latest",
			"conversation sessions turns longest_prompt_tokens completion_total_tokens hit_ratio ttft_p50_ms ttft_max_ms " +
				"tpot_p50_ms decode_p50_tokens_per_s e2e_total_s energy_total_j",
			"qa 2 3 200 17 0.427 100 300 45 22.5 1.08 300\n" +
				"rag 1 1 500 9 NULL 200 200 50 20 0.6 350"},
		{"run_overview", "all",
			"run status simulated engine tags duration_s turns failed_turns longest_prompt_tokens hit_ratio ttft_p50_ms " +
				"ttft_max_ms tpot_p50_ms decode_p50_tokens_per_s events run_id",
			"base ok true simulator 0.1 host=lab note=x=y 60 1 0 100 0.5 400 400 100 10 0 " + fixture.BaseID + "\n" +
				fixture.Early + " failed false vllm 0.2 host=attic 5 0 1 NULL NULL NULL NULL NULL NULL 0 " + fixture.EarlyID + "\n" +
				fixture.Late + " ok false vllm 0.3 host=lab 10 4 1 500 0.4267 150 300 50 20 2 " + fixture.LateID},
		{"failed_turns", "all",
			"run turn status error e2e_ms completion_tokens",
			fixture.Early + " 1 http_error NULL 2000 77\n" +
				fixture.Late + " 2 cut the stream ended early 1590 99"},
		{"run_events", "latest",
			"elapsed_s kind source",
			"1.6 frozen sampler\n" +
				"5 clock_step sampler"},
		{"run_settings", "latest",
			"source name value",
			"plan only x\n" +
				"plan repeats 1\n" +
				"engine version 0.3\n" +
				"cache_config block_size 16"},
		{"turn_details", "latest",
			"turn_id warmup status hit_ratio ttft_ms tpot_ms server_prefill_ms",
			"1 true ok 1 900 1.034 NULL\n" +
				"2 false ok 0 100 40 250\n" +
				"3 false ok 0.64 50 50 250\n" +
				"4 false ok NULL 300 NULL NULL\n" +
				"5 false cut 1 1500 0.918 NULL\n" +
				"6 false ok NULL 200 50 NULL"},
	}
}

func TestReportFigures(t *testing.T) {
	db := fixture.History(t)
	for _, c := range slices.Concat(figuresOfCaches(), figuresOfTime(), figuresOfMachines(), figuresOfRuns()) {
		tb, err := find(t, c.report).Run(context.Background(), db, Options{Runs: c.runs})
		if err != nil {
			t.Errorf("%s over %s: %v", c.report, c.runs, err)
			continue
		}
		if got := fixture.Text(t, tb, strings.Fields(c.columns)...); got != c.want {
			t.Errorf("%s over %s:\n%s\nwant\n%s", c.report, c.runs, got, c.want)
		}
	}
}
