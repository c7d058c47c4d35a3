//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func tempDB(t testing.TB) *DB {
	t.Helper()
	d, err := Open(context.Background(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func recorder(t testing.TB, d *DB) *Recorder {
	t.Helper()
	r, err := d.NewRecorder(context.Background(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if n := r.memory.AllocatedBytes(); n != 0 {
			t.Errorf("%d bytes of batches were not freed", n)
		}
	})
	return r
}

func one[T any](t testing.TB, d *DB, q string) T {
	t.Helper()
	var v T
	if err := d.db.QueryRow(q).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

// lines returns the only column of the rows of a query.
func lines(t testing.TB, d *DB, q string) (out []string) {
	t.Helper()
	rows, err := d.db.Query(q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDuckDBVersion(t *testing.T) {
	if got := one[string](t, tempDB(t), "SELECT version()"); got != DuckDBVersion() {
		t.Errorf("engine is %s, DuckDBVersion says %s", got, DuckDBVersion())
	}
}

// New files have small blocks, because the last block of each column stays in memory while rows are appended.
func TestBlockSize(t *testing.T) {
	d, err := Open(context.Background(), filepath.Join(t.TempDir(), "new.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	var size string
	if err := d.db.QueryRow("SELECT block_size FROM pragma_database_size()").Scan(&size); err != nil || size != blockSize {
		t.Errorf("blocks of %s bytes, want %s (%v)", size, blockSize, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenProblems(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	newerPath := filepath.Join(dir, "newer.duckdb")
	d, err := Open(ctx, newerPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.Exec("INSERT INTO raw.migration VALUES (9999, 'x', 'y', now())"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, c := range []struct {
		path string
		want error
		text string
	}{
		{write("empty", ""), ErrNotDuckDB, "it is empty"},
		{write("text", "not a database at all, but long enough"), ErrNotDuckDB, "not a DuckDB file"},
		{write("lite", "SQLite format 3\x00 and so on"), ErrNotDuckDB, "it is a SQLite file"},
		{dir, nil, "is a directory"},
		{filepath.Join(dir, "a?b.duckdb"), nil, "not a name DuckDB can use here"},
		{filepath.Join(dir, "raw.duckdb"), nil, "not a name DuckDB can use here"},
		{newerPath, ErrNewer, "written by a newer wb: its schema has version 9999"},
	} {
		for name, open := range map[string]func(context.Context, string) (*DB, error){"Open": Open, "OpenRead": OpenRead} {
			_, err := open(ctx, c.path)
			var se *Error
			if !errors.As(err, &se) || !strings.Contains(err.Error(), c.text) || (c.want != nil && !errors.Is(err, c.want)) || se.Hint() == "" {
				t.Errorf("%s(%s): %v", name, c.path, err)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%s(%s): more than one line: %v", name, c.path, err)
			}
		}
	}
	if _, err := OpenRead(ctx, filepath.Join(dir, "absent")); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent file: %v", err)
	}
	_, err = Open(ctx, filepath.Join(dir, "no", "such", "dir.duckdb"))
	if err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("absent folder: %v", err)
	}
}

// On a connection for reading, the SQL of strangers cannot do these things.
func TestReadConnectionIsLocked(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, err := Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	r, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, q := range []string{"SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/other.duckdb'",
		"COPY raw.run TO '/tmp/wb-out.csv'", "INSTALL httpfs", "LOAD httpfs",
		"SET memory_limit = '8GB'", "RESET threads", "DROP TABLE raw.run", "INSERT INTO raw.run_tag VALUES (NULL, 'a', 'b')",
		"CREATE TABLE main.x (i INT)", "EXPORT DATABASE '/tmp/wb-out'"} {
		if _, err := r.db.ExecContext(ctx, q); err == nil {
			t.Errorf("%s succeeded", q)
		}
	}
	if _, err := r.db.ExecContext(ctx, "SET VARIABLE x = 1"); err != nil {
		t.Errorf("variables do not work: %v", err)
	}
}

// OpenRead migrates a file of an older wb and renews the views that changed.
func TestStaleFileIsRenewed(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, err := Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"UPDATE raw.migration SET sha256 = 'old' WHERE version = 0", "DROP VIEW messages"} {
		if _, err := d.db.Exec(q); err != nil && !strings.Contains(err.Error(), "depend") {
			t.Fatal(err)
		}
	}
	d.Close()
	r, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := one[int](t, r, "SELECT count(*) FROM messages"); n != 0 {
		t.Errorf("messages has %d rows", n)
	}
}

// After Recorder and file are closed, nothing is left open: the path can be opened again at once.
func TestReopen(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	for range 3 {
		d, err := Open(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.NewRecorder(ctx, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Add(ctx, r, sampleTurn(uuid.New(), 1)), r.Flush(ctx), r.Close(), d.Checkpoint(ctx), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if n := one[int](t, d, "SELECT count(*) FROM raw.turn"); n != 3 {
		t.Errorf("%d turns, want 3", n)
	}
}
