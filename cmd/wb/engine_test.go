package main

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engineDir is where make e2e installed vLLM and the small model.
func engineDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WB_ENGINE")
	if dir == "" {
		t.Skip("WB_ENGINE is not set; make e2e sets it")
	}
	return dir
}

// dtypeFlags are vLLM's flags for the type of numbers: float32 where this CPU is slow with the type of the model, bf16.
// Without instructions for bf16 a prompt takes four times as long as in float32 (docs/reference/serving.md).
func dtypeFlags() []string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil && (bytes.Contains(info, []byte("avx512_bf16")) || bytes.Contains(info, []byte("amx_bf16"))) {
		return nil
	}
	return []string{"--dtype", "float32"}
}

// managedArgs are the arguments of a run that starts vLLM with the small model. server are arguments of vLLM.
func managedArgs(engine string, server []string, args ...string) []string {
	args = append([]string{"run", "--engine", "vllm", "--vllm", engine, "--model", filepath.Join(engine, "smollm2-135m"),
		"--port", freePort()}, args...)
	return slices.Concat(args, []string{"--"}, dtypeFlags(), server)
}

// realEngine serves the small model with wb serve until the test ends. It gives the URL and the process group of vLLM.
func realEngine(t *testing.T) (url string, group int) {
	t.Helper()
	dir := engineDir(t)
	port := freePort()
	args := []string{"serve", filepath.Join(dir, "smollm2-135m"), "--vllm", dir, "--port", port, "--verbose", "--"}
	cmd, _ := wbCommand(t, t.TempDir(), append(args, dtypeFlags()...)...)
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { said.Close() })
	cmd.Stdout, cmd.Stderr = said, said
	mark := marked(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		noneLeft(t, mark, 5*time.Second)
	})
	url = "http://127.0.0.1:" + port
	waitText(t, said.Name(), "\n"+url, 5*time.Minute)
	b, err := os.ReadFile(said.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	m := regexp.MustCompile(`\(pid (\d+)\)`).FindSubmatch(b)
	if group, err = strconv.Atoi(string(m[1])); err != nil {
		t.Fatal(err)
	}
	return url, group
}

// Everything from doctor to reports, on a real vLLM with a real model.
func TestRealEngine(t *testing.T) {
	url, group := realEngine(t)
	dir := t.TempDir()
	out := wb(t, dir, "doctor", "--url", url)
	if !strings.Contains(out, "cached tokens reported") {
		t.Errorf("doctor:\n%s", out)
	}
	out = wb(t, dir, "run", "--url", url, "--model", "smollm2-135m", "--conversations", "simple_qa,code_discussion,rag_simulation",
		"--max-tokens", "40", "--warmup", "1", "--name", "real")
	t.Log(out)
	if strings.Contains(out, "simulated") {
		t.Error("a real run is marked as simulated")
	}

	t.Run("all turns complete, both counts agree", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT count(*) || ' ' || count(*) FILTER (WHERE status = 'ok') || ' ' || count(*) FILTER
				(WHERE cached_tokens = counter_hit_tokens AND prompt_tokens = counter_query_tokens AND server_requests = 1)
			FROM turns JOIN turn_counters USING (run_id, turn_id)`)
		if got != "20 20 20" { // 1 warm-up, 5, 6 and 8 turns
			t.Errorf("turns, ok, agreeing = %s\n%s", got, wb(t, dir, "query", "cache_counters_agree"))
		}
	})
	t.Run("hits are whole blocks, and there are some", func(t *testing.T) {
		if got := oneCell(t, dir, `SELECT (count(*) FILTER (WHERE cached_tokens % block_size_tokens <> 0 OR cached_tokens >= prompt_tokens))
				|| ' ' || (count(*) FILTER (WHERE cached_tokens > 0) >= 8)
			FROM turns JOIN runs USING (run_id)`); got != "0 true" {
			t.Errorf("broken blocks, enough hits = %s", got)
		}
	})
	t.Run("cached prompts are faster", func(t *testing.T) {
		out := wb(t, dir, "query", "ttft_cold_vs_cached")
		t.Log(out)
		if got := oneCell(t, dir, `WITH m AS (SELECT *, cached_tokens * 2 >= prompt_tokens AS cached FROM measured_turns)
			SELECT (sum(prompt_tokens) FILTER (WHERE cached) / sum(ttft_ms) FILTER (WHERE cached))
				> 1.5 * (sum(prompt_tokens) FILTER (WHERE NOT cached) / sum(ttft_ms) FILTER (WHERE NOT cached)) FROM m`); got != "true" {
			t.Errorf("prompt tokens per second are not higher when cached")
		}
	})
	t.Run("tokens are counted per chunk", func(t *testing.T) {
		if got := oneCell(t, dir, `SELECT count(*) FROM turns t WHERE completion_tokens
			<> (SELECT sum(tokens) FROM chunks c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id)`); got != "0" {
			t.Errorf("%s turns whose chunks do not add up", got)
		}
	})
	t.Run("the server's TTFT fits the client's", func(t *testing.T) {
		if got := oneCell(t, dir, `SELECT count(*) FROM turns JOIN turn_counters USING (run_id, turn_id)
			WHERE server_ttft_ms IS NULL OR server_ttft_ms > ttft_ms + 1`); got != "0" {
			t.Errorf("in %s turns the server's TTFT is missing or longer than the client's", got)
		}
	})
	t.Run("the server's processes are sampled", func(t *testing.T) {
		if got := oneCell(t, dir, "SELECT max(rss_bytes) > 500000000 FROM processes WHERE role = 'engine'"); got != "true" {
			t.Errorf("engine memory over 500 MB: %s", got)
		}
	})
	t.Run("stated sizes", func(t *testing.T) { statedSizes(t, url) })
	t.Run("a prompt beyond the context", func(t *testing.T) { promptBeyondContext(t, dir, url) })
	t.Run("isolation", func(t *testing.T) { isolationFound(t, dir, url) })
	t.Run("repeats have the same causes, on a server that is steady", func(t *testing.T) { sameCauses(t, dir, url) })
	t.Run("the model's template rendered by wb gives the server's tokens", func(t *testing.T) {
		wb(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--max-turns", "2", "--max-tokens", "8", "--warmup", "1",
			"--api", "completions", "--chat-template", "chatml", "--name", "rendered")
		got := oneCell(t, dir, `SELECT string_agg(kind, ' ') || ' ' || (SELECT count(*) FROM measured_turns)
			FROM events WHERE run_id = (SELECT run_id FROM selected_runs) AND kind LIKE 'template%'`)
		if got != "template_same 2" {
			t.Errorf("template, turns = %s\n%s", got, wb(t, dir, "query", "run_events"))
		}
	})
	t.Run("the server is killed mid-run", func(t *testing.T) { serverKilled(t, dir, url, group) })
}

// A prompt that does not fit the context is counted by the server's tokeniser and not sent.
func promptBeyondContext(t *testing.T, dir, url string) {
	cmd, buf := wbCommand(t, dir, "run", "--url", url, "--conversations", "ultra_long,simple_qa", "--max-tokens", "8", "--warmup", "0",
		"--replies", "scripted")
	if code := exitCode(t, cmd.Run()); code != 0 || !strings.Contains(buf.String(), "and the context 8192; not sent") {
		t.Errorf("exit %d\n%s", code, buf)
	}
	// the turns before it are recorded
	if got := oneCell(t, dir, `SELECT (count(*) FILTER (WHERE status = 'overflow' AND prompt_tokens >= 8192))
			|| ' ' || (count(*) FILTER (WHERE status = 'http_error'))
			|| ' ' || (count(*) FILTER (WHERE status = 'ok' AND conversation = 'ultra_long') > 0)
		FROM turns WHERE run_id = (SELECT run_id FROM selected_runs)`); got != "1 0 true" {
		t.Errorf("overflows, errors, turns before = %s", got)
	}
	out := wb(t, dir, "run", "--url", url, "--include-tags", "long,multilingual", "--exclude-tags", "core", "--max-turns", "1",
		"--max-tokens", "4", "--warmup", "0")
	if !strings.Contains(out, "left out: long_16k needs 15.8K tokens, and the context has 8.2K") {
		t.Errorf("%s", out)
	}
}

// What the first turns of two sessions found in the cache, in each mode of isolation.
func isolationFound(t *testing.T, dir, url string) {
	// with blocks of 128 tokens the first turn has one whole block, and the second, with a document, has nine
	for mode, want := range map[string]string{"salt": "0 0 true", "reset": "0 0 true", "none": "0 128 true"} {
		out := wb(t, dir, "run", "--url", url, "--conversations", "rag_injection", "--repeat", "2", "--max-turns", "3",
			"--max-tokens", "4", "--warmup", "0", "--isolation", mode)
		got := oneCell(t, dir, `SELECT (sum(cached_tokens) FILTER (WHERE turn = 1 AND repeat = 1))
			|| ' ' || (sum(cached_tokens) FILTER (WHERE turn = 1 AND repeat = 2))
			|| ' ' || (bool_and(cached_tokens >= 900) FILTER (WHERE turn = 3)) FROM measured_turns`)
		if mode == "none" && strings.HasSuffix(got, " 128 true") { // earlier runs may have filled the cache for the first session
			got = want
		}
		if got != want {
			t.Errorf("--isolation %s: first turns of sessions 1 and 2, and whether third turns hit: %s, want %s\n%s", mode, got, want, out)
		}
	}
}

// All repeats of a conversation miss the same tokens for the same causes, after warm-ups have made the server steady.
func sameCauses(t *testing.T, dir, url string) {
	out := wb(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--repeat", "6", "--max-turns", "3",
		"--max-tokens", "8", "--ignore-eos", "--replies", "scripted", "--name", "repeats")
	if got := oneCell(t, dir, `SELECT count(DISTINCT causes) || ' ' || count(*) FROM (
		SELECT repeat, string_agg(concat_ws(' ', turn, cause, tokens), ', ' ORDER BY turn, cause) AS causes
		FROM cache_misses WHERE run_id = (SELECT run_id FROM selected_runs) AND NOT warmup GROUP BY repeat)`); got != "1 6" {
		t.Errorf("different causes, repeats = %s\n%s\n%s", got, wb(t, dir, "query", "cache_miss_causes"), out)
	}
	if got := oneCell(t, dir, `SELECT (count(*) BETWEEN 3 AND 10) || ' ' ||
			(SELECT count(*) FROM events WHERE run_id = (SELECT run_id FROM selected_runs) AND kind IN ('warmup', 'not_steady'))
		FROM sessions WHERE warmup AND run_id = (SELECT run_id FROM selected_runs)`); got != "true 1" {
		t.Errorf("warm-ups, told = %s\n%s", got, out)
	}
}

// A run whose server is killed fails, and keeps what it had recorded.
func serverKilled(t *testing.T, dir, url string, group int) {
	cmd, stderr := startRun(t, dir, "--url", url, "--repeat", "50", "--conversations", "simple_qa", "--max-tokens", "40", "--name", "killed")
	waitTurns(t, stderr, 4)
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code := exitCode(t, cmd.Wait())
	said, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	if code != 1 || !strings.Contains(string(said), "wb: reach server "+url+": unreachable since turn ") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if got := oneCell(t, dir, `SELECT status || ' ' || (SELECT count(*) >= 4 FROM turns t WHERE t.run_id = r.run_id AND t.status = 'ok')
		FROM runs r WHERE name = 'killed'`); got != "failed true" {
		t.Errorf("run is %q", got)
	}
}

// Token ids predict or explain, turn by turn, what the cache did: with documents that come and go in every placement, and with a cache
// that is too small for two conversations.
func TestRealCache(t *testing.T) {
	engine := engineDir(t)
	dir := t.TempDir()
	managed := func(server []string, args ...string) {
		t.Helper()
		args = append(args, "--log-dir", t.TempDir(), "--isolation", "none", "--token-ids", "all", "--warmup", "1", "--max-tokens", "24",
			"--replies", "live")
		wb(t, dir, managedArgs(engine, server, args...)...)
	}
	managed(nil, "--conversations", "rag_injection,rag_topk", "--rag-placement", "all", "--name", "roomy")
	got := oneCell(t, dir, `SELECT (count(*) >= 40) || ' ' || (count(*) FILTER (WHERE NOT as_predicted AND unexplained > 0))
			|| ' ' || (count(*) FILTER (WHERE cached_tokens > block_ideal_tokens))
			|| ' ' || (count(*) FILTER (WHERE missed <> prompt_tokens - cached_tokens))
		FROM (SELECT c.*,
			(SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m
				WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id) AS missed,
			(SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m
				WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id AND m.cause = 'unknown') AS unexplained
			FROM cache_turns c WHERE run_id = (SELECT run_id FROM selected_runs))`)
	t.Log(wb(t, dir, "query", "-c", `SELECT count(*) AS turns, count(*) FILTER (WHERE as_predicted) AS as_predicted
		FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)`))
	if got != "true 0 0 0" {
		t.Errorf("40 turns, unexplained, beyond the ideal, sums that differ = %s\n%s", got, wb(t, dir, "query", "-c",
			`SELECT conversation, placement, turn, prompt_tokens, cached_tokens, predicted_tokens, block_ideal_tokens
			FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs) AND NOT as_predicted`))
	}
	t.Log(wb(t, dir, "query", "rag_placement"))

	// a pool of about 2,600 tokens: the second repeat finds little of the first
	pool := 60000000
	if len(dtypeFlags()) > 0 {
		pool *= 2 // float32
	}
	managed([]string{"--kv-cache-memory-bytes", strconv.Itoa(pool)}, "--conversations", "rag_topk,rag_injection",
		"--repeat", "2", "--max-turns", "3", "--max-model-len", "2048", "--name", "tight")
	if got := oneCell(t, dir, `SELECT (count(*) FILTER (WHERE NOT as_predicted)) || ' ' || ((SELECT sum(tokens) FROM cache_misses
			WHERE cause = 'evicted' AND run_id = (SELECT run_id FROM selected_runs)) > 200)
		FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)`); got != "0 true" {
		t.Errorf("turns not as predicted, evictions seen = %s\n%s", got, wb(t, dir, "query", "-c",
			`SELECT conversation, repeat, turn, prompt_tokens, cached_tokens, predicted_tokens, block_ideal_tokens
			FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)`))
	}
	out := wb(t, dir, "cache", "simulate", "--runs", "tight", "--block-size", "32,128", "--kv-tokens", "2k,unlimited", "--format", "csv")
	if strings.Count(out, "tight") != 4 {
		t.Errorf("%s", out)
	}
}

// The real Jinja2 renders templates as the golden files say.
func TestRealTemplates(t *testing.T) {
	engine := engineDir(t)
	goldens, err := filepath.Glob("../../data/testdata/templates/*.golden.json")
	if err != nil || len(goldens) != 2 {
		t.Fatalf("golden files: %v (%v)", goldens, err)
	}
	for _, golden := range goldens {
		d := strings.TrimSuffix(golden, ".golden.json")
		if filepath.Base(d) == "templates" {
			d = "../../data/templates" // the built-in ones
		}
		cases, err := os.Open("../../data/testdata/templates/cases.json")
		if err != nil {
			t.Fatal(err)
		}
		defer cases.Close()
		python := exec.Command(filepath.Join(engine, "venv", "bin", "python"), "../../data/testdata/templates/render.py", d)
		python.Stdin = cases
		out, err := python.Output()
		want, rerr := os.ReadFile(golden)
		if err != nil || rerr != nil || !bytes.Equal(out, want) {
			t.Errorf("%s: %v %v\n%s", d, err, rerr, out)
		}
	}
}

// A plan on the real engine compares prefix caching on with off. With it, later turns get their first token sooner, and the tokens after it
// come as fast as before.
func TestRealPlan(t *testing.T) {
	engine := engineDir(t)
	dir := t.TempDir()
	server := ""
	if flags := dtypeFlags(); len(flags) > 0 {
		server = "server: {dtype: " + flags[1] + "}"
	}
	plan := `name: apc
engine: vllm
model: ` + filepath.Join(engine, "smollm2-135m") + `
vllm: ` + engine + `
port: ` + freePort() + `
isolation: salt
warmup: 1
conversations: [agent_operator] # each prompt has more than a block of 128 tokens in common with the one before
max_turns: 3
max_tokens: 16
ignore_eos: true
replies: scripted
repeats: 8
seed: 4 # an order with five and four server processes, which are the unit of evidence: p can be as small as 0.016
` + server + `
matrix:
  server.enable_prefix_caching: [false, true]
`
	if err := os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Log(wb(t, dir, "run", "plan.yaml"))
	if got := oneCell(t, dir, `SELECT string_agg(name || ' ' || status || ' ' ||
			(SELECT count(*) FROM turns t WHERE t.run_id = r.run_id AND t.status = 'ok' AND NOT t.warmup), ' and ' ORDER BY name)
		FROM runs r`); got != "apc/enable-prefix-caching=false ok 24 and apc/enable-prefix-caching=true ok 24" {
		t.Errorf("runs: %s", got)
	}
	// each server process served only one cell, and its settings are recorded
	if got := oneCell(t, dir, "SELECT count(DISTINCT pid) = count(*) FROM raw.engine_start"); got != "true" {
		t.Errorf("a process is recorded for two cells: %s", wb(t, dir, "query", "server_startup", "--runs", "all"))
	}
	compare := []string{"compare", "apc/enable-prefix-caching=false", "apc/enable-prefix-caching=true",
		"--metric", "ttft,itl_p50,itl_p99", "--format", "csv"}
	out := wb(t, dir, append(compare, "--by", "turn")...)
	t.Log(out)
	for _, turn := range []string{"turn 2", "turn 3"} {
		if !regexp.MustCompile(`(?m)^ttft,` + turn + `,.*,faster,`).MatchString(out) {
			t.Errorf("TTFT of %s is not faster", turn)
		}
	}
	out = wb(t, dir, compare...)
	t.Log(out)
	// The time between tokens does not depend on the cache. But one in twenty comparisons of equals finds a difference of a few percent.
	for _, metric := range []string{"itl_p50", "itl_p99"} {
		m := regexp.MustCompile(`(?m)^` + metric + `,all,[^,]*,[^,]*,([^,]*),[^,]*,[^,]*,(\w+),`).FindStringSubmatch(out)
		if m == nil {
			t.Errorf("%s is not compared", metric)
			continue
		}
		if change, err := strconv.ParseFloat(m[1], 64); err != nil || (m[2] == "faster" || m[2] == "slower") && math.Abs(change) > 0.25 {
			t.Errorf("%s is called different: %s by %s (%v)", metric, m[2], m[1], err)
		}
	}
	// the figures of the model come from its files, and the memory of this machine was not measured
	if got := oneCell(t, dir, "SELECT DISTINCT limits_of FROM turn_limits"); !strings.HasPrefix(got, "unknown: the memory bandwidth ") {
		t.Errorf("limits of %q", got)
	}
	if got := oneCell(t, dir, `SELECT any_value(decode_weights_bytes BETWEEN 268000000 AND 270000000 AND layers = 30
		AND kv_layer_bytes = 2 * 3 * 64 * 2) FROM raw.model`); got != "true" {
		t.Errorf("SmolLM2-135M is %s", wb(t, dir, "query", "-c", "SELECT * FROM raw.model"))
	}
}
