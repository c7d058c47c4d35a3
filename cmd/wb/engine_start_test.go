package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wb/data/hub/hubtest"
)

// From an empty cache to a measured run: wb setup downloads from a hub that fails in every way from which wb can recover. The files have
// the layout of huggingface_hub. The real huggingface_hub and the real vLLM load them offline, with a new process for each session.
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
		t.Error("the token was sent to a host that is not the hub")
	}
	large := int64(0)
	for name, b := range files {
		if len(b) >= hubtest.Large && !strings.Contains(name, "/") {
			large += int64(len(b))
		}
	}
	if h.Sent() != large { // interrupted downloads were continued, and nothing was sent twice
		t.Errorf("%d bytes were sent for %d", h.Sent(), large)
	}
	// names do not show a wrong byte in a file that is in the cache already; a wrong byte in a download is noticed
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

	readByHubLibrary(t, engine, repo, filepath.Join(dir, "hf"))
	t.Log(try("", append([]string{"run", "--engine", "vllm", "--vllm", engine, "--model", "smollm2-135m", "--port", freePort(),
		"--conversations", "rag_injection", "--repeat", "2", "--max-turns", "3", "--max-tokens", "4", "--"}, dtypeFlags()...)...))
	got := oneCell(t, dir, `SELECT (sum(cached_tokens) FILTER (WHERE turn = 1))
			|| ' ' || (bool_and(cached_tokens >= 900) FILTER (WHERE turn = 3)) || ' ' || count(DISTINCT start_id)
			|| ' ' || string_agg(DISTINCT turns.isolation, ', ')
		FROM measured_turns AS turns JOIN sessions USING (run_id, session_id) WHERE turns.turn <> 2`)
	if got != "0 true 2 restart" {
		t.Errorf("first turns' hits, third turns hit, starts, mode = %s\n%s", got, wb(t, dir, "query", "turn_details"))
	}
	if got := oneCell(t, dir, `SELECT bool_and(startup_s > 5 AND first_token_s > startup_s AND kv_cache_size_tokens > 8192
		AND load_s > 0 AND stop_s > 0) || ' ' || count(*) FROM server_starts`); got != "true 2" {
		t.Errorf("starts: %s\n%s", got, wb(t, dir, "query", "server_startup"))
	}
}

// readByHubLibrary checks that the real huggingface_hub and transformers find a model offline.
func readByHubLibrary(t *testing.T, engine, repo, home string) {
	python := exec.Command(filepath.Join(engine, "venv", "bin", "python"), "-c", `
import huggingface_hub, transformers
d = huggingface_hub.snapshot_download("`+repo+`", local_files_only=True)
words = transformers.AutoTokenizer.from_pretrained("`+repo+`").encode("a few words")
print(d, len(words), [r.repo_id for r in huggingface_hub.scan_cache_dir().repos])`)
	python.Env = append(os.Environ(), "HF_HOME="+home, "HF_HUB_OFFLINE=1", "HF_HUB_CACHE="+filepath.Join(home, "hub"))
	out, err := python.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "snapshots/"+hubtest.Commit+" 3 ['"+repo+"']") {
		t.Errorf("huggingface_hub: %v\n%s", err, out)
	}
}

// runReal starts a run that starts vLLM, and waits until that many turns are done.
func runReal(t *testing.T, dir string, turns int, args ...string) (cmd *exec.Cmd, said, mark string) {
	t.Helper()
	return playing(t, dir, turns, 4*time.Minute, managedArgs(engineDir(t), nil, args...))
}

// playing starts a wb that plays simple_qa, and waits until that many turns are done, each within patience.
func playing(t *testing.T, dir string, turns int, patience time.Duration, args []string) (cmd *exec.Cmd, said, mark string) {
	t.Helper()
	cmd, _ = wbCommand(t, dir, args...)
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
		waitText(t, f.Name(), fmt.Sprintf("simple_qa        turn  %d/5", n), patience)
	}
	return cmd, f.Name(), mark
}

// killWB kills wb in a run of two turns or more. Nothing is left within 10 s, and the run has failed with the turns that were finished.
func killWB(t *testing.T, dir string, cmd *exec.Cmd, mark string, all map[int]string) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	noneLeft(t, mark, 10*time.Second, all)
	got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) >= 2 FROM turns WHERE status = 'ok') FROM runs")
	if got != "failed true" {
		t.Errorf("run is %q", got)
	}
}

func TestRealKilled(t *testing.T) {
	t.Run("wb", func(t *testing.T) {
		dir := t.TempDir()
		cmd, _, mark := runReal(t, dir, 2, "--conversations", "simple_qa", "--isolation", "none", "--warmup", "1", "--max-tokens", "40")
		all := family(t, mark)
		// wb, its guard, the API server, the engine core
		if text := fmt.Sprint(all); len(all) < 4 || !strings.Contains(text, "VLLM::EngineCor") {
			t.Errorf("processes: %v", all)
		}
		killWB(t, dir, cmd, mark, all)
	})
	t.Run("engine core", func(t *testing.T) {
		dir := t.TempDir()
		cmd, said, mark := runReal(t, dir, 2, "--conversations", "simple_qa", "--isolation", "none", "--warmup", "1",
			"--max-tokens", "200", "--ignore-eos")
		time.Sleep(500 * time.Millisecond) // into the third turn, which takes about 4 s
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
		const cause = "wb: turn 3 of simple_qa: keep vLLM running: vLLM's engine core died"
		if killed != 1 || code != 1 || !strings.Contains(string(b), cause) {
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
		waitText(t, said, "vLLM: loading libraries", 2*patience)
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
