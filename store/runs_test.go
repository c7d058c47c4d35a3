//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestDeadRunsAreFailed(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, r := recordingInto(t, p)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	gone := endedPID(t)
	self := ProcessStart(int64(os.Getpid()))
	old := self.Add(-time.Hour)
	for _, run := range []Run{
		{Name: "alive", PID: int64(os.Getpid()), ProcessStartedAt: self},
		{Name: "gone", PID: gone},
		{Name: "reused", PID: int64(os.Getpid()), ProcessStartedAt: &old},
	} {
		run.RunID, run.Status, run.Hostname, run.StartedAt = uuid.New(), "running", &host, time.Now()
		if err := Add(ctx, r, run); err != nil {
			t.Fatal(err)
		}
	}
	other := "another-machine"
	if err := errors.Join(Add(ctx, r, Run{RunID: uuid.New(), Name: "elsewhere", Status: "running", PID: gone, Hostname: &other,
		StartedAt: time.Now()}), r.Flush(ctx), r.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	rd, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if got := one[string](t, rd, "SELECT string_agg(name || ' ' || status, ', ' ORDER BY name) FROM raw.run"); got != "alive running, "+
		"elsewhere running, gone failed, reused failed" {
		t.Errorf("runs are %q", got)
	}
}

// endedPID returns the pid of a process that has ended.
func endedPID(t *testing.T) int64 {
	t.Helper()
	cmd := osexec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return int64(cmd.Process.Pid)
}

func TestDeleteRuns(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r := recorder(t, d)
	a, b := uuid.New(), uuid.New()
	for i, run := range []uuid.UUID{a, b} {
		name := fmt.Sprint("run", i)
		addMessages(t, r, Message{SHA256: name, Content: new("x")}, Message{SHA256: "shared", Content: new("x")})
		if err := errors.Join(Add(ctx, r, Run{RunID: run, Name: name, StartedAt: time.Now()}), Add(ctx, r, sampleTurn(run, 1)),
			Add(ctx, r, TurnMessage{run, 1, 1, name}, TurnMessage{run, 1, 2, "shared"})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.Flush(ctx), d.TagRun(ctx, a.String(), "k", "v"), d.TagRun(ctx, a.String(), "k", "w"),
		d.TagRun(ctx, b.String(), "k", "v"), d.TagRun(ctx, b.String(), "k", "")); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(key || value, ' ') FROM raw.run_tag"); got != "kw" {
		t.Errorf("tags are %q", got)
	}
	if err := d.DeleteRuns(ctx, []string{a.String()}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(sha256, ' ' ORDER BY sha256) FROM raw.message"); got != "run1 shared" {
		t.Errorf("messages left are %q", got)
	}
	if n := one[int](t, d, "SELECT (SELECT count(*) FROM raw.run) + (SELECT count(*) FROM raw.turn) + (SELECT count(*) FROM "+
		"raw.run_tag)"); n != 2 {
		t.Errorf("%d rows are left, want those of the other run and its turn", n)
	}
}
