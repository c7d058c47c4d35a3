//go:build duckdb_arrow

package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// everything lists tables, columns, views and their comments. It leaves out the SQL of
// views, because DuckDB writes the columns of an EXCLUDE in any order.
const everything = `SELECT string_agg(line, chr(10) ORDER BY line) FROM (
	SELECT concat_ws('|', schema_name, table_name, sql, comment) AS line FROM duckdb_tables() WHERE NOT internal
	UNION ALL SELECT concat_ws('|', schema_name, view_name, comment) FROM duckdb_views() WHERE NOT internal
	UNION ALL SELECT concat_ws('|', schema_name, table_name, column_name, data_type, comment) FROM duckdb_columns() WHERE NOT internal
	UNION ALL SELECT concat_ws('|', version, name, sha256) FROM raw.migration)`

// A copy of the prepared file equals a file that the migrations make.
func TestPrepared(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("new files are copies on Linux only")
	}
	ctx := context.Background()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schema-0.duckdb.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the file exists already
		if err := Prepare(ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	made, err := os.ReadDir(dir)
	name, _ := preparedName()
	if err != nil || len(made) != 1 || made[0].Name() != name {
		t.Fatalf("%v (%v), want %s", made, err, name)
	}
	packed, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	again := t.TempDir()
	if err := Prepare(ctx, again); err != nil {
		t.Fatal(err)
	}
	if other, err := os.ReadFile(filepath.Join(again, name)); err != nil || !bytes.Equal(other, packed) {
		t.Errorf("a second preparation has other bytes (%v), so two builds of wb would differ", err)
	}
	copied := filepath.Join(dir, "copy.duckdb")
	if !place(packed, copied) || place(packed, copied) {
		t.Fatal("a new file was not made, or it replaced one that existed")
	}
	schema := func(path string) string {
		d, err := openFile(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := d.applied(ctx); err != nil {
			t.Fatal(err)
		}
		if at := one[time.Time](t, d, "SELECT min(applied_at) FROM raw.migration"); time.Since(at) > time.Minute {
			t.Errorf("applied at %v", at)
		}
		return one[string](t, d, everything)
	}
	want, got := schema(filepath.Join(dir, "migrated.duckdb")), schema(copied)
	if len(want) < 30_000 || got != want {
		a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%s\nnot\n%s", b[i], a[i])
			}
		}
		t.Errorf("%d lines, want %d", len(b), len(a))
	}
	if place([]byte("garbage"), filepath.Join(dir, "x")) || place(packed, filepath.Join(dir, "none", "x")) {
		t.Error("it reports a file that cannot be made")
	}
}
