//go:build duckdb_arrow

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// hashes gives what is in a folder, byte for byte.
func hashes(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		all = append(all, fmt.Sprintf("%s %x", p, sha256.Sum256(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// cellOf gives one text of a history.
func cellOf(t *testing.T, path, q string) (s string) {
	t.Helper()
	d, err := OpenRead(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.SQL().QueryRow(q).Scan(&s), d.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

// A path is not a pattern: a folder that has the signs of one holds its own rows, and no other is touched.
func TestPathsAreNotPatterns(t *testing.T) {
	ctx, dir, file := context.Background(), t.TempDir(), oneRun(t)
	const q = "SELECT concat_ws(' ', (SELECT count(*) FROM raw.run), (SELECT count(*) FROM raw.turn), (SELECT run_id::VARCHAR FROM raw.run), (SELECT min(run_id)::VARCHAR FROM raw.turn), (SELECT string_agg(content, '') FROM raw.message))"
	want := cellOf(t, file, q)
	id := cellOf(t, file, "SELECT run_id::VARCHAR FROM raw.run")
	others := filepath.Join(dir, "others")
	for _, name := range []string{"out1", "outa", "out", "xy", "x1y", "a", "b"} {
		if _, err := Export(ctx, file, filepath.Join(others, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	before := hashes(t, others)
	for _, name := range []string{"out[1]", "out?", "x*y", "out[!1]", "{a,b}", "day=1999-01-01/run_id=11111111-0000-4000-8000-000000000099/h", "it's", "a b", "日本", "[", "**"} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(others, name)
			for range 2 { // the second takes the place of the first
				out, err := Export(ctx, file, p, nil)
				if err != nil || out.Added+out.Present != 1 || out.Bytes == 0 {
					t.Fatalf("%+v (%v)", out, err)
				}
			}
			if got := cellOf(t, p, q); got != want {
				t.Errorf("it holds %q, want %q", got, want)
			}
			to, err := Open(ctx, filepath.Join(t.TempDir(), "to.duckdb"))
			if err != nil {
				t.Fatal(err)
			}
			out, err := to.Import(ctx, p, nil)
			if err := errors.Join(err, to.Close()); err != nil || out.Added != 1 {
				t.Errorf("import %+v (%v)", out, err)
			}
			if err := Remove(ctx, p, []string{id}); err != nil {
				t.Error(err)
			}
			if got := cellOf(t, p, "SELECT count(*)::VARCHAR FROM raw.run"); got != "0" {
				t.Errorf("%s runs are left", got)
			}
			if err := os.RemoveAll(filepath.Join(others, strings.Split(name, "/")[0])); err != nil {
				t.Fatal(err)
			}
		})
	}
	if after := hashes(t, others); after != before {
		t.Errorf("other folders changed:\n%s\nwas\n%s", after, before)
	}
}

// Who reads while a run is exported again finds it at every moment, whole.
func TestExportHasNoMomentWithoutData(t *testing.T) {
	ctx, dir, file := context.Background(), filepath.Join(t.TempDir(), "out"), oneRun(t)
	if _, err := Export(ctx, file, dir, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var reader sync.WaitGroup
	looks := 0
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			d, err := OpenRead(ctx, dir)
			if err != nil {
				t.Error(err)
				return
			}
			var got string
			err = d.SQL().QueryRow("SELECT (SELECT count(*) FROM raw.run) || ' ' || (SELECT count(*) FROM raw.turn) || ' ' || (SELECT count(*) FROM raw.message)").Scan(&got)
			if err := errors.Join(err, d.Close()); err != nil || got != "1 1 1" {
				t.Errorf("a reader found %q (%v)", got, err)
				return
			}
			looks++
		}
	})
	for range 30 {
		if _, err := Export(ctx, file, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	reader.Wait()
	if looks < 3 {
		t.Errorf("only %d looks", looks)
	}
	if left, err := entries(dir, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// Where folders cannot be exchanged, files take each other's place one by one.
func TestReplaceFolderFileByFile(t *testing.T) {
	dir := t.TempDir()
	for p, text := range map[string]string{"from/data_0.parquet": "new", "from/data_1.parquet": "more", "to/data_0.parquet": "old", "to/data_2.parquet": "gone"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o755), os.WriteFile(filepath.Join(dir, p), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaceFiles(filepath.Join(dir, "from"), filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	names, err := entries(filepath.Join(dir, "to"), isParquet)
	text, rerr := os.ReadFile(filepath.Join(dir, "to", "data_0.parquet"))
	if err := errors.Join(err, rerr); err != nil || len(names) != 2 || string(text) != "new" {
		t.Errorf("%v, %s (%v)", names, text, err)
	}
}

// Sweeping takes what a killed wb left, and nothing that only looks like it.
func TestSweepOwned(t *testing.T) {
	dir := t.TempDir()
	alive, release, err := MakeOwned(dir, ".writing-")
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, ".writing-123")
	keep := []string{".writing-456", ".writing-plan", ".writing-", ".writing-12x", "writing-1", ".x-snapshot-1"} // folders without the mark, or with another name
	for _, name := range append(slices.Clone(keep), ".writing-123") {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755), os.WriteFile(filepath.Join(dir, name, "notes.txt"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".writing-123", ".writing-plan", ".writing-12x", "writing-1", ".x-snapshot-1"} {
		if err := os.WriteFile(filepath.Join(dir, name, ownedMark), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, ".writing-7"), []byte("a file"), 0o600), os.Symlink(dead, filepath.Join(dir, ".writing-8")), os.Mkdir(filepath.Join(dir, ".writing-9"), 0o755), os.Symlink(filepath.Join(dead, ownedMark), filepath.Join(dir, ".writing-9", ownedMark))); err != nil {
		t.Fatal(err)
	}
	keep = append(keep, ".writing-7", ".writing-8", ".writing-9", filepath.Base(alive))
	SweepOwned(dir, ".writing-")
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

// What does not fit into memory goes to a folder of wb's own beside the file, which is gone afterwards; what a killed process left is
// removed.
func TestSpill(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	spills := func() (out []string) {
		t.Helper()
		out, err := entries(dir, folderNamed(spillPrefix))
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
	dead, _, err := MakeOwned(dir, spillPrefix)
	if err != nil {
		t.Fatal(err)
	}
	// the lock of the mark ends with its holder; here it is this process, so the mark is made anew
	mark := filepath.Join(dead, ownedMark)
	if err := errors.Join(os.Remove(mark), os.WriteFile(mark, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := OpenRead(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	live := spills()
	if len(live) != 1 || live[0] == dead {
		t.Errorf("folders %q, of which %s is dead", live, dead)
	}
	conn, err := d.SQL().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "CREATE TEMP TABLE t AS SELECT hash(i) AS a, hash(i + 1) AS b, hash(i + 2) AS c FROM range(50_000_000) r(i)"); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(live[0]); err != nil || len(files) < 2 {
		t.Errorf("%s holds %v, %v", live[0], files, err)
	}
	var most string
	if err := conn.QueryRowContext(ctx, "SELECT current_setting('max_temp_directory_size')").Scan(&most); err != nil || strings.HasPrefix(most, "90%") {
		t.Errorf("the most is %q, %v", most, err)
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

// A file that is deleted, moved or replaced under a recorder is noticed at the next flush. What takes its place is not touched, and one
// that was moved has everything.
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
			t.Errorf("%s: a log is left, which DuckDB would replay into what is there now", name)
		}
		switch b, err := os.ReadFile(path); name {
		case "deleted", "moved":
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the file is back: %v", name, err)
			}
		default:
			if err != nil || !bytes.Equal(b, text) {
				t.Errorf("%s: what took its place was changed: %v", name, err)
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
		if err := m.SQL().QueryRow("SELECT status, kind FROM raw.run JOIN raw.event USING (run_id)").Scan(&status, &kind); err != nil || status != "failed" || kind != "x" {
			t.Errorf("the moved file has %q %q, %v", status, kind, err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// One that is cut short or written over in its place is noticed at the next flush, too.
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
		_, _ = r.Close(), d.Close() // of what is in the file, nothing can be read any more
	}
}

// What lies beside a history, or in its place, and is not wb's: it is refused, and stays as it is.
func TestForeignFilesStay(t *testing.T) {
	ctx, dir, file := context.Background(), t.TempDir(), oneRun(t)
	write := func(path, text string) string {
		t.Helper()
		p := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	pipe := filepath.Join(dir, "pipe.duckdb")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	lake, err := ParseLake(filepath.Join(dir, "lake"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, text, want string
		do               func() error
	}{
		{"moved.duckdb.wal", "the log", "moved.duckdb.wal is, which a new file would replace", func() error {
			_, err := Open(ctx, filepath.Join(dir, "moved.duckdb"))
			return err
		}},
		{"lake/" + lakeFile + ".wal", "the log", "which a new file would replace", func() error {
			_, err := Push(ctx, file, lake, nil)
			return err
		}},
		{"f1/dictionary.csv", "words", "dictionary.csv in it is not of wb's", func() error {
			_, err := Export(ctx, file, filepath.Join(dir, "f1"), nil)
			return err
		}},
		{"f2/wb.json", `{"name":"webbuilder"}`, "wb.json in it is not of wb's", func() error {
			_, err := Export(ctx, file, filepath.Join(dir, "f2"), nil)
			return err
		}},
		{`f\3/x`, "x", "has a backslash", func() error { _, err := Export(ctx, file, filepath.Join(dir, `f\3`), nil); return err }},
		{"x", "x", "not a regular file", func() error { _, err := Open(ctx, pipe); return err }},
		{"x", "x", "not a regular file", func() error { _, err := OpenRead(ctx, pipe); return err }},
	} {
		p := write(c.file, c.text)
		if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.file, err, c.want)
		}
		if b, err := os.ReadFile(p); err != nil || string(b) != c.text {
			t.Errorf("%s: %q, %v", c.file, b, err)
		}
	}
	// and in the folder of a run, which is exported again and removed
	out := filepath.Join(dir, "out")
	if _, err := Export(ctx, file, out, nil); err != nil {
		t.Fatal(err)
	}
	id := cellOf(t, file, "SELECT run_id::VARCHAR FROM raw.run")
	folders, err := runFolders(filepath.Join(out, "turn"), id)
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	notes := filepath.Join(folders[0], "notes.txt")
	if err := os.WriteFile(notes, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(ctx, file, out, nil); err != nil {
		t.Fatal(err)
	}
	if err := Remove(ctx, out, []string{id}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(notes); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if got := cellOf(t, out, "SELECT count(*)::VARCHAR FROM raw.turn"); got != "0" {
		t.Errorf("%s turns are left", got)
	}
}
