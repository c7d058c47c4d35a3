package main

import (
	"bytes"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wb/collect/engine"
	wbsql "wb/sql"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wb": main, "fakevllm": fakeVLLM, "fakellama": fakeLlama, "fakehub": fakeHub})
}

// TestScripts runs the stories of testdata/script: what a user types and what wb answers.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error { // two runs of the tests on one machine must not use the same ports
			for _, name := range []string{"PORT1", "PORT2", "PORT3"} {
				e.Setenv(name, freePort())
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// waitfor FILE TEXT waits until a file, which a background command writes, holds a text
			"waitfor": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: waitfor FILE TEXT")
				}
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
					if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && strings.Contains(string(b), args[1]) {
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("%s never held %q", args[0], args[1])
					}
				}
			},
			// envfile NAME FILE sets a variable to what a file holds
			"envfile": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: envfile NAME FILE")
				}
				ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
			},
			// waitport PORT waits until a process listens on the port
			"waitport": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: waitport PORT")
				}
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
					if c, err := net.Dial("tcp", "127.0.0.1:"+args[0]); err == nil {
						c.Close()
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("nobody listens on port %s", args[0])
					}
				}
			},
		},
	})
}

// The file holds neither the key of --api-key-env nor a password of the URL.
func TestSecretsAreNotStored(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	sim, _ := wbCommand(t, dir, "sim", "--profile", "instant", "--port", addr[strings.LastIndex(addr, ":")+1:])
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Process.Kill(); _ = sim.Wait() }()
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	const key, password = "sk-0123456789abcdef", "pa55word"
	cmd, out := wbCommand(t, dir, "run", "--url", "http://user:"+password+"@"+addr+"/v1", "--api-key-env", "WB_TEST_KEY",
		"--max-turns", "1", "--conversations", "simple_qa")
	cmd.Env = append(os.Environ(), "WB_TEST_KEY="+key)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.ReadFile(filepath.Join(dir, "wb.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, password} {
		if bytes.Contains(file, []byte(secret)) || strings.Contains(out.String(), secret) {
			t.Errorf("%s is visible", secret)
		}
	}
	if got := oneCell(t, dir, "SELECT argv FROM raw.run"); !strings.Contains(got, addr) || strings.Contains(got, "user") {
		t.Errorf("argv is %s", got)
	}
}

// Every saved query runs unchanged in the DuckDB shell. Needs WB_DUCKDB_SHELL (make shell).
func TestShell(t *testing.T) {
	shell := os.Getenv("WB_DUCKDB_SHELL")
	if shell == "" {
		t.Skip("WB_DUCKDB_SHELL is not set; make shell sets it")
	}
	dir := t.TempDir()
	for range 2 {
		wb(t, dir, "run", "--sim-profile", "instant", "--max-turns", "2", "--name", "same")
	}
	reports, err := fs.Glob(wbsql.Files, "reports/*.sql")
	if err != nil || len(reports) < 14 {
		t.Fatalf("%d reports (%v)", len(reports), err)
	}
	for _, r := range reports {
		text, err := fs.ReadFile(wbsql.Files, r)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.Base(r))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, set := range []string{"", "SET VARIABLE runs = (SELECT list(run_id::VARCHAR) FROM runs);"} {
			cmd := exec.Command(shell, "-readonly", "-csv", "-bail", filepath.Join(dir, "wb.duckdb"))
			cmd.Stdin = strings.NewReader(set + "\n.read " + file + "\n")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "Error") {
				t.Errorf("%s after %q: %v\n%s", r, set, err, out)
			}
			want := strings.TrimSuffix(filepath.Base(r), ".sql")
			const haveRows = "cache_hit_by_turn ttft_by_turn run_overview itl_percentiles throughput_by_run"
			if set == "" && len(strings.TrimSpace(string(out))) == 0 && strings.Contains(haveRows, want) {
				t.Errorf("%s printed nothing", r)
			}
		}
	}
}

// The views, which read every file, and the adapter, which reads today's servers, know the same names of metrics.
func TestMetricNames(t *testing.T) {
	c := newFile(t)
	rows, err := c.QueryContext(t.Context(), "SELECT metric, string_agg(name, ', ') FROM metric_names GROUP BY metric")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var metric, names string
		if err := rows.Scan(&metric, &names); err != nil {
			t.Fatal(err)
		}
		got[metric] = names
	}
	want := map[string]string{}
	for metric, names := range engine.Metrics() {
		want[metric] = strings.Join(names, ", ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("the views have %v\nthe adapter has %v", got, want)
	}
}
