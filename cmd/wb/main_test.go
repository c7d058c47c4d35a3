package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"wb/collect/engine"
	wbsql "wb/sql"
	"wb/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wb": main, "fakevllm": fakeVLLM, "fakehub": fakeHub})
}

// The stories of testdata/script: what a person types and what wb answers.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error { // two runs of the tests on one machine must not meet
			for _, name := range []string{"PORT1", "PORT2", "PORT3"} {
				e.Setenv(name, freePort())
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// waitfor FILE TEXT waits until a file of a background command holds a text
			"waitfor": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: waitfor FILE TEXT")
				}
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
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
			// waitport PORT waits until somebody listens there
			"waitport": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: waitport PORT")
				}
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
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

// wbCommand is wb as a process of its own.
func wbCommand(t testing.TB, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	path, err := exec.LookPath("wb") // testscript puts the test binary on the PATH under this name
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

func wb(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd, out := wbCommand(t, dir, args...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("wb %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out.String()
}

func exitCode(t testing.TB, err error) int {
	t.Helper()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e == nil {
		return 0
	}
	return e.ExitCode()
}

func oneCell(t testing.TB, dir, q string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(wb(t, dir, "query", "-c", q, "--format", "csv")), "\n")
	return strings.TrimSuffix(lines[len(lines)-1], ",true") // the mark of simulated files
}

// waitTurns waits until a running wb has printed n finished turns.
func waitTurns(t *testing.T, stderr *os.File, n int) {
	t.Helper()
	waitSaid(t, stderr, "TTFT", n)
}

// waitSaid waits until a text stands n times on a run's stderr.
func waitSaid(t *testing.T, stderr *os.File, text string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), text) >= n {
			return
		}
	}
	t.Fatalf("wb never said %q %d times", text, n)
}

func startRun(t *testing.T, dir string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	cmd, _ := wbCommand(t, dir, append([]string{"run"}, args...)...)
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

// Ctrl-C once: the finished turns are kept, the run says interrupted, the exit code is 130.
func TestInterrupt(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} { // the last one when a terminal is closed
		t.Run(s.String(), func(t *testing.T) { interrupt(t, s) })
	}
}

func interrupt(t *testing.T, s syscall.Signal) {
	caught := make(chan os.Signal, 1) // what is caught here is at its default in a child, even where the tests run under nohup
	signal.Notify(caught, s)
	defer signal.Stop(caught)
	dir := t.TempDir()
	cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--repeat", "100")
	waitTurns(t, stderr, 3)
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	t0 := time.Now()
	if code := exitCode(t, cmd.Wait()); code != 130 {
		b, _ := os.ReadFile(stderr.Name())
		t.Errorf("exit code %d\n%s", code, b)
	}
	if d := time.Since(t0); d > 5*time.Second {
		t.Errorf("took %v to stop", d)
	}
	if got := oneCell(t, dir, "SELECT status || ' ' || (SELECT count(*) >= 3 FROM turns WHERE status = 'ok') || ' ' || (SELECT count(*) FROM turns WHERE status NOT IN ('ok', 'interrupted')) FROM runs"); got != "interrupted true 0" {
		t.Errorf("run is %q", got)
	}
}

// A file that is replaced under a run ends it as failed, and what took its place is not touched.
func TestReplacedFile(t *testing.T) {
	for users, sign := range map[string]string{"1": "TTFT", "4": " streams "} {
		dir := t.TempDir()
		cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--repeat", "100", "--users", users)
		waitSaid(t, stderr, sign, 3) // something was measured
		p := filepath.Join(dir, "wb.duckdb")
		if err := errors.Join(os.Remove(p), os.WriteFile(p, []byte("another's"), 0o600)); err != nil {
			t.Fatal(err)
		}
		code := exitCode(t, cmd.Wait())
		said := string(read(t, stderr.Name()))
		if code != 1 || !strings.Contains(said, ": failed, ") || !strings.Contains(said, "was deleted or moved while a run wrote into it: another one is in its place") || strings.Contains(said, "look further") {
			t.Errorf("%s users: exit %d\n%s", users, code, said)
		}
		if got := string(read(t, p)); got != "another's" {
			t.Errorf("the file holds %q", got)
		}
		if _, err := os.Lstat(p + ".wal"); err == nil {
			t.Error("a log is left")
		}
	}
}

// Whoever asks again during a turn is answered at once, with what the run laid ready when the last turn ended.
func TestAskedAgain(t *testing.T) {
	dir := t.TempDir()
	cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--max-turns", "3", "--max-tokens", "300", "--ignore-eos", "--warmup", "0")
	waitTurns(t, stderr, 1)
	for i, turns := range []string{"2", "2"} { // the first answer comes when the second turn ends, and the third takes seconds
		q, out := wbCommand(t, dir, "query", "-c", "SELECT count(*) AS n FROM turns", "--format", "csv")
		if code := exitCode(t, q.Run()); code != 0 || !strings.Contains(out.String(), "\n"+turns+",true") || i == 1 && strings.Contains(out.String(), "waiting for the turn") {
			t.Errorf("question %d: exit %d\n%s", i+1, code, out)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// While a run writes, whoever wants to write is told who holds the file, and whoever wants to look is given every finished turn.
func TestLockedFile(t *testing.T) {
	dir := t.TempDir()
	cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--repeat", "100", "--max-tokens", "20")
	waitTurns(t, stderr, 3)
	if st, err := os.Stat(filepath.Join(dir, "wb.duckdb.sock")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v", st, err)
	}
	for range 3 {
		q, out := wbCommand(t, dir, "query", "-c", "SELECT count(*) >= 3 AND count(*) = count(DISTINCT turn_id) AND max(status) = 'ok' AS whole FROM turns", "--format", "csv")
		if code := exitCode(t, q.Run()); code != 0 || !strings.Contains(out.String(), "true,true") || !regexp.MustCompile(`(?m)^note: wb.duckdb is held by a run: this is a snapshot of it, \d+\.\d s old$`).Match(out.Bytes()) {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
	if out := wb(t, dir, "report", "--out", "r"); !strings.Contains(out, ".html") {
		t.Errorf("report of a live run:\n%s", out)
	}
	for _, c := range []struct{ args, want string }{
		{"doctor", "file       ok"}, {"cache simulate", "Prefix cache by block size"}, {"export --parquet out", "1 run left out: not ended yet"}, {"runs show latest", "running"},
	} {
		q, out := wbCommand(t, dir, strings.Fields(c.args)...)
		if code := exitCode(t, q.Run()); strings.Contains(out.String(), "held by another process") || code != 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("wb %s during a run: exit %d\n%s", c.args, code, out)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, ".wb.duckdb-snapshot-*", "*")); err != nil || len(files) > 4 { // two, each with its log perhaps
		t.Errorf("snapshots pile up: %v (%v)", files, err)
	}
	for _, args := range [][]string{{"run"}, {"runs", "tag", "latest", "a=b"}} {
		q, out := wbCommand(t, dir, args...)
		if code := exitCode(t, q.Run()); code != 1 || !regexp.MustCompile(fmt.Sprintf(`(?m)^wb: open wb.duckdb: held by another process: pid %d \(.+\)$`, cmd.Process.Pid)).Match(out.Bytes()) {
			t.Errorf("wb %v: exit %d\n%s", args, code, out)
		}
	}
	watch, seen := wbCommand(t, dir, "runs", "--watch")
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := watch.Wait(); err != nil || !regexp.MustCompile(`(?m): running, \d+ turns, 0 failed; last simple_qa turn \d, TTFT `).Match(seen.Bytes()) || !strings.Contains(seen.String(), ": failed, ") {
		t.Errorf("watch: %v\n%s", err, seen)
	}
	// what a killed run left behind goes with the next one
	wb(t, dir, "run", "--conversations", "simple_qa", "--max-turns", "1", "--max-tokens", "2")
	if files, err := filepath.Glob(filepath.Join(dir, "*wb.duckdb?*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, ".wb.duckdb*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
}

// kills is how often a test kills: WB_KILLS over a share, or three times.
func kills(t *testing.T, share int) int {
	t.Helper()
	s := os.Getenv("WB_KILLS")
	if s == "" {
		return 3
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return max(n/share, 1)
}

// Ctrl-C at random moments while the cells of a plan begin and end: nothing panics, every run is there once and says that it was interrupted. A fifth as often as
// TestKill kills.
func TestKillByInterrupt(t *testing.T) {
	times := kills(t, 5)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for i := range times {
		dir := t.TempDir()
		plan := "name: p\nconversations: [simple_qa]\nmax_turns: 1\nmax_tokens: 4\nrepeats: 200\nsim_profile: instant\nmatrix:\n  rag_placement: [system, append]\n"
		if err := os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd, said := startRun(t, dir, "plan.yaml", "--quiet")
		after := 300*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second)))
		time.Sleep(after)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, cmd.Wait()); code != 130 {
			t.Errorf("interrupt %d after %v: exit %d\n%s", i, after, code, read(t, said.Name()))
		}
		if _, err := os.Stat(filepath.Join(dir, "wb.duckdb")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if got := oneCell(t, dir, "SELECT (count(*) - count(DISTINCT run_id)) || ' ' || coalesce(string_agg(DISTINCT status, ','), 'interrupted') || ' ' || (SELECT count(*) - count(DISTINCT run_id) FROM raw.engine) FROM raw.run"); got != "0 interrupted 0" {
			t.Errorf("interrupt %d after %v: doubled runs, statuses, doubled engines: %s\n%s", i, after, got, read(t, said.Name()))
		}
	}
}

// kill -9 at random moments: the file opens, every turn that was announced is there whole, and the run is marked failed.
// WB_KILLS says how often.
func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range kills(t, 1) {
		dir := t.TempDir()
		cmd, stderr := startRun(t, dir, "--sim-profile", "instant", "--repeat", "1000", "--sample-hz", "50")
		after := time.Duration(rng.Int64N(int64(3 * time.Second)))
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		said, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		announced := strings.Count(string(said), "TTFT")
		if _, err := os.Stat(filepath.Join(dir, "wb.duckdb")); errors.Is(err, fs.ErrNotExist) {
			if announced > 0 {
				t.Errorf("kill %d after %v: %d turns were announced and there is no file", i, after, announced)
			}
			continue
		}
		if announced == 0 { // killed while the file was being made: it must open or be refused in one line, never hang
			q, out := wbCommand(t, dir, "runs")
			if code := exitCode(t, q.Run()); code > 1 {
				t.Errorf("kill %d after %v: exit %d\n%s", i, after, code, out)
			}
			continue
		}
		got := oneCell(t, dir, `SELECT (SELECT string_agg(status || ' ' || error, ';') FROM runs) || '|' || (SELECT count(*) FROM turns WHERE status = 'ok') || '|' ||
			(SELECT count(*) FROM turns t WHERE status = 'ok' AND completion_tokens IS DISTINCT FROM (SELECT sum(c.tokens) FROM chunks c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id))`)
		parts := strings.Split(got, "|")
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatal(got)
		}
		// one more may be committed than was announced, never one fewer
		if parts[0] != "failed the wb process ended without closing the run" || n < announced || n > announced+1 || parts[2] != "0" {
			t.Errorf("kill %d after %v: %d announced; status|turns|incomplete = %s", i, after, announced, got)
		}
	}
}

// kill -9 while several users play: a turn that is there is there whole, however far behind its token ids are.
// It kills a fifth as often as TestKill.
func TestKillUsers(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	whole := 0
	for i := range kills(t, 5) {
		dir := t.TempDir()
		cmd, _ := startRun(t, dir, "--conversations", "simple_qa,rag_simulation", "--users", "8",
			"--repeat", "1000", "--max-tokens", "8", "--sample-hz", "0", "--quiet")
		after := 2*time.Second + time.Duration(rng.Int64N(int64(3*time.Second)))
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		got := oneCell(t, dir, `SELECT count(*) || ' ' || count(*) FILTER (WHERE completion_tokens IS DISTINCT FROM
				(SELECT sum(c.tokens) FROM raw.chunk c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id)
			OR messages <> (SELECT count(*) FROM prompts p WHERE p.run_id = t.run_id AND p.turn_id = t.turn_id AND p.content IS NOT NULL)
			OR NOT EXISTS (SELECT 1 FROM raw.turn_token k WHERE k.run_id = t.run_id AND k.turn_id = t.turn_id)
			OR NOT EXISTS (SELECT 1 FROM raw.cache_turn x WHERE x.run_id = t.run_id AND x.turn_id = t.turn_id)) FROM turns t WHERE status = 'ok'`)
		n, torn, _ := strings.Cut(got, " ")
		if torn != "0" {
			t.Errorf("kill %d after %v: turns, torn ones: %s", i, after, got)
		}
		if n != "0" {
			whole++
		}
	}
	if whole == 0 {
		t.Error("no turn was recorded before any kill")
	}
}

// A disk that fills up, at whichever write: while the file is made, in a turn's commit, and while a long log is folded in. One line with the cause, exit 1, and
// what was committed before is kept.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		size string
		kept int // turns at least
	}{{"100k", 0}, {"300k", 0}, {"1m", 5}, {"8m", 30}, {"36m", 100}} {
		t.Run(c.size, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+c.size); err != nil {
				t.Skipf("cannot mount a small file system here: %v", err)
			}
			defer syscall.Unmount(dir, 0)
			cmd, out := wbCommand(t, dir, "run", "--sim-profile", "instant", "--repeat", "1000", "--quiet")
			code := exitCode(t, cmd.Run())
			if code != 1 || strings.Count(out.String(), "no space left") != 1 || strings.Count(out.String(), "\n") > 3 {
				t.Errorf("exit %d\n%s", code, out)
			}
			other := filepath.Join(t.TempDir(), "copy.duckdb")
			for _, suffix := range []string{"", ".wal"} {
				b, err := os.ReadFile(filepath.Join(dir, "wb.duckdb"+suffix))
				if errors.Is(err, fs.ErrNotExist) && (suffix != "" || c.kept == 0) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(other+suffix, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.kept == 0 { // it may be no file yet
				return
			}
			got := wb(t, t.TempDir(), "query", "--db", other, "-c", fmt.Sprintf("SELECT count(*) > %d AS kept FROM turns WHERE status = 'ok'", c.kept), "--format", "csv")
			if !strings.Contains(got, "true,true") {
				t.Errorf("turns kept: %s", got)
			}
		})
	}
}

// The key of --api-key-env and a password in the URL are nowhere in the file.
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
	cmd, out := wbCommand(t, dir, "run", "--url", "http://user:"+password+"@"+addr+"/v1", "--api-key-env", "WB_TEST_KEY", "--max-turns", "1", "--conversations", "simple_qa")
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
			t.Errorf("%s shows", secret)
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
			if set == "" && len(strings.TrimSpace(string(out))) == 0 && strings.Contains("cache_hit_by_turn ttft_by_turn run_overview itl_percentiles throughput_by_run", want) {
				t.Errorf("%s printed nothing", r)
			}
		}
	}
}

// The names that metrics have had stand in the views, for every file, and in the adapter, for the server that answers now.
func TestMetricNames(t *testing.T) {
	d, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
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

// The README and docs name every command, flag and saved query.
func TestDocsAreComplete(t *testing.T) {
	var docs strings.Builder
	for _, pattern := range []string{"../../README.md", "../../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			docs.Write(b)
		}
	}
	text := docs.String()
	root := newRoot(&bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range root.Commands() {
		if !strings.Contains(text, "wb "+c.Name()) {
			t.Errorf("command wb %s is not documented", c.Name())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "--"+f.Name) {
				t.Errorf("flag --%s of wb %s is not documented", f.Name, c.Name())
			}
		})
		for _, sub := range c.Commands() {
			if !strings.Contains(text, "wb "+c.Name()+" "+sub.Name()) {
				t.Errorf("command wb %s %s is not documented", c.Name(), sub.Name())
			}
		}
	}
	reports, err := fs.Glob(wbsql.Files, "reports/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if name := strings.TrimSuffix(filepath.Base(r), ".sql"); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("saved query %s is not documented", name)
		}
	}
	d, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rows, err := c.QueryContext(t.Context(), "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "`"+v+"`") {
			t.Errorf("view %s is not documented", v)
		}
	}
}
