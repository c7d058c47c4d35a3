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

// soakTime is how long each run of a soak lasts: WB_SOAK, such as 100s, or a few seconds.
func soakTime(t *testing.T) (long time.Duration, short bool) {
	t.Helper()
	text := os.Getenv("WB_SOAK")
	if text == "" {
		return 8 * time.Second, true
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return long, false
}

// An hour of conversation and more in minutes, at one user and at several: no turn leaves a goroutine or an open file behind, memory stays
// what it was after the first fifth, its peaks stay within what DuckDB may use, and the file grows with what it holds. A short soak is over
// before memory has settled. The simulator is another process, so that what is measured is wb.
func TestSoak(t *testing.T) {
	if raced {
		t.Skip("memory is measured without the race detector")
	}
	long, isShort := soakTime(t)
	if isShort {
		t.Parallel()
	}
	for name, users := range map[string]int{"one user": 1, "eight users": 8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			url := soakServer(t, dir)
			short, whole := soakRun(t, dir, "short.duckdb", url, users, long/2), soakRun(t, dir, "long.duckdb", url, users, long)
			if whole > short*1.1 {
				t.Errorf("%.2f bytes per value are in use after %v and %.2f after %v", short, long/2, whole, long)
			}
			noneATurn(t, dir, "long.duckdb", users)
			if !isShort {
				staysAsItWas(t, dir, "long.duckdb")
			}
		})
	}
}

// soakServer is a simulator in a process of its own.
func soakServer(t *testing.T, dir string) (url string) {
	t.Helper()
	port := freePort()
	server, _ := wbCommand(t, dir, "sim", "--profile", "instant", "--port", port)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Signal(os.Interrupt); _ = server.Wait() })
	url = "http://localhost:" + port
	for range 100 { // until the simulator answers
		if q, _ := wbCommand(t, dir, "doctor", "--url", url); q.Run() == nil {
			break
		}
	}
	return url
}

// soakRun records for a while and gives how many bytes of the file are in use for each value: rows and token ids. Both take about four
// bytes. An interrupted run asks for no more ids, so that its last turns have rows only.
func soakRun(t *testing.T, dir, db, url string, users int, d time.Duration) (perValue float64) {
	t.Helper()
	cmd, said := startRun(t, dir, "--db", db, "--url", url, "--users", strconv.Itoa(users), "--repeat", "20000", "--max-tokens", "32",
		"--quiet")
	waitFile(t, filepath.Join(dir, db)) // a busy machine takes seconds to begin
	time.Sleep(d)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != 130 {
		t.Fatalf("exit %d: the run is to be interrupted\n%s", code, read(t, said.Name()))
	}
	turns := number(t, dir, db, "SELECT count(*) FROM raw.turn")
	rows := turns + number(t, dir, db, "SELECT (SELECT count(*) FROM raw.chunk) + (SELECT count(*) FROM raw.engine_metric)")
	ids := number(t, dir, db, "SELECT coalesce(sum(len(tokens)), 0) FROM raw.turn_token")
	used := number(t, dir, db, "SELECT used_blocks * block_size FROM pragma_database_size()")
	free := number(t, dir, db, "SELECT free_blocks * block_size FROM pragma_database_size()")
	t.Logf("%s: %.0f turns, %.0f rows, %.0f token ids, %.1f MB used, %.1f MB free", db, turns, rows, ids, used/1e6, free/1e6)
	if turns == 0 {
		t.Errorf("%s holds no turn", db)
	}
	// a checkpoint merges the small row groups of each table, at times all of them, and what they stood in is free for the next one:
	// docs/design/storage.md
	if free > 1.25*used {
		t.Errorf("%.1f MB of the file are in use and %.1f MB free", used/1e6, free/1e6)
	}
	return used / (rows + ids)
}

// noneATurn holds that a run never has more goroutines and open files than its users need: a leak of one in a hundred turns of a soak goes
// far beyond. A user has three connections (for turns, for readings beside them, and for the token ids of what was recorded), each with a
// file and two goroutines, and two goroutines for its work. The third is opened when recording falls behind, which may come late in a run,
// and stays open.
func noneATurn(t *testing.T, dir, db string, users int) {
	t.Helper()
	for what, limit := range map[string]int{"goroutines": 20 + 8*users, "open_files": 20 + 3*users} {
		most := number(t, dir, db, "SELECT max("+what+") FROM raw.process_sample WHERE role = 'wb'")
		t.Logf("%s: %.0f at the most", what, most)
		if most == 0 || most > float64(limit) {
			t.Errorf("%s: %.0f at the most, and %d users need no more than %d", what, most, users, limit)
		}
	}
}

// staysAsItWas compares memory in the two halves of what comes after the first fifth of a run.
func staysAsItWas(t *testing.T, dir, db string) {
	t.Helper()
	const after = `WITH own AS (SELECT t_ns, rss_bytes, max(t_ns) OVER () AS last FROM raw.process_sample WHERE role = 'wb'),
		half AS (SELECT t_ns > 0.6 * last AS late, median(rss_bytes) AS rss, max(rss_bytes) AS rss_peak
			FROM own WHERE t_ns > 0.2 * last AND t_ns < 0.99 * last GROUP BY late)
		SELECT `
	half := func(what, cond string) float64 {
		return number(t, dir, db, after+what+" FROM half WHERE "+cond)
	}
	base, later := half("rss", "NOT late"), half("rss", "late")
	t.Logf("rss: %.0f, then %.0f", base, later)
	if base == 0 || later > base*1.15 {
		t.Errorf("rss grows: %.0f in the first half, %.0f in the second", base, later)
	}
	// Merging takes what DuckDB may have, for a second, and is the rarer the more it merges: one sample of the two halves need not see it.
	const duckdb = 256 << 20
	early, late := half("rss_peak", "NOT late"), half("rss_peak", "late")
	t.Logf("rss_peak: %.0f, then %.0f", early, late)
	if peak := max(early, late); peak > base*1.15+duckdb {
		t.Errorf("%.0f bytes at the most, where half of the time it is %.0f: more than DuckDB's %d above it", peak, base, duckdb)
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
// Without WB_SOAK a short one holds only that it is answered, since a few turns say nothing about times.
func TestLookedAt(t *testing.T) {
	_, isShort := soakTime(t)
	repeat, enough, names := "6", 10, []string{"alone", "looked-at"}
	if isShort {
		t.Parallel()
		repeat, enough, names = "1", 2, []string{"looked-at"}
	}
	dir := t.TempDir()
	args := []string{"--conversations", "simple_qa,rag_simulation", "--repeat", repeat, "--ignore-eos", "--replies", "scripted",
		"--max-tokens", "40", "--seed", "5", "--quiet"}
	answers := 0
	for _, name := range names {
		cmd, _ := startRun(t, dir, append(args, "--name", name)...)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		look := func() {}
		if name == "looked-at" {
			look = func() {
				if lookAt(t, dir) {
					answers++
				}
			}
		}
		if code := exitCode(t, lookUntil(ended, look)); code != 0 {
			t.Fatalf("run %s: exit %d", name, code)
		}
	}
	t.Logf("%d answers during the run", answers)
	if answers < enough {
		t.Errorf("%d answers during the run", answers)
	}
	if isShort {
		return
	}
	out := wb(t, dir, "compare", "alone", "looked-at", "--metric", "ttft,itl_p50", "--format", "csv")
	t.Log(out)
	for _, metric := range []string{"ttft", "itl_p50"} {
		if !regexp.MustCompile(`(?m)^` + metric + `,all,.*,equivalent,`).MatchString(out) {
			t.Errorf("%s is not equivalent", metric)
		}
	}
}

// lookUntil looks twice a second until something ended.
func lookUntil(ended <-chan error, look func()) error {
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(500 * time.Millisecond):
			look()
		}
	}
}

// lookAt asks for a report and says whether the run that holds the file answered.
func lookAt(t *testing.T, dir string) bool {
	t.Helper()
	began := time.Now()
	q, out := wbCommand(t, dir, "query", "ttft_by_turn", "--runs", "latest")
	err := q.Run()
	if err != nil && !strings.Contains(out.String(), "no finished turn") && !strings.Contains(out.String(), "there are no runs") {
		t.Logf("%s", out)
		return false
	}
	t.Logf("answered after %v", time.Since(began))
	return strings.Contains(out.String(), "is held by a run")
}
