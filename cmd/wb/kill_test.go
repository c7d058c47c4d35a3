package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// After one Ctrl-C the finished turns are kept, the status of the run is interrupted, and the exit code is 130.
func TestInterrupt(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} { // SIGHUP comes when a terminal is closed
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			interrupt(t, s)
		})
	}
}

func interrupt(t *testing.T, s syscall.Signal) {
	caught := make(chan os.Signal, 1) // a signal that is caught here has its default in a child, even if the tests run under nohup
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
	if got := oneCell(t, dir, `SELECT status || ' ' || (SELECT count(*) >= 3 FROM turns WHERE status = 'ok')
		|| ' ' || (SELECT count(*) FROM turns WHERE status NOT IN ('ok', 'interrupted')) FROM runs`); got != "interrupted true 0" {
		t.Errorf("run is %q", got)
	}
}

// kills is how many times a test kills: WB_KILLS divided by share, or three.
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

// killAtRandom calls kill that many times, each time with a random delay between from and to. Several run at the same time, since most of
// the time is waiting. It returns when all are done.
func killAtRandom(t *testing.T, times int, from, to time.Duration, kill func(t *testing.T, after time.Duration)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	t.Run("kills", func(t *testing.T) {
		for range times {
			after := from + time.Duration(rng.Int64N(int64(to-from)))
			t.Run(after.String(), func(t *testing.T) {
				t.Parallel()
				kill(t, after)
			})
		}
	})
}

// Ctrl-C at random moments while the cells of a plan begin and end: nothing panics, and every run is recorded once with the status
// interrupted. It kills a fifth as often as TestKill.
func TestKillByInterrupt(t *testing.T) {
	const plan = `name: p
conversations: [simple_qa]
max_turns: 1
max_tokens: 4
repeats: 200
sim_profile: instant
matrix:
  rag_placement: [system, append]
`
	killAtRandom(t, kills(t, 5), 300*time.Millisecond, 1300*time.Millisecond, func(t *testing.T, after time.Duration) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd, said := startRun(t, dir, "plan.yaml", "--quiet")
		time.Sleep(after)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		code := exitCode(t, cmd.Wait())
		_, err := os.Stat(filepath.Join(dir, "wb.duckdb"))
		none := errors.Is(err, fs.ErrNotExist)
		// on a slow machine the signal may come before the first line of wb runs, and then it ends the process at once
		early := code == -1 && none && len(read(t, said.Name())) == 0
		if code != 130 && !early {
			t.Errorf("exit %d\n%s", code, read(t, said.Name()))
		}
		if none {
			return
		}
		if got := oneCell(t, dir, `SELECT (count(*) - count(DISTINCT run_id))
			|| ' ' || coalesce(string_agg(DISTINCT status, ','), 'interrupted')
			|| ' ' || (SELECT count(*) - count(DISTINCT run_id) FROM raw.engine) FROM raw.run`); got != "0 interrupted 0" {
			t.Errorf("doubled runs, statuses, doubled engines: %s\n%s", got, read(t, said.Name()))
		}
	})
}

// kill -9 at random moments: the file opens, every turn that was printed is there completely, and the status of the run is failed.
// WB_KILLS says how many times.
func TestKill(t *testing.T) {
	killAtRandom(t, kills(t, 1), 0, 3*time.Second, func(t *testing.T, after time.Duration) {
		dir := t.TempDir()
		cmd, stderr := startRun(t, dir, "--sim-profile", "instant", "--repeat", "1000", "--sample-hz", "50")
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		printed := strings.Count(string(read(t, stderr.Name())), "TTFT")
		if _, err := os.Stat(filepath.Join(dir, "wb.duckdb")); errors.Is(err, fs.ErrNotExist) {
			if printed > 0 {
				t.Errorf("%d turns were printed and there is no file", printed)
			}
			return
		}
		if printed == 0 { // killed while the file was created: it must open, or be refused in one line, and never hang
			q, out := wbCommand(t, dir, "runs")
			if code := exitCode(t, q.Run()); code > 1 {
				t.Errorf("exit %d\n%s", code, out)
			}
			return
		}
		got := oneCell(t, dir, `SELECT (SELECT string_agg(status || ' ' || error, ';') FROM runs)
			|| '|' || (SELECT count(*) FROM turns WHERE status = 'ok')
			|| '|' || (SELECT count(*) FROM turns t WHERE status = 'ok' AND completion_tokens IS DISTINCT FROM
				(SELECT sum(c.tokens) FROM chunks c WHERE c.run_id = t.run_id AND c.turn_id = t.turn_id))`)
		parts := strings.Split(got, "|")
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatal(got)
		}
		// one more turn may be committed than was printed, but never one fewer
		const ended = "failed the wb process ended without closing the run"
		if parts[0] != ended || n < printed || n > printed+1 || parts[2] != "0" {
			t.Errorf("%d printed; status|turns|incomplete = %s", printed, got)
		}
	})
}

// kill -9 while several users play: every recorded turn is complete, even if recording was far behind with token ids.
// It kills a fifth as often as TestKill.
func TestKillUsers(t *testing.T) {
	var whole atomic.Int32
	killAtRandom(t, kills(t, 5), 2*time.Second, 5*time.Second, func(t *testing.T, after time.Duration) {
		dir := t.TempDir()
		cmd, _ := startRun(t, dir, "--conversations", "simple_qa,rag_simulation", "--users", "8",
			"--repeat", "1000", "--max-tokens", "8", "--sample-hz", "0", "--quiet")
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
		n, incomplete, _ := strings.Cut(got, " ")
		if incomplete != "0" {
			t.Errorf("turns, incomplete ones: %s", got)
		}
		if n != "0" {
			whole.Add(1)
		}
	})
	if whole.Load() == 0 {
		t.Error("no turn was recorded before any kill")
	}
}

// A disk that becomes full at different moments: while the file is created, when a turn is committed, and when a long log is merged into
// the file. wb prints one line with the cause and exits with 1, and what was committed before is kept.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		size string
		kept int // at least this many turns
	}{{"100k", 0}, {"300k", 0}, {"1m", 5}, {"8m", 30}, {"36m", 100}} {
		t.Run(c.size, func(t *testing.T) {
			t.Parallel()
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
			if c.kept == 0 { // the file may not exist yet
				return
			}
			q := fmt.Sprintf("SELECT count(*) > %d AS kept FROM turns WHERE status = 'ok'", c.kept)
			got := wb(t, t.TempDir(), "query", "--db", other, "-c", q, "--format", "csv")
			if !strings.Contains(got, "true,true") {
				t.Errorf("turns kept: %s", got)
			}
		})
	}
}
