//go:build duckdb_arrow

package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Sweeping removes what a killed wb left, and nothing that only looks like it.
func TestSweepAbandoned(t *testing.T) {
	dir := t.TempDir()
	alive, release, err := MakeLocked(dir, ".writing-")
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, ".writing-123")
	// these folders have no mark, or another name
	keep := []string{".writing-456", ".writing-plan", ".writing-", ".writing-12x", "writing-1", ".x-snapshot-1"}
	for _, name := range append(slices.Clone(keep), ".writing-123") {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755),
			os.WriteFile(filepath.Join(dir, name, "notes.txt"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".writing-123", ".writing-plan", ".writing-12x", "writing-1", ".x-snapshot-1"} {
		if err := os.WriteFile(filepath.Join(dir, name, lockMark), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, ".writing-7"), []byte("a file"), 0o600),
		os.Symlink(dead, filepath.Join(dir, ".writing-8")), os.Mkdir(filepath.Join(dir, ".writing-9"), 0o755),
		os.Symlink(filepath.Join(dead, lockMark), filepath.Join(dir, ".writing-9", lockMark))); err != nil {
		t.Fatal(err)
	}
	keep = append(keep, ".writing-7", ".writing-8", ".writing-9", filepath.Base(alive))
	SweepAbandoned(dir, ".writing-")
	if _, err := os.Lstat(dead); !os.IsNotExist(err) {
		t.Errorf("what was left is still there (%v)", err)
	}
	for _, name := range keep {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s is gone", name)
		}
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(alive); !os.IsNotExist(err) {
		t.Errorf("what was released is still there (%v)", err)
	}
}

// What does not fit into memory goes to a folder beside the file, which is removed afterwards. What a killed process left is removed too.
func TestSpill(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	spills := func() (out []string) {
		t.Helper()
		out, err := Entries(dir, FolderNamed(spillPrefix))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	w, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dead, _, err := MakeLocked(dir, spillPrefix)
	if err != nil {
		t.Fatal(err)
	}
	// The lock of a mark ends with the process that has it. Here that is this process, so the test makes the mark again.
	mark := filepath.Join(dead, lockMark)
	if err := errors.Join(os.Remove(mark), os.WriteFile(mark, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	live := spills()
	if len(live) != 1 || live[0] == dead {
		t.Errorf("folders %q; %s should have been removed", live, dead)
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "CREATE TEMP TABLE t AS SELECT hash(i) AS a, hash(i + 1) AS b, hash(i + 2) AS c FROM "+
		"range(50_000_000) r(i)"); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(live[0]); err != nil || len(files) < 2 {
		t.Errorf("%s holds %v, %v", live[0], files, err)
	}
	var most string
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('max_temp_directory_size')").Scan(&most); err != nil ||
		strings.HasPrefix(most, "90%") {
		t.Errorf("the limit is %q, %v", most, err)
	}
	if err := errors.Join(conn.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if left := spills(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// recordingInto opens a file for a recorder.
func recordingInto(t *testing.T, path string) (*DB, *Recorder) {
	t.Helper()
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.NewRecorder(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// The next flush notices that a file was deleted, moved or replaced while a recorder had it open.
// The file that replaced it is not changed, and a moved file has all rows.
func TestFileGone(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.duckdb")
	o, err := Open(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"moved":    func(p string) error { return os.Rename(p, p+".moved") },
		"replaced": func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, text, 0o644)) },
		"renamed":  func(p string) error { return errors.Join(os.WriteFile(p+".new", text, 0o644), os.Rename(p+".new", p)) },
	} {
		path := filepath.Join(dir, name+".duckdb")
		d, r := recordingInto(t, path)
		id := uuid.New()
		run := Run{RunID: id, Name: name, Status: "running", StartedAt: time.Now()}
		if err := errors.Join(Add(ctx, r, run), r.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		if err := Add(ctx, r, Event{RunID: id, Kind: "x", Source: "run", Message: "x"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(ctx); !errors.Is(err, ErrGone) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := errors.Join(r.FinishRun(ctx, id, "failed", "gone", time.Now()), r.Close(), d.Checkpoint(ctx), d.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path + ".wal"); err == nil {
			t.Errorf("%s: a log is left, and DuckDB would replay it into the new file", name)
		}
		switch b, err := os.ReadFile(path); name {
		case "deleted", "moved":
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the file is back: %v", name, err)
			}
		default:
			if err != nil || !bytes.Equal(b, text) {
				t.Errorf("%s: the file that replaced it was changed: %v", name, err)
			}
		}
		if name != "moved" {
			continue
		}
		m, err := OpenRead(ctx, path+".moved")
		if err != nil {
			t.Fatal(err)
		}
		var status, kind string
		if err := m.db.QueryRow("SELECT status, kind FROM raw.run JOIN raw.event USING (run_id)").Scan(&status, &kind); err != nil ||
			status != "failed" || kind != "x" {
			t.Errorf("the moved file has %q %q, %v", status, kind, err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The next flush also notices that a file was truncated or overwritten.
func TestFileWrittenOver(t *testing.T) {
	ctx := context.Background()
	for name, text := range map[string]string{"cut": "", "over": "mine\n"} {
		path := filepath.Join(t.TempDir(), name+".duckdb")
		d, r := recordingInto(t, path)
		if err := errors.Join(Add(ctx, r, Run{RunID: uuid.New(), Status: "running", StartedAt: time.Now()}), r.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), Add(ctx, r, Event{RunID: uuid.New(), Kind: "x"})); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(ctx); err == nil || !strings.Contains(err.Error(), "another program wrote into the file") {
			t.Errorf("%s: got %v", name, err)
		}
		_, _ = r.Close(), d.Close() // these fail: nothing in the file can be read any more
	}
}
