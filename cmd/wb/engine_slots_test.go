package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// llamaServer serves a GGUF model of the engine folder with llama-server until the test ends. It gives the URL.
func llamaServer(t *testing.T, model string, args ...string) (url string) {
	t.Helper()
	engine := engineDir(t)
	bin := filepath.Join(engine, "llamacpp-server")
	port := freePort()
	args = append([]string{"-m", filepath.Join(engine, model+".gguf"), "--alias", model, "--host", "127.0.0.1", "--port", port,
		"-c", "8192", "-t", "1", "--metrics", "--jinja", "--no-webui", "--offline"}, args...) // two threads stall on two cores
	server := exec.Command(filepath.Join(bin, "llama-server"), args...)
	server.Env = append(os.Environ(), "LD_LIBRARY_PATH="+bin, "GGML_VK_VISIBLE_DEVICES=")
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = said, said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		said.Close()
	})
	waitText(t, said.Name(), "listening on", patience)
	return "http://127.0.0.1:" + port
}

// A run against llama.cpp's server names it, counts every token, splits the time to the first token, and explains every miss.
func TestRealLlamaSlots(t *testing.T) {
	url := llamaServer(t, "smollm2-135m", "-np", "1")
	dir := t.TempDir()
	out := wb(t, dir, "doctor", "--url", url)
	for _, want := range []string{"llamacpp b", "8192 tokens", "Q4_1", "135M parameters", "llama.cpp counters", "in 1 slot",
		"cached tokens reported"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
	// doctor's request is in the slot: another conversation takes it
	out = wb(t, dir, "run", "--url", url, "--conversations", "simple_qa,code_discussion,rag_topk,rag_injection", "--max-turns", "5",
		"--repeat", "2", "--max-tokens", "8", "--warmup", "0", "--isolation", "none", "--replies", "live", "--name", "slots")
	t.Log(out)
	show := func(query string) string { return wb(t, dir, "query", query) }

	t.Run("the server is named", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT concat_ws(' ', engine, starts_with(engine_version, 'b'), max_model_len_tokens, block_size_tokens,
			(SELECT concat_ws(' ', quantization, parameters, weights_bytes, slots, token_counts) FROM raw.engine)) FROM runs`)
		if got != "llamacpp true 8192 1 Q4_1 134515008 96576768 1 timings" {
			t.Errorf("engine: %s", got)
		}
	})
	t.Run("usage, counters and timings agree", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT count(*) || ' ' || count(*) FILTER (WHERE cached_tokens = counter_hit_tokens
				AND cached_tokens = server_cached_tokens AND prompt_tokens = counter_query_tokens
				AND prompt_tokens = server_cached_tokens + server_prefill_tokens)
			FROM turns JOIN turn_counters USING (run_id, turn_id)`)
		if got != "40 40" {
			t.Errorf("turns, agreeing = %s\n%s", got, show("cache_counters_agree"))
		}
	})
	t.Run("token ids are those that the server counts, and events add up", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT (SELECT count(*) FROM events WHERE kind IN ('usage_disagrees', 'no_token_ids', 'usage_refused')) || ' ' ||
			count(*) FROM turns t WHERE completion_tokens
			<> (SELECT sum(tokens) FROM chunks c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id)`)
		if got != "0 0" {
			t.Errorf("events, turns whose chunks do not add up = %s\n%s", got, show("run_events"))
		}
	})
	t.Run("the time to the first token is split", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT (abs(median(ttft_ms - server_slot_wait_ms - server_prefill_ms)) < 5) || ' '
				|| (count(server_slot_wait_ms) > 30)
			FROM turns JOIN turn_counters USING (run_id, turn_id)`)
		if got != "true true" {
			t.Errorf("closes within 5 ms, most turns = %s\n%s", got, show("ttft_split"))
		}
		t.Log(oneCell(t, dir, `SELECT concat_ws(' ', median(ttft_ms), median(server_prefill_ms), median(server_slot_wait_ms),
			median(ttft_ms - server_slot_wait_ms - server_prefill_ms)) FROM turns JOIN turn_counters USING (run_id, turn_id)`))
	})
	t.Run("hits are predicted, or a cause is named", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT count(*) || ' ' || count(*) FILTER (WHERE NOT as_predicted AND unexplained > 0) || ' '
				|| (count(*) FILTER (WHERE as_predicted) >= 38) || ' ' || count(*) FILTER (WHERE missed <> prompt_tokens - cached_tokens)
			FROM (SELECT c.*, (SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m
					WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id) AS missed,
				(SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m
					WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id AND m.cause = 'unknown') AS unexplained FROM cache_turns c)`)
		if got != "40 0 true 0" {
			t.Errorf("turns, unexplained, nearly all as predicted, sums that differ = %s\n%s", got, wb(t, dir, "query", "-c",
				`SELECT turn_id, conversation, turn, prompt_tokens, cached_tokens, predicted_tokens, common_tokens
				FROM cache_turns WHERE NOT as_predicted`))
		}
	})
	t.Run("repeats kept apart by a line are equally cold", func(t *testing.T) { equallyCold(t, dir, url) })
	t.Run("what cannot be kept is said", func(t *testing.T) {
		out := wb(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--max-turns", "1", "--max-tokens", "4", "--warmup", "0",
			"--isolation", "salt", "--token-ids", "all")
		for _, want := range []string{"warning: this server takes no cache_salt", "warning: --token-ids all: this server does not send the ids"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not said:\n%s", want, out)
			}
		}
		cmd, buf := wbCommand(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--isolation", "reset")
		if code := exitCode(t, cmd.Run()); code == 0 || !strings.Contains(buf.String(), "reset prefix cache") {
			t.Errorf("exit %d\n%s", code, buf)
		}
	})
}

// llama.cpp takes no salt. A line at the head of the prompts keeps sessions apart, so that every repeat is as cold as the first.
func equallyCold(t *testing.T, dir, url string) {
	out := wb(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--repeat", "3", "--max-turns", "2",
		"--max-tokens", "8", "--ignore-eos", "--replies", "scripted")
	if !strings.Contains(out, "a line at the head of each session's prompts keeps sessions apart") ||
		strings.Contains(out, "--ignore-eos is not sent") {
		t.Errorf("%s", out)
	}
	// The second turn finds the first prompt. A reply that begins as the scripted one adds a few tokens.
	got := oneCell(t, dir, `SELECT count(*) || ' ' || count(DISTINCT prompt_tokens)
		|| ' ' || (count(DISTINCT cached_tokens) FILTER (WHERE turn = 1))
		|| ' ' || (max(cached_tokens) FILTER (WHERE turn = 1) < 16)
		|| ' ' || (bool_and(cached_tokens - 116 BETWEEN 0 AND 7) FILTER (WHERE turn = 2))
		|| ' ' || bool_or(began_warm) || ' ' || any_value(isolation) || ' ' || bool_and(completion_tokens = 8) FROM measured_turns`)
	if got != "6 2 1 true true false line true" {
		t.Errorf("turns, lengths of prompts, hits of first turns, cold, second turns, warm, isolation, whole replies = %s\n%s", got,
			wb(t, dir, "query", "turn_details"))
	}
}

// A model with a sliding window gives back less than it holds, and each such miss is not_restorable.
func TestRealLlamaWindow(t *testing.T) {
	url := llamaServer(t, "gemma3-270m", "-np", "1")
	dir := t.TempDir()
	if out := wb(t, dir, "doctor", "--url", url); !strings.Contains(out, "a sliding window of 512 tokens") {
		t.Errorf("doctor:\n%s", out)
	}
	out := wb(t, dir, "run", "--url", url, "--conversations", "simple_qa,rag_injection", "--max-turns", "4", "--repeat", "3",
		"--max-tokens", "8", "--warmup", "1", "--ignore-eos", "--replies", "scripted")
	t.Log(out)
	got := oneCell(t, dir, `SELECT concat_ws(' ', count(DISTINCT causes), count(*), bool_and(lost > 100), sum(unexplained)) FROM (
		SELECT repeat, string_agg(concat_ws(' ', conversation, turn, cause, tokens), ', ' ORDER BY conversation, turn, cause) AS causes,
			sum(tokens) FILTER (WHERE cause = 'not_restorable') AS lost,
			coalesce(sum(tokens) FILTER (WHERE cause IN ('unknown', 'slot_taken', 'small_share', 'evicted')), 0) AS unexplained
		FROM cache_misses WHERE NOT warmup GROUP BY repeat)`)
	if got != "1 3 true 0" {
		t.Errorf("different causes, repeats, lost to the window, other causes = %s\n%s", got, wb(t, dir, "query", "cache_miss_causes"))
	}
}
