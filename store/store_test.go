//go:build duckdb_arrow

package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

func TestOpenFresh(t *testing.T) {
	p := filepath.Join(t.TempDir(), "a.duckdb")
	t0 := time.Now()
	d, err := Open(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("open", time.Since(t0))
	rows, err := d.SQL().Query(`SELECT c.schema_name||'.'||c.table_name||'.'||c.column_name FROM duckdb_columns() c WHERE c.schema_name IN ('main','raw') AND NOT c.internal AND c.comment IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var s string
		rows.Scan(&s)
		t.Error("no comment:", s)
	}
	rows.Close()
	t0 = time.Now()
	r, err := d.NewRecorder(context.Background(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("recorder", time.Since(t0))
	r.Close()
	d.Close()
	t0 = time.Now()
	d, err = Open(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("reopen", time.Since(t0))
	d.Close()
}
