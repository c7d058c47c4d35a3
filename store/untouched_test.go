//go:build duckdb_arrow

package store

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// names lists a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A look makes no file or folder, not even for a moment that can be seen while it is open, and fails where it cannot look.
func TestOpenUntouched(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.duckdb")
	if _, err := OpenUntouched(path); err == nil {
		t.Error("a missing file opens")
	}
	if got := names(t, dir); len(got) > 0 {
		t.Errorf("it made %v", got)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, was := names(t, dir), read(t, path)
	look, err := OpenUntouched(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := look.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runs := -1
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM runs").Scan(&runs); err != nil || runs != 0 {
		t.Errorf("%d runs (%v)", runs, err)
	}
	if got := names(t, dir); !slices.Equal(got, before) {
		t.Errorf("while it is open there are %v, before %v", got, before)
	}
	if _, err := conn.ExecContext(t.Context(), "CREATE TABLE raw.x (a INTEGER)"); err == nil {
		t.Error("it can be written")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := look.Close(); err != nil {
		t.Error(err)
	}
	if !slices.Equal(read(t, path), was) || !slices.Equal(names(t, dir), before) {
		t.Error("a look changed the file or its folder")
	}
	if err := os.WriteFile(path, []byte("not a database, but long enough for a header"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenUntouched(path); err == nil {
		t.Error("a file of another kind opens")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
