//go:build duckdb_arrow && unix

package history

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wb/data/plain/clocktest"
	"wb/store"
)

// served opens a file as a run does, and starts the server of its snapshots.
func served(t *testing.T) (path string, s *SnapshotServer, c *clocktest.Clock) {
	t.Helper()
	path = oneRun(t)
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	c = clocktest.New(time.Now())
	if s = Serve(t.Context(), db, Serving{Now: c.Now}); s == nil {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return path, s, c
}

// runsOf returns the number of runs in a snapshot.
func runsOf(t *testing.T, path string) int64 {
	t.Helper()
	db, err := store.OpenRead(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := db.CountRuns(t.Context())
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

// ask asks for a snapshot as another process would. It cannot try to open the file first, because this process has the file open.
func ask(t *testing.T, path string) (use string, release func(), told string) {
	t.Helper()
	var says bytes.Buffer
	use, release, err := Reader{Told: &says}.askForSnapshot(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return use, release, says.String()
}

// Between turns a snapshot is made at once. The same snapshot is given again until a turn has ended and enough time has passed.
func TestSnapshotBetweenTurns(t *testing.T) {
	path, s, c := served(t)
	first, release, told := ask(t, path)
	if !strings.Contains(told, path+" is held by a run: this is a snapshot of it, ") {
		t.Errorf("told %q", told)
	}
	if n := runsOf(t, first); n != 1 {
		t.Errorf("%d runs", n)
	}
	release()
	again, release, _ := ask(t, path)
	release()
	if again != first {
		t.Errorf("got another snapshot, %s, although nothing has changed", again)
	}
	c.Add(2 * time.Second)
	s.Turn(t.Context(), false)
	s.Turn(t.Context(), true)
	c.Add(time.Minute)
	later, release, _ := ask(t, path)
	release()
	if later == first {
		t.Error("got the old snapshot although a turn has ended")
	}
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old snapshot is still there (%v)", err)
	}
}

// During a turn a reader waits for its end. After a long turn a snapshot is made for readers that may ask again.
func TestSnapshotDuringTurn(t *testing.T) {
	path, s, c := served(t)
	s.Turn(t.Context(), false)
	type answer struct {
		use     string
		release func()
	}
	got := make(chan answer)
	go func() {
		use, release, _ := ask(t, path)
		got <- answer{use, release}
	}()
	for waits := false; !waits; { // until the server has received the request
		s.mu.Lock()
		waits = len(s.waiting) == 1
		s.mu.Unlock()
	}
	c.Add(5 * time.Second)
	s.Turn(t.Context(), true)
	a := <-got
	if n := runsOf(t, a.use); n != 1 {
		t.Errorf("%d runs", n)
	}
	a.release()
	made := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.made
	}
	for _, step := range []struct {
		what         string
		before, turn time.Duration
		want         int
	}{
		{"a long turn soon after the request", 0, 5 * time.Second, 2},
		{"a short turn", 10 * time.Second, 100 * time.Millisecond, 2},
		{"a long turn when nobody has asked for a long time", time.Minute, 5 * time.Second, 2},
	} {
		c.Add(step.before)
		s.Turn(t.Context(), false)
		c.Add(step.turn)
		s.Turn(t.Context(), true)
		if n := made(); n != step.want {
			t.Errorf("%s: %d snapshots, want %d", step.what, n, step.want)
		}
	}
}

// A run that ends tells the readers that wait, and leaves neither its socket nor its snapshots.
func TestSnapshotServerEnds(t *testing.T) {
	path := oneRun(t)
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(t.Context(), db, Serving{})
	s.Turn(t.Context(), false)
	said := make(chan error)
	go func() {
		_, _, err := Reader{Told: &bytes.Buffer{}}.askForSnapshot(context.Background(), path)
		said <- err
	}()
	for waits := false; !waits; {
		s.mu.Lock()
		waits = len(s.waiting) == 1
		s.mu.Unlock()
	}
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if err := <-said; err == nil || !strings.Contains(err.Error(), "the run has ended") {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v (%v)", left, err)
	}
	var none *SnapshotServer
	none.Turn(t.Context(), true)
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

// If no process has a file open, Path returns the path of the file itself, and removes what a killed run left beside it.
func TestReaderOfFreeFile(t *testing.T) {
	path := oneRun(t)
	r := Reader{Told: &bytes.Buffer{}}
	db, err := r.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	use, release, err := r.Path(t.Context(), path)
	if err != nil || use != path {
		t.Errorf("%s (%v)", use, err)
	}
	release()
	if _, err := r.Open(t.Context(), filepath.Join(t.TempDir(), "none.duckdb")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
