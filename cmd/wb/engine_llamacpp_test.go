package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// llamaArgs are the arguments of a command that starts the real llama-server. server are arguments of llama-server.
func llamaArgs(engine, command string, server []string, args ...string) []string {
	model := filepath.Join(engine, "smollm2-135m.gguf")
	words := []string{"serve", model}
	if command == "run" {
		words = []string{"run", "--engine", "llamacpp", "--model", model}
	}
	words = append(words, "--llama-server", filepath.Join(engine, "llamacpp-server"))
	words = append(append(words, args...), "--", "-t", "1") // more threads stall a small machine
	return append(words, server...)
}

// Each session has a fresh process: its first turn finds next to nothing in the cache, and its second one does.
func TestRealLlamaManaged(t *testing.T) {
	engine, dir := engineDir(t), t.TempDir()
	cmd, out := wbCommand(t, dir, llamaArgs(engine, "run", nil, "--port", freePort(), "--conversations", "simple_qa", "--repeat", "3",
		"--max-turns", "2", "--max-tokens", "4", "--warmup", "1")...)
	mark := marked(t, cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	noneLeft(t, mark, 5*time.Second)
	t.Log(out)
	// the warm-up's prompt begins as all prompts do, with the few tokens that open a message
	got := oneCell(t, dir, `SELECT (max(cached_tokens) FILTER (WHERE turns.turn = 1) < 10) || ' '
			|| (min(cached_tokens) FILTER (WHERE turns.turn = 2) > 50) || ' ' || count(DISTINCT start_id) || ' '
			|| string_agg(DISTINCT turns.isolation, ', ')
		FROM measured_turns AS turns JOIN sessions USING (run_id, session_id)`)
	if got != "true true 3 restart" {
		t.Errorf("first turns are cold, second turns hit, starts, mode = %s\n%s", got, wb(t, dir, "query", "turn_details"))
	}
	if got := oneCell(t, dir, `SELECT bool_and(startup_s > 0 AND first_token_s > startup_s AND kv_cache_size_tokens = 8192
		AND weights_bytes > 50e6 AND load_s > 0 AND stop_s > 0) || ' ' || count(*) FROM server_starts`); got != "true 3" {
		t.Errorf("starts: %s\n%s", got, wb(t, dir, "query", "server_startup"))
	}
	got = oneCell(t, dir, `SELECT string_agg(value, ' ' ORDER BY name) FROM settings WHERE name IN ('--threads', '--ctx-size', '--parallel')`)
	if got != "8192 1 1" {
		t.Errorf("context, slots, threads are recorded as %s", got)
	}
}

// startLlama starts a run of many turns and waits until some of them are done.
func startLlama(t *testing.T, dir string) (cmd *exec.Cmd, said, mark string) {
	t.Helper()
	return playing(t, dir, 2, patience, llamaArgs(engineDir(t), "run", nil, "--port", freePort(), "--conversations", "simple_qa",
		"--repeat", "50", "--isolation", "none", "--warmup", "1", "--max-tokens", "40"))
}

// After kill -9 of wb nothing is left within 10 s. After kill -9 of the server the run fails with the cause, and keeps what was finished.
func TestRealLlamaManagedKilled(t *testing.T) {
	t.Run("wb", func(t *testing.T) {
		dir := t.TempDir()
		cmd, _, mark := startLlama(t, dir)
		all := family(t, mark)
		if text := fmt.Sprint(all); len(all) < 3 || !strings.Contains(text, "llama-server") { // wb, its guard, the server
			t.Errorf("processes: %v", all)
		}
		killWB(t, dir, cmd, mark, all)
	})
	t.Run("server", func(t *testing.T) {
		dir := t.TempDir()
		cmd, said, mark := startLlama(t, dir)
		killed := 0
		all := family(t, mark)
		for pid, name := range all {
			if name == "llama-server" {
				killed++
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		code := exitCode(t, cmd.Wait())
		b := read(t, said)
		const cause = "of simple_qa: keep llama-server running: it was killed (signal 9)\nhint: the kernel kills processes when memory runs out"
		if killed != 1 || code != 1 || !strings.Contains(string(b), cause) {
			t.Errorf("killed %d, exit %d\n%s", killed, code, b)
		}
		noneLeft(t, mark, 5*time.Second, all)
		if got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) >= 2 FROM measured_turns) FROM runs"); got != "failed true" {
			t.Errorf("run is %q", got)
		}
	})
}

// A start that fails leaves nothing running, and says why in one line: before the start, and from the log of the real server.
func TestRealLlamaManagedFails(t *testing.T) {
	engine := engineDir(t)
	whole := read(t, filepath.Join(engine, "smollm2-135m.gguf"))
	damaged := filepath.Join(t.TempDir(), "damaged.gguf")
	if err := os.WriteFile(damaged, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, taken, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		args, server []string
		want         string
	}{
		{"port taken", []string{"--port", taken}, nil, "wb: listen on port " + taken + ": it is held by pid "},
		{"longer than the model", []string{"--max-model-len", "8M"}, nil,
			"wb: start llama-server: a context of 8388608 tokens is more than the model's 8192\nhint: use --max-model-len 8192 or less"},
		{"model too large", []string{"--max-model-len", "8M"}, []string{"--rope-scaling", "yarn", "-np", "256"},
			" of KV cache (256 slots of 8388608 tokens)"},
		{"unknown flag", nil, []string{"--bogus-flag"},
			"wb: start llama-server: llama-server does not know --bogus-flag\nhint: see llama-server --help"},
		{"no such device", nil, []string{"--device", "CUDA9"}, "wb: start llama-server: there is no device CUDA9\n"},
		{"no such type", nil, []string{"-ctk", "nope"}, "wb: start llama-server: llama-server refuses -"},
		{"template", nil, []string{"--chat-template", "{% for %}"}, "wb: start llama-server: llama-server cannot use the chat template\n"},
		{"too many slots", nil, []string{"-np", "300", "-c", "300"}, "n_seq_max must be <= 256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.args == nil {
				tt.args = []string{"--port", freePort()}
			} else if tt.args[0] != "--port" {
				tt.args = append(tt.args, "--port", freePort())
			}
			cmd, out := wbCommand(t, t.TempDir(), llamaArgs(engine, "serve", tt.server, tt.args...)...)
			mark := marked(t, cmd)
			if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d\n%s", code, out)
			}
			noneLeft(t, mark, 5*time.Second)
		})
	}
	cmd, out := wbCommand(t, t.TempDir(), "serve", damaged, "--llama-server", filepath.Join(engine, "llamacpp-server"), "--port", freePort())
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), "wb: read "+damaged+": it is shorter than its tensors") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
