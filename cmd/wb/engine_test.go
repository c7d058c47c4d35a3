package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
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

	"wb/data/hub/hubtest"
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

// dtypeFlags choose the type of numbers that vLLM computes with where this CPU is slow at the model's own, bf16.
// Without instructions for bf16 a prompt takes four times as long as in float32 (docs/serving.md).
func dtypeFlags() []string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil && (bytes.Contains(info, []byte("avx512_bf16")) || bytes.Contains(info, []byte("amx_bf16"))) {
		return nil
	}
	return []string{"--dtype", "float32"}
}

// managedArgs are the arguments of a run that starts vLLM with the small model; server are vLLM's own.
func managedArgs(engine string, server []string, args ...string) []string {
	args = append([]string{"run", "--engine", "vllm", "--vllm", engine, "--model", filepath.Join(engine, "smollm2-135m"),
		"--port", freePort()}, args...)
	return slices.Concat(args, []string{"--"}, dtypeFlags(), server)
}

// freePort is a port that nobody holds, below those that the kernel hands to outgoing connections.
func freePort() string {
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
}

// marked gives a command an environment by which everything it starts can be found.
func marked(t *testing.T, cmd *exec.Cmd, env ...string) (mark string) {
	t.Helper()
	mark = fmt.Sprintf("WB_TEST_MARK=%d-%s", os.Getpid(), filepath.Base(t.TempDir())+t.Name())
	cmd.Env = append(append(os.Environ(), mark, "XDG_CACHE_HOME="+t.TempDir()), env...)
	return mark
}

// family lists the living processes with a mark and what descends from them, by pid and name. Descent counts too, since vLLM's
// engine core writes its title over its environment.
func family(t *testing.T, mark string) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	names, parents, out := map[int]string{}, map[int]int{}, map[int]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// pid (name) state ppid …
		from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
		rest := strings.Fields(string(b[to+1:]))
		pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:from])))
		ppid, err2 := strconv.Atoi(rest[1])
		if err1 != nil || err2 != nil || rest[0] == "Z" {
			continue
		}
		names[pid], parents[pid] = string(b[from+1:to]), ppid
		if env, err := os.ReadFile(filepath.Join(filepath.Dir(f), "environ")); err == nil && bytes.Contains(env, []byte(mark)) {
			out[pid] = names[pid]
		}
	}
	for more := true; more; {
		more = false
		for pid, ppid := range parents {
			if _, in := out[pid]; !in && out[ppid] != "" {
				out[pid], more = names[pid], true
			}
		}
	}
	return out
}

// noneLeft waits until no process with a mark lives, nor any of those that were known.
func noneLeft(t *testing.T, mark string, limit time.Duration, known ...map[int]string) {
	t.Helper()
	began := time.Now()
	left := func() map[int]string {
		out := family(t, mark)
		for _, k := range known {
			for pid, name := range k {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(b)) == name {
					out[pid] = name
				}
			}
		}
		return out
	}
	for len(left()) > 0 {
		if time.Since(began) > limit {
			t.Fatalf("after %v these are left: %v", limit, left())
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("nothing is left after %v", time.Since(began))
}

func waitText(t *testing.T, file, text string, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never said %q:\n%s", text, b)
		}
	}
}

// realEngine serves the small model with wb serve and gives its URL and the process group of vLLM; it is ended with the test.
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

// The whole thread on a real vLLM with a real model.
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
		t.Error("a real run is called simulated")
	}

	t.Run("all turns complete, both counts agree", func(t *testing.T) {
		got := oneCell(t, dir, `SELECT count(*) || ' ' || count(*) FILTER (WHERE status = 'ok') || ' ' || count(*) FILTER (WHERE cached_tokens = counter_hit_tokens AND prompt_tokens = counter_query_tokens AND server_requests = 1)
			FROM turns JOIN turn_counters USING (run_id, turn_id)`)
		if got != "20 20 20" { // 1 warm-up, 5, 6 and 8 turns
			t.Errorf("turns, ok, agreeing = %s\n%s", got, wb(t, dir, "query", "cache_counters_agree"))
		}
	})
	t.Run("hits are whole blocks, and there are some", func(t *testing.T) {
		if got := oneCell(t, dir, `SELECT (count(*) FILTER (WHERE cached_tokens % block_size_tokens <> 0 OR cached_tokens >= prompt_tokens)) || ' ' || (count(*) FILTER (WHERE cached_tokens > 0) >= 8)
			FROM turns JOIN runs USING (run_id)`); got != "0 true" {
			t.Errorf("broken blocks, enough hits = %s", got)
		}
	})
	t.Run("the cache is seen at work", func(t *testing.T) {
		out := wb(t, dir, "query", "ttft_cold_vs_cached")
		t.Log(out)
		if got := oneCell(t, dir, `WITH m AS (SELECT *, cached_tokens * 2 >= prompt_tokens AS cached FROM measured_turns)
			SELECT (sum(prompt_tokens) FILTER (WHERE cached) / sum(ttft_ms) FILTER (WHERE cached)) > 1.5 * (sum(prompt_tokens) FILTER (WHERE NOT cached) / sum(ttft_ms) FILTER (WHERE NOT cached)) FROM m`); got != "true" {
			t.Errorf("prompt tokens a second are not higher when cached")
		}
	})
	t.Run("tokens are counted per chunk", func(t *testing.T) {
		if got := oneCell(t, dir, "SELECT count(*) FROM turns t WHERE completion_tokens <> (SELECT sum(tokens) FROM chunks c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id)"); got != "0" {
			t.Errorf("%s turns whose chunks do not add up", got)
		}
	})
	t.Run("the server's own split fits the client's", func(t *testing.T) {
		if got := oneCell(t, dir, "SELECT count(*) FROM turns JOIN turn_counters USING (run_id, turn_id) WHERE server_ttft_ms IS NULL OR server_ttft_ms > ttft_ms + 1"); got != "0" {
			t.Errorf("in %s turns the server's TTFT is missing or longer than the client's", got)
		}
	})
	t.Run("the server's processes are sampled", func(t *testing.T) {
		if got := oneCell(t, dir, "SELECT max(rss_bytes) > 500000000 FROM processes WHERE role = 'engine'"); got != "true" {
			t.Errorf("engine memory over 500 MB: %s", got)
		}
	})
	t.Run("a prompt beyond the context", func(t *testing.T) {
		cmd, buf := wbCommand(t, dir, "run", "--url", url, "--conversations", "ultra_long,simple_qa", "--max-tokens", "8", "--warmup", "0", "--replies", "scripted")
		if code := exitCode(t, cmd.Run()); code != 0 || !strings.Contains(buf.String(), "and the context 8192; not sent") {
			t.Errorf("exit %d\n%s", code, buf)
		}
		// counted by the server's own tokeniser before it is sent; the turns before are there
		if got := oneCell(t, dir, "SELECT (count(*) FILTER (WHERE status = 'overflow' AND prompt_tokens >= 8192)) || ' ' || (count(*) FILTER (WHERE status = 'http_error')) || ' ' || (count(*) FILTER (WHERE status = 'ok' AND conversation = 'ultra_long') > 0) FROM turns WHERE run_id = (SELECT run_id FROM selected_runs)"); got != "1 0 true" {
			t.Errorf("overflows, errors, turns before = %s", got)
		}
		out := wb(t, dir, "run", "--url", url, "--include-tags", "long", "--max-turns", "1", "--max-tokens", "4", "--warmup", "0")
		if !strings.Contains(out, "left out: ultra_long needs 15K of 8.2K tokens") {
			t.Errorf("%s", out)
		}
	})
	t.Run("isolation", func(t *testing.T) {
		// at block 128 the first turn has one whole block, the second, with a document, nine
		for mode, want := range map[string]string{"salt": "0 0 true", "reset": "0 0 true", "none": "0 128 true"} {
			out := wb(t, dir, "run", "--url", url, "--conversations", "rag_simulation", "--repeat", "2", "--max-turns", "3", "--max-tokens", "4", "--warmup", "0", "--isolation", mode)
			got := oneCell(t, dir, `SELECT (sum(cached_tokens) FILTER (WHERE turn = 1 AND repeat = 1)) || ' ' || (sum(cached_tokens) FILTER (WHERE turn = 1 AND repeat = 2)) || ' ' ||
				(bool_and(cached_tokens >= 900) FILTER (WHERE turn = 3)) FROM measured_turns`)
			if mode == "none" && strings.HasSuffix(got, " 128 true") { // what ran before may serve the first session too
				got = want
			}
			if got != want {
				t.Errorf("--isolation %s: first turns of sessions 1 and 2 found %s, want %s; the last says whether third turns hit\n%s", mode, got, want, out)
			}
		}
	})
	t.Run("repeats have the same causes, on a server that is steady", func(t *testing.T) {
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
	})
	t.Run("the model's template rendered here gives the server's own tokens", func(t *testing.T) {
		wb(t, dir, "run", "--url", url, "--conversations", "simple_qa", "--max-turns", "2", "--max-tokens", "8", "--warmup", "1",
			"--api", "completions", "--chat-template", "chatml", "--name", "rendered")
		got := oneCell(t, dir, `SELECT string_agg(kind, ' ') || ' ' || (SELECT count(*) FROM measured_turns)
			FROM events WHERE run_id = (SELECT run_id FROM selected_runs) AND kind LIKE 'template%'`)
		if got != "template_same 2" {
			t.Errorf("template, turns = %s\n%s", got, wb(t, dir, "query", "run_events"))
		}
	})
	t.Run("the server is killed mid-run", func(t *testing.T) {
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
		if got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) >= 4 FROM turns t WHERE t.run_id = r.run_id AND t.status = 'ok') FROM runs r WHERE name = 'killed'"); got != "failed true" {
			t.Errorf("run is %q", got)
		}
	})
}

// llama.cpp takes no salt: a line at the head of the prompts keeps sessions apart, so that repeats are as cold as the first pass.
func TestRealLlamaCpp(t *testing.T) {
	engine := engineDir(t)
	port := freePort()
	server := exec.Command(filepath.Join(engine, "llamacpp", "bin", "python"), "testdata/engine/llamacpp.py",
		filepath.Join(engine, "smollm2-135m.gguf"), port)
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	server.Stdout, server.Stderr = said, said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	waitText(t, said.Name(), "listening on", time.Minute)
	dir := t.TempDir()
	out := wb(t, dir, "run", "--url", "http://127.0.0.1:"+port, "--conversations", "simple_qa", "--repeat", "3", "--max-turns", "2",
		"--max-tokens", "8", "--ignore-eos", "--replies", "scripted")
	t.Log(out)
	if !strings.Contains(out, "a line at the head of each session's prompts keeps sessions apart") ||
		strings.Contains(out, "--ignore-eos is not sent") {
		t.Errorf("%s", out)
	}
	got := oneCell(t, dir, `SELECT count(*) || ' ' || count(DISTINCT prompt_tokens)
		|| ' ' || (max(cached_tokens) FILTER (WHERE turn = 1) < 16) || ' ' || (min(cached_tokens) FILTER (WHERE turn = 2) > 80)
		|| ' ' || bool_or(began_warm) || ' ' || any_value(isolation) || ' ' || bool_and(completion_tokens = 8) FROM measured_turns`)
	if got != "6 2 true true false line true" {
		t.Errorf("turns, lengths of prompts, first turns cold, second ones not, warm, isolation, whole replies = %s\n%s", got,
			wb(t, dir, "query", "turn_details"))
	}
}

// From an empty cache to a measured run: wb setup against a hub that fails in every way that can be got over, the files in the hub's
// own layout, and the real huggingface_hub and the real vLLM loading them offline, a fresh process for each session.
func TestRealSetup(t *testing.T) {
	engine := engineDir(t)
	const repo = "HuggingFaceTB/SmolLM2-135M-Instruct"
	files := map[string][]byte{"README.md": []byte("left out"), "onnx/model.onnx": make([]byte, 1<<20)}
	entries, err := os.ReadDir(filepath.Join(engine, "smollm2-135m"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(engine, "smollm2-135m", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	h, stop := hubtest.Start(map[string]map[string][]byte{repo: files})
	defer stop()
	h.CutAfter, h.Cuts, h.Expire, h.Busy = 60<<20, 3, 2, 1
	h.Token, h.Gated[repo] = "hf_test", true
	dir := t.TempDir()
	env := []string{"HF_HOME=" + filepath.Join(dir, "hf"), "HF_ENDPOINT=" + h.URL, "HF_HUB_CACHE=", "HF_HUB_OFFLINE=", "TRANSFORMERS_OFFLINE="}
	try := func(want string, args ...string) string {
		t.Helper()
		cmd, out := wbCommand(t, dir, args...)
		marked(t, cmd, env...)
		err := cmd.Run()
		if (err == nil) != (want == "") || !strings.Contains(out.String(), want) {
			t.Fatalf("wb %v: %v\n%s", args, err, out)
		}
		return out.String()
	}
	try("the model is gated", "setup", "--vllm", engine) // 401, then 403
	try("there is no such model", "models", "pull", "org/nope")
	env = append(env, "HF_TOKEN=wrong")
	try("the token is not valid", "setup", "--vllm", engine)
	env = append(env, "HF_TOKEN=hf_test")
	t.Log(try("", "setup", "--vllm", engine))
	if h.Leaked() {
		t.Error("the token left the hub")
	}
	large := int64(0)
	for name, b := range files {
		if len(b) >= hubtest.Large && !strings.Contains(name, "/") {
			large += int64(len(b))
		}
	}
	if h.Sent() != large { // cuts were continued, nothing came twice
		t.Errorf("%d bytes were sent for %d", h.Sent(), large)
	}
	// one wrong byte in what is there already is not noticed by looking at names; one that comes over the wire is
	blob := filepath.Join(dir, "hf", "hub", "models--HuggingFaceTB--SmolLM2-135M-Instruct", "blobs", hubtest.ETag(files["model.safetensors"]))
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	h.Lock()
	h.WrongByte = 1
	h.Unlock()
	try("", "models", "pull", "smollm2-135m")
	if got, err := os.ReadFile(blob); err != nil || !bytes.Equal(got, files["model.safetensors"]) {
		t.Errorf("the weights differ (%v)", err)
	}
	stop()

	python := exec.Command(filepath.Join(engine, "venv", "bin", "python"), "-c", `
import huggingface_hub, transformers
d = huggingface_hub.snapshot_download("`+repo+`", local_files_only=True)
print(d, len(transformers.AutoTokenizer.from_pretrained("`+repo+`").encode("a few words")), [r.repo_id for r in huggingface_hub.scan_cache_dir().repos])`)
	python.Env = append(os.Environ(), "HF_HOME="+filepath.Join(dir, "hf"), "HF_HUB_OFFLINE=1", "HF_HUB_CACHE="+filepath.Join(dir, "hf", "hub"))
	out, err := python.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "snapshots/"+hubtest.Commit+" 3 ['"+repo+"']") {
		t.Errorf("huggingface_hub: %v\n%s", err, out)
	}

	t.Log(try("", append([]string{"run", "--engine", "vllm", "--vllm", engine, "--model", "smollm2-135m", "--port", freePort(),
		"--conversations", "rag_simulation", "--repeat", "2", "--max-turns", "3", "--max-tokens", "4", "--"}, dtypeFlags()...)...))
	got := oneCell(t, dir, `SELECT (sum(cached_tokens) FILTER (WHERE turn = 1))
			|| ' ' || (bool_and(cached_tokens >= 900) FILTER (WHERE turn = 3)) || ' ' || count(DISTINCT start_id) || ' ' || string_agg(DISTINCT turns.isolation, ', ')
		FROM measured_turns AS turns JOIN sessions USING (run_id, session_id) WHERE turns.turn <> 2`)
	if got != "0 true 2 restart" {
		t.Errorf("first turns' hits, third turns hit, starts, mode = %s\n%s", got, wb(t, dir, "query", "turn_details"))
	}
	if got := oneCell(t, dir, "SELECT bool_and(startup_s > 5 AND first_token_s > startup_s AND kv_cache_size_tokens > 8192 AND load_s > 0 AND stop_s > 0) || ' ' || count(*) FROM server_starts"); got != "true 2" {
		t.Errorf("starts: %s\n%s", got, wb(t, dir, "query", "server_startup"))
	}
}

// runReal starts a managed run and waits until so many turns are done.
func runReal(t *testing.T, dir string, turns int, args ...string) (cmd *exec.Cmd, said, mark string) {
	t.Helper()
	engine := engineDir(t)
	cmd, _ = wbCommand(t, dir, managedArgs(engine, nil, args...)...)
	f, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd.Stdout, cmd.Stderr = f, f
	mark = marked(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for n := 1; n <= turns; n++ {
		waitText(t, f.Name(), fmt.Sprintf("simple_qa        turn  %d/5", n), 4*time.Minute)
	}
	return cmd, f.Name(), mark
}

func TestRealKilled(t *testing.T) {
	t.Run("wb", func(t *testing.T) {
		dir := t.TempDir()
		cmd, _, mark := runReal(t, dir, 2, "--conversations", "simple_qa", "--isolation", "none", "--warmup", "1", "--max-tokens", "40")
		all := family(t, mark)
		if text := fmt.Sprint(all); len(all) < 4 || !strings.Contains(text, "VLLM::EngineCor") { // wb, its guard, the API server, the engine core
			t.Errorf("processes: %v", all)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		noneLeft(t, mark, 10*time.Second, all)
		if got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) >= 2 FROM turns WHERE status = 'ok') FROM runs"); got != "failed true" {
			t.Errorf("run is %q", got)
		}
	})
	t.Run("engine core", func(t *testing.T) {
		dir := t.TempDir()
		cmd, said, mark := runReal(t, dir, 2, "--conversations", "simple_qa", "--isolation", "none", "--warmup", "1",
			"--max-tokens", "200", "--ignore-eos")
		time.Sleep(500 * time.Millisecond) // into the third turn, which takes some 4 s
		killed := 0
		all := family(t, mark)
		for pid, name := range all {
			if strings.HasPrefix(name, "VLLM::EngineCor") {
				killed++
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		code := exitCode(t, cmd.Wait())
		b, err := os.ReadFile(said)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", b)
		if killed != 1 || code != 1 || !strings.Contains(string(b), "wb: turn 3 of simple_qa: keep vLLM running: vLLM's engine core died") {
			t.Errorf("killed %d, exit %d", killed, code)
		}
		noneLeft(t, mark, 5*time.Second, all)
		if got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) FROM measured_turns) FROM runs"); got != "failed 2" {
			t.Errorf("run is %q", got)
		}
	})
	t.Run("Ctrl-C during start-up", func(t *testing.T) {
		dir := t.TempDir()
		cmd, said, mark := runReal(t, dir, 0)
		waitText(t, said, "vLLM: loading libraries", time.Minute)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		all := family(t, mark)
		if code := exitCode(t, cmd.Wait()); code != 130 {
			b, _ := os.ReadFile(said)
			t.Errorf("exit %d\n%s", code, b)
		}
		noneLeft(t, mark, time.Second, all)
		if _, err := os.Stat(filepath.Join(dir, "wb.duckdb")); err == nil {
			t.Error("a file of a run that never began is left")
		}
	})
}

// What the cache did is predicted, or explained, turn by turn, from token ids: documents that come and go in every placement, and a
// cache too small for two conversations.
func TestRealCacheTruth(t *testing.T) {
	engine := engineDir(t)
	dir := t.TempDir()
	managed := func(server []string, args ...string) {
		t.Helper()
		args = append(args, "--log-dir", t.TempDir(), "--isolation", "none", "--token-ids", "all", "--warmup", "1", "--max-tokens", "24")
		wb(t, dir, managedArgs(engine, server, args...)...)
	}
	managed(nil, "--conversations", "rag_simulation,rag_topk", "--rag-placement", "all", "--name", "roomy")
	got := oneCell(t, dir, `SELECT (count(*) >= 40) || ' ' || (count(*) FILTER (WHERE NOT as_predicted AND unexplained > 0)) || ' ' || (count(*) FILTER (WHERE cached_tokens > block_ideal_tokens)) || ' ' || (count(*) FILTER (WHERE missed <> prompt_tokens - cached_tokens))
		FROM (SELECT c.*, (SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id) AS missed,
			(SELECT coalesce(sum(m.tokens), 0) FROM raw.cache_miss m WHERE m.run_id = c.run_id AND m.turn_id = c.turn_id AND m.cause = 'unknown') AS unexplained
			FROM cache_turns c WHERE run_id = (SELECT run_id FROM selected_runs))`)
	t.Log(wb(t, dir, "query", "-c", "SELECT count(*) AS turns, count(*) FILTER (WHERE as_predicted) AS as_predicted FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)"))
	if got != "true 0 0 0" {
		t.Errorf("40 turns, unexplained, beyond the ideal, sums that differ = %s\n%s", got, wb(t, dir, "query", "-c", "SELECT conversation, variant, turn, prompt_tokens, cached_tokens, predicted_tokens, block_ideal_tokens FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs) AND NOT as_predicted"))
	}
	t.Log(wb(t, dir, "query", "rag_placement"))

	// a pool of some 2,600 tokens: the second pass finds little of the first
	pool := 60000000
	if len(dtypeFlags()) > 0 {
		pool *= 2 // float32
	}
	managed([]string{"--kv-cache-memory-bytes", strconv.Itoa(pool)}, "--conversations", "rag_topk,rag_simulation",
		"--repeat", "2", "--max-turns", "3", "--max-model-len", "2048", "--name", "tight")
	if got := oneCell(t, dir, `SELECT (count(*) FILTER (WHERE NOT as_predicted)) || ' ' || ((SELECT sum(tokens) FROM cache_misses WHERE cause = 'evicted' AND run_id = (SELECT run_id FROM selected_runs)) > 200)
		FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)`); got != "0 true" {
		t.Errorf("turns not as predicted, evictions seen = %s\n%s", got, wb(t, dir, "query", "-c", "SELECT conversation, repeat, turn, prompt_tokens, cached_tokens, predicted_tokens, block_ideal_tokens FROM cache_turns WHERE run_id = (SELECT run_id FROM selected_runs)"))
	}
	if out := wb(t, dir, "cache", "simulate", "--runs", "tight", "--block-size", "32,128", "--kv-tokens", "2k,unlimited", "--format", "csv"); strings.Count(out, "tight") != 4 {
		t.Errorf("%s", out)
	}
	// the real Jinja2 still gives what the golden files say
	for _, d := range []string{"../../data/templates", "../../data/testdata/templates/own"} {
		cases, err := os.Open("../../data/testdata/templates/cases.json")
		if err != nil {
			t.Fatal(err)
		}
		defer cases.Close()
		python := exec.Command(filepath.Join(engine, "venv", "bin", "python"), "../../data/testdata/templates/render.py", d)
		python.Stdin = cases
		out, err := python.Output()
		want, rerr := os.ReadFile("../../data/testdata/templates/" + filepath.Base(d) + ".golden.json")
		if err != nil || rerr != nil || !bytes.Equal(out, want) {
			t.Errorf("%s: %v %v\n%s", d, err, rerr, out)
		}
	}
}

// A plan on the real engine: prefix caching on against off, taken in turns. Later turns get their first token sooner; tokens after it come as before.
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
	// each server process served one cell only, and what it was started with is on record
	if got := oneCell(t, dir, "SELECT count(DISTINCT pid) = count(*) FROM raw.engine_start"); got != "true" {
		t.Errorf("a process stands under two cells: %s", wb(t, dir, "query", "server_startup", "--runs", "all"))
	}
	out := wb(t, dir, "compare", "apc/enable-prefix-caching=false", "apc/enable-prefix-caching=true", "--metric", "ttft,itl_p50,itl_p99", "--by", "turn", "--format", "csv")
	t.Log(out)
	for _, turn := range []string{"turn 2", "turn 3"} {
		if !regexp.MustCompile(`(?m)^ttft,` + turn + `,.*,faster,`).MatchString(out) {
			t.Errorf("TTFT of %s is not faster", turn)
		}
	}
	out = wb(t, dir, "compare", "apc/enable-prefix-caching=false", "apc/enable-prefix-caching=true", "--metric", "ttft,itl_p50,itl_p99", "--format", "csv")
	t.Log(out)
	// time between tokens does not depend on the cache. One in twenty comparisons of equals is called different, though, by some percent.
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
	// the model's figures are those of its files, and a CPU has no limits in the table
	if got := oneCell(t, dir, "SELECT DISTINCT limits_of FROM turn_limits"); !strings.HasPrefix(got, "unknown: ") {
		t.Errorf("limits of %q", got)
	}
	if got := oneCell(t, dir, "SELECT any_value(decode_weights_bytes BETWEEN 268000000 AND 270000000 AND layers = 30 AND kv_layer_bytes = 2 * 3 * 64 * 2) FROM raw.model"); got != "true" {
		t.Errorf("SmolLM2-135M is %s", wb(t, dir, "query", "-c", "SELECT * FROM raw.model"))
	}
}
