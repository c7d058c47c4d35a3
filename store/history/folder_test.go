//go:build duckdb_arrow

package history

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	wbsql "wb/sql"
	"wb/store"
	"wb/store/storetest"
)

// The path of a folder is not a pattern. A folder whose name has the characters of a pattern holds only the rows exported to it, and
// no other folder is changed.
func TestPathsAreNotPatterns(t *testing.T) {
	ctx, dir, file := context.Background(), t.TempDir(), oneRun(t)
	const q = "SELECT concat_ws(' ', (SELECT count(*) FROM raw.run), (SELECT count(*) FROM raw.turn), (SELECT run_id::VARCHAR FROM " +
		"raw.run), (SELECT min(run_id)::VARCHAR FROM raw.turn), (SELECT string_agg(content, '') FROM raw.message))"
	want := cellOf(t, file, q)
	id := cellOf(t, file, "SELECT run_id::VARCHAR FROM raw.run")
	others := filepath.Join(dir, "others")
	for _, name := range []string{"out1", "outa", "out", "xy", "x1y", "a", "b"} {
		if _, err := Export(ctx, file, filepath.Join(others, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	before := hashes(t, others)
	for _, name := range []string{"out[1]", "out?", "x*y", "out[!1]", "{a,b}",
		"day=1999-01-01/run_id=11111111-0000-4000-8000-000000000099/h", "it's", "a b", "日本", "[", "**"} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(others, name)
			for range 2 { // the second export replaces the first
				out, err := Export(ctx, file, p, nil)
				if err != nil || out.Added+out.Present != 1 || out.Bytes == 0 {
					t.Fatalf("%+v (%v)", out, err)
				}
			}
			if got := cellOf(t, p, q); got != want {
				t.Errorf("it holds %q, want %q", got, want)
			}
			to, err := store.Open(ctx, filepath.Join(t.TempDir(), "to.duckdb"))
			if err != nil {
				t.Fatal(err)
			}
			out, err := Import(ctx, to, p, nil)
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

// While a run is exported again, a reader finds all of it at every moment.
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
			err = storetest.Scan(d, "SELECT (SELECT count(*) FROM raw.run) || ' ' || (SELECT count(*) FROM raw.turn) || ' ' || "+
				"(SELECT count(*) FROM raw.message)", &got)
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
		t.Errorf("it was read only %d times", looks)
	}
	if left, err := store.Entries(dir, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// If folders cannot be swapped, files are replaced one by one.
func TestReplaceFolderFileByFile(t *testing.T) {
	dir := t.TempDir()
	for p, text := range map[string]string{"from/data_0.parquet": "new", "from/data_1.parquet": "more", "to/data_0.parquet": "old",
		"to/data_2.parquet": "gone"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o755),
			os.WriteFile(filepath.Join(dir, p), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaceFiles(filepath.Join(dir, "from"), filepath.Join(dir, "to")); err != nil {
		t.Fatal(err)
	}
	names, err := store.Entries(filepath.Join(dir, "to"), isParquet)
	text, rerr := os.ReadFile(filepath.Join(dir, "to", "data_0.parquet"))
	if err := errors.Join(err, rerr); err != nil || len(names) != 2 || string(text) != "new" {
		t.Errorf("%v, %s (%v)", names, text, err)
	}
}

// A file beside a history, or in its place, that wb did not write is refused and not changed.
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
		{"moved.duckdb.wal", "the log", "moved.duckdb.wal exists, and a new file would replace the log", func() error {
			_, err := store.Open(ctx, filepath.Join(dir, "moved.duckdb"))
			return err
		}},
		{"lake/" + store.LakeCatalog + ".wal", "the log", "a new file would replace the log", func() error {
			_, err := Push(ctx, file, lake, nil)
			return err
		}},
		{"f1/dictionary.csv", "words", "wb did not write the dictionary.csv in it", func() error {
			_, err := Export(ctx, file, filepath.Join(dir, "f1"), nil)
			return err
		}},
		{"f2/wb.json", `{"name":"webbuilder"}`, "wb did not write the wb.json in it", func() error {
			_, err := Export(ctx, file, filepath.Join(dir, "f2"), nil)
			return err
		}},
		{`f\3/x`, "x", "has a backslash", func() error { _, err := Export(ctx, file, filepath.Join(dir, `f\3`), nil); return err }},
		{"x", "x", "not a regular file", func() error { _, err := store.Open(ctx, pipe); return err }},
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
	// such a file in the folder of a run stays too when the run is exported again and removed
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

// Columns that the files of an older folder lack are NULL, and a table that was not written is empty.
func TestOlderFolder(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file := oneRun(t)
	ids := []string{}
	db, err := OpenRead(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if err := errors.Join(storetest.Scan(db, "SELECT run_id::VARCHAR FROM raw.run", &id), db.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := Export(ctx, file, dir, append(ids, id)); err != nil || out.Added != 1 || out.Bytes == 0 {
		t.Fatalf("%+v (%v)", out, err)
	}
	// the run began late in the day, and its folder has the day in UTC
	part := filepath.Join(dir, "turn", "day=2026-02-03", "run_id="+id)
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(part, "data_0.parquet")
	_, err = conn.ExecContext(ctx, "COPY (SELECT * EXCLUDE (day, run_id, intended_ns, submit_ns) FROM read_parquet("+wbsql.Text(old)+", "+
		"hive_partitioning = true)) TO "+wbsql.Text(old+".new")+" (FORMAT parquet)")
	if err := errors.Join(err, end(), os.Rename(old+".new", old),
		os.WriteFile(filepath.Join(dir, store.FolderFacts), []byte(`{"schema": 5, "schemas": [4, 5]}`), 0o644)); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenRead(ctx, dir); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	if err := storetest.Scan(db, "SELECT concat_ws(' ', (SELECT count(*) FROM raw.turn), "+
		"(SELECT count(*) FROM raw.turn WHERE submit_ns IS NULL), "+
		"(SELECT count(*) FROM raw.gpu), (SELECT content FROM raw.message), (SELECT any_value(comment) FROM duckdb_columns() WHERE "+
		"schema_name = 'main' AND table_name = 'turns' AND column_name = 'status'))", &got); err != nil ||
		!strings.HasPrefix(got, "1 1 0 x ") || len(got) < 12 {
		t.Errorf("%q (%v)", got, err)
	}
}
