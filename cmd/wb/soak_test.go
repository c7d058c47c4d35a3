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

// soakTime is how long each run of a soak lasts: the value of WB_SOAK, such as 100s, or 8 s. short says that WB_SOAK is not set.
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

// A soak plays more than an hour of conversation in a few minutes, with one user and with several. No turn may leave a goroutine or an open
// file behind. After the first fifth memory must not grow, and its peaks must stay within what DuckDB may use. The file must grow only with
// what it holds. A short soak does not check memory, since it ends before memory has settled. The simulator is another process, so that
// only wb is measured.
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
			nothingPerTurn(t, dir, "long.duckdb", users)
			if !isShort {
				memoryStays(t, dir, "long.duckdb")
			}
		})
	}
}

// soakServer starts a simulator in a separate process and gives its URL.
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

// soakRun records for the time d and gives how many bytes of the file are in use for each value. Values are rows and token ids; both take
// about four bytes. An interrupted run asks for no more ids, so that its last turns have only rows.
func soakRun(t *testing.T, dir, db, url string, users int, d time.Duration) (perValue float64) {
	t.Helper()
	cmd, said := startRun(t, dir, "--db", db, "--url", url, "--users", strconv.Itoa(users), "--repeat", "20000", "--max-tokens", "32",
		"--quiet")
	waitFile(t, filepath.Join(dir, db)) // on a busy machine it takes seconds until the run begins
	time.Sleep(d)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, cmd.Wait()); code != 130 {
		t.Fatalf("exit %d of a run that was interrupted\n%s", code, read(t, said.Name()))
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
	// A checkpoint merges the small row groups of each table, at times all of them. The blocks that held them are then free for the next
	// checkpoint (docs/design/storage.md).
	if free > 1.25*used {
		t.Errorf("%.1f MB of the file are in use and %.1f MB free", used/1e6, free/1e6)
	}
	return used / (rows + ids)
}

// nothingPerTurn checks that a run never has more goroutines and open files than its users need. A leak of one in a hundred turns of a
// soak would go far beyond that. A user has two goroutines for its work, and three connections, each with a file and two goroutines: one
// for turns, one for readings beside them, and one for the token ids of recorded turns. The third connection is opened when recording
// falls behind, which may happen late in a run, and stays open.
func nothingPerTurn(t *testing.T, dir, db string, users int) {
	t.Helper()
	for what, limit := range map[string]int{"goroutines": 20 + 8*users, "open_files": 20 + 3*users} {
		most := number(t, dir, db, "SELECT max("+what+") FROM raw.process_sample WHERE role = 'wb'")
		t.Logf("%s: at most %.0f", what, most)
		if most == 0 || most > float64(limit) {
			t.Errorf("%s: up to %.0f, but %d users need no more than %d", what, most, users, limit)
		}
	}
}

// memoryStays compares memory in the two halves of what comes after the first fifth of a run.
func memoryStays(t *testing.T, dir, db string) {
	t.Helper()
	const after = `WITH samples AS (SELECT t_ns, rss_bytes, max(t_ns) OVER () AS last FROM raw.process_sample WHERE role = 'wb'),
		half AS (SELECT t_ns > 0.6 * last AS late, median(rss_bytes) AS rss, max(rss_bytes) AS rss_peak
			FROM samples WHERE t_ns > 0.2 * last AND t_ns < 0.99 * last GROUP BY late)
		SELECT `
	half := func(what, cond string) float64 {
		return number(t, dir, db, after+what+" FROM half WHERE "+cond)
	}
	base, later := half("rss", "NOT late"), half("rss", "late")
	t.Logf("rss: %.0f, then %.0f", base, later)
	if base == 0 || later > base*1.15 {
		t.Errorf("rss grows: %.0f in the first half, %.0f in the second", base, later)
	}
	// For about a second a merge of row groups takes all the memory that DuckDB may use. The more a merge covers, the rarer it is, so that
	// possibly only one of the two halves has a sample of it.
	const duckdb = 256 << 20
	early, late := half("rss_peak", "NOT late"), half("rss_peak", "late")
	t.Logf("rss_peak: %.0f, then %.0f", early, late)
	if peak := max(early, late); peak > base*1.15+duckdb {
		t.Errorf("the peak is %.0f bytes and the median %.0f: the difference is more than DuckDB's %d", peak, base, duckdb)
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

// A run that is queried all the time has the same TTFT and ITL as one that is not, because queries are answered between its turns.
// Without WB_SOAK the test only checks that queries are answered, since a few turns do not show times.
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

// lookUntil calls look twice per second until ended gives a value.
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

// lookAt asks for a report. It returns whether the run that holds the file answered.
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
