package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An hour of conversation and more in minutes, at one user and at several: memory, goroutines and open files stay what they were after the first
// fifth, peaks of memory stay within what DuckDB may use, and the file grows with its rows. WB_SOAK says how long, such as 150s for each; the simulator is another process, so that what is measured is wb.
func TestSoak(t *testing.T) {
	text := os.Getenv("WB_SOAK")
	if text == "" {
		t.Skip("WB_SOAK is not set; make soak sets it")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, users := range map[string]int{"one user": 1, "eight users": 8} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			port := freePort()
			server, _ := wbCommand(t, dir, "sim", "--profile", "instant", "--port", port)
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Process.Signal(os.Interrupt); _ = server.Wait() }()
			size := func(db string, d time.Duration) (perRow float64) {
				for range 100 { // until the simulator answers
					if q, _ := wbCommand(t, dir, "doctor", "--url", "http://localhost:"+port); q.Run() == nil {
						break
					}
				}
				cmd, _ := startRun(t, dir, "--db", db, "--url", "http://localhost:"+port, "--users", strconv.Itoa(users), "--repeat", "20000", "--max-tokens", "32", "--quiet")
				time.Sleep(d)
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				if code := exitCode(t, cmd.Wait()); code != 130 {
					said, _ := os.ReadFile(filepath.Join(dir, "stderr"))
					t.Fatalf("exit %d: the run is to be interrupted\n%s", code, said)
				}
				rows := number(t, dir, db, "SELECT (SELECT count(*) FROM raw.chunk) + (SELECT count(*) FROM raw.engine_metric) + (SELECT count(*) FROM raw.turn)")
				used, free := number(t, dir, db, "SELECT used_blocks * block_size FROM pragma_database_size()"), number(t, dir, db, "SELECT free_blocks * block_size FROM pragma_database_size()")
				t.Logf("%s: %.0f turns, %.0f rows, %.1f MB used, %.1f MB free", db, number(t, dir, db, "SELECT count(*) FROM raw.turn"), rows, used/1e6, free/1e6)
				// a checkpoint merges the small row groups of each table, at times all of them, and what they stood in is free for the next one: docs/storage.md
				if free > 1.25*used {
					t.Errorf("%.1f MB of the file are in use and %.1f MB free", used/1e6, free/1e6)
				}
				return used / rows
			}
			short, whole := size("short.duckdb", long/2), size("long.duckdb", long)
			if whole > short*1.1 {
				t.Errorf("%.2f bytes a row are in use after %v and %.2f after %v", short, long/2, whole, long)
			}
			// what comes after the first fifth: its first half, and its second
			const after = `WITH own AS (SELECT t_ns, rss_bytes, goroutines, open_files, max(t_ns) OVER () AS last FROM raw.process_sample WHERE role = 'wb'),
				half AS (SELECT t_ns > 0.6 * last AS late, median(rss_bytes) AS rss, max(rss_bytes) AS rss_peak, max(goroutines) AS goroutines, max(open_files) AS files
					FROM own WHERE t_ns > 0.2 * last AND t_ns < 0.99 * last GROUP BY late)
				SELECT `
			half := func(what, cond string) float64 {
				return number(t, dir, "long.duckdb", after+what+" FROM half WHERE "+cond)
			}
			for what, limit := range map[string]float64{"rss": 1.15, "goroutines": 1.1, "files": 1.1} {
				early, late := half(what, "NOT late"), half(what, "late")
				t.Logf("%s: %.0f, then %.0f", what, early, late)
				if early == 0 || late > early*limit+2 {
					t.Errorf("%s grows: %.0f in the first half, %.0f in the second", what, early, late)
				}
			}
			// Merging takes what DuckDB may have, for a second, and is the rarer the more it merges: one sample of the two halves need not see it.
			const duckdb = 256 << 20
			base, early, late := half("rss", "NOT late"), half("rss_peak", "NOT late"), half("rss_peak", "late")
			t.Logf("rss_peak: %.0f, then %.0f", early, late)
			if peak := max(early, late); peak > base*1.15+duckdb {
				t.Errorf("%.0f bytes at the most, where half of the time it is %.0f: more than DuckDB's %d above it", peak, base, duckdb)
			}
		})
	}
}

func number(t *testing.T, dir, db, q string) float64 {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(wb(t, dir, "query", "--db", db, "-c", q, "--format", "csv")), "\n")
	f, err := strconv.ParseFloat(strings.TrimSuffix(lines[len(lines)-1], ",true"), 64)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return f
}

// A run that is looked at all the time has the TTFT and ITL of one that is not: the queries are answered between its turns.
func TestLookedAt(t *testing.T) {
	if os.Getenv("WB_SOAK") == "" {
		t.Skip("WB_SOAK is not set; make soak sets it")
	}
	dir := t.TempDir()
	args := []string{"--conversations", "simple_qa,rag_simulation", "--repeat", "6", "--ignore-eos", "--replies", "scripted", "--max-tokens", "40", "--seed", "5", "--quiet"}
	answers, slowest := 0, time.Duration(0)
	for _, name := range []string{"alone", "looked-at"} {
		cmd, _ := startRun(t, dir, append(args, "--name", name)...)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for end := false; !end; {
			select {
			case err := <-ended:
				if code := exitCode(t, err); code != 0 {
					t.Fatalf("run %s: exit %d", name, code)
				}
				end = true
			case <-time.After(500 * time.Millisecond):
				if name == "alone" {
					continue
				}
				t0 := time.Now()
				q, out := wbCommand(t, dir, "query", "ttft_by_turn", "--runs", "latest")
				if err := q.Run(); err != nil && !strings.Contains(out.String(), "no finished turn") && !strings.Contains(out.String(), "there are no runs") {
					t.Logf("%s", out)
				} else if strings.Contains(out.String(), "is held by a run") {
					answers++
					slowest = max(slowest, time.Since(t0))
				}
			}
		}
	}
	t.Logf("%d answers during the run, the slowest after %v", answers, slowest)
	if answers < 10 {
		t.Errorf("%d answers during the run", answers)
	}
	out := wb(t, dir, "compare", "alone", "looked-at", "--metric", "ttft,itl_p50", "--format", "csv")
	t.Log(out)
	for _, metric := range []string{"ttft", "itl_p50"} {
		if !regexp.MustCompile(`(?m)^` + metric + `,all,.*,equivalent,`).MatchString(out) {
			t.Errorf("%s is not equivalent", metric)
		}
	}
}
