package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A run whose file is replaced fails, and the file that took its place is not touched.
func TestReplacedFile(t *testing.T) {
	for users, sign := range map[string]string{"1": "TTFT", "4": " streams "} {
		t.Run(users+" users", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--repeat", "100", "--users", users)
			waitSaid(t, stderr, sign, 3) // something was measured
			p := filepath.Join(dir, "wb.duckdb")
			if err := errors.Join(os.Remove(p), os.WriteFile(p, []byte("another's"), 0o600)); err != nil {
				t.Fatal(err)
			}
			code := exitCode(t, cmd.Wait())
			said := string(read(t, stderr.Name()))
			const cause = "was deleted or moved while a run wrote into it: another file is in its place"
			if code != 1 || !strings.Contains(said, ": failed, ") || !strings.Contains(said, cause) || strings.Contains(said, "to see more") {
				t.Errorf("exit %d\n%s", code, said)
			}
			if got := string(read(t, p)); got != "another's" {
				t.Errorf("the file holds %q", got)
			}
			if _, err := os.Lstat(p + ".wal"); err == nil {
				t.Error("a log is left")
			}
		})
	}
}

// A second query during the same turn is answered at once, from the snapshot that the run made when the last turn ended.
func TestAskedAgain(t *testing.T) {
	dir := t.TempDir()
	cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--max-turns", "3", "--max-tokens", "300", "--ignore-eos", "--warmup", "0")
	waitTurns(t, stderr, 1)
	for i, turns := range []string{"2", "2"} { // the first answer comes when the second turn ends, and the third takes seconds
		q, out := wbCommand(t, dir, "query", "-c", "SELECT count(*) AS n FROM turns", "--format", "csv")
		code := exitCode(t, q.Run())
		if code != 0 || !strings.Contains(out.String(), "\n"+turns+",true") ||
			i == 1 && strings.Contains(out.String(), "waiting for the end of the current turn") {
			t.Errorf("question %d: exit %d\n%s", i+1, code, out)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// While a run writes, a command that wants to write is told which process holds the file. A command that reads gets every finished turn.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, stderr := startRun(t, dir, "--conversations", "simple_qa", "--repeat", "100", "--max-tokens", "20")
	waitTurns(t, stderr, 3)
	if st, err := os.Stat(filepath.Join(dir, "wb.duckdb.sock")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v", st, err)
	}
	for range 3 {
		const whole = "SELECT count(*) >= 3 AND count(*) = count(DISTINCT turn_id) AND max(status) = 'ok' AS whole FROM turns"
		q, out := wbCommand(t, dir, "query", "-c", whole, "--format", "csv")
		note := regexp.MustCompile(`(?m)^note: wb.duckdb is held by a run: this is a snapshot of it, \d+\.\d s old$`)
		if code := exitCode(t, q.Run()); code != 0 || !strings.Contains(out.String(), "true,true") || !note.Match(out.Bytes()) {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
	if out := wb(t, dir, "report", "--out", "r"); !strings.Contains(out, ".html") {
		t.Errorf("report of a live run:\n%s", out)
	}
	for _, c := range []struct{ args, want string }{
		{"doctor", "ok    file "},
		{"cache simulate", "Prefix cache by block size"},
		{"export --parquet out", "1 run left out: not ended yet"},
		{"runs show latest", "running"},
	} {
		q, out := wbCommand(t, dir, strings.Fields(c.args)...)
		code := exitCode(t, q.Run())
		if strings.Contains(out.String(), "held by another process") || code != 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("wb %s during a run: exit %d\n%s", c.args, code, out)
		}
	}
	// at most two snapshots, each of which may have a log
	if files, err := filepath.Glob(filepath.Join(dir, ".wb.duckdb-snapshot-*", "*")); err != nil || len(files) > 4 {
		t.Errorf("snapshots pile up: %v (%v)", files, err)
	}
	for _, args := range [][]string{{"run"}, {"runs", "tag", "latest", "a=b"}} {
		q, out := wbCommand(t, dir, args...)
		held := regexp.MustCompile(fmt.Sprintf(`(?m)^wb: open wb.duckdb: held by another process: pid %d \(.+\)$`, cmd.Process.Pid))
		if code := exitCode(t, q.Run()); code != 1 || !held.Match(out.Bytes()) {
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
	running := regexp.MustCompile(`(?m): running, \d+ turns, 0 failed; last simple_qa turn \d, TTFT `)
	if err := watch.Wait(); err != nil || !running.Match(seen.Bytes()) || !strings.Contains(seen.String(), ": failed, ") {
		t.Errorf("watch: %v\n%s", err, seen)
	}
	// the next run removes what a killed run left behind
	wb(t, dir, "run", "--conversations", "simple_qa", "--max-turns", "1", "--max-tokens", "2")
	if files, err := filepath.Glob(filepath.Join(dir, "*wb.duckdb?*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, ".wb.duckdb*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
}
