package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realEngine starts vLLM with the small model that make e2e installed and gives its URL; it is ended with the test.
func realEngine(t *testing.T) (url string, group int) {
	t.Helper()
	dir := os.Getenv("WB_ENGINE")
	if dir == "" {
		t.Skip("WB_ENGINE is not set; make e2e sets it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "vllm.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command("testdata/engine/serve.sh", dir, fmt.Sprint(port))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		select {
		case <-ended:
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("vLLM ended:\n%s", b[max(0, len(b)-3000):])
		default:
		}
		if resp, err := http.Get(url + "/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return url, cmd.Process.Pid
			}
		}
	}
	t.Fatal("vLLM did not come up in 5 minutes")
	return "", 0
}

// The whole thread on a real vLLM with a real model.
func TestRealEngine(t *testing.T) {
	url, group := realEngine(t)
	dir := t.TempDir()
	out := wb(t, dir, "doctor", "--url", url)
	if !strings.Contains(out, "cached tokens reported") {
		t.Errorf("doctor:\n%s", out)
	}
	out = wb(t, dir, "run", "--url", url, "--model", "smollm2-135m", "--conversations", "simple_qa,code_discussion,rag_simulation", "--max-tokens", "40", "--name", "real")
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
		cmd, buf := wbCommand(t, dir, "run", "--url", url, "--conversations", "ultra_long,simple_qa", "--max-tokens", "8", "--warmup", "0")
		if code := exitCode(t, cmd.Run()); code != 0 || !strings.Contains(buf.String(), "http_error: HTTP 400: This model's maximum context length is 8192 tokens") {
			t.Errorf("exit %d\n%s", code, buf)
		}
	})
	t.Run("salted sessions share nothing, unsalted do", func(t *testing.T) {
		for mode, want := range map[string]string{"salt": "0", "none": "1"} {
			wb(t, dir, "run", "--url", url, "--conversations", "rag_simulation", "--repeat", "2", "--max-turns", "2", "--max-tokens", "4", "--warmup", "0", "--isolation", mode, "--quiet")
			got := oneCell(t, dir, "SELECT count(*) FILTER (WHERE repeat = 2 AND turn = 2 AND cached_tokens >= 900) FROM measured_turns")
			if got != want {
				t.Errorf("--isolation %s: %s second sessions hit the whole first prompt, want %s", mode, got, want)
			}
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
