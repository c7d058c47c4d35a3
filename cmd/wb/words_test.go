package main

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"wb/collect/bench"
	"wb/collect/client"
	"wb/collect/engine"
	"wb/data/prefix"
	"wb/store"
)

// The text of a calibration is recorded with its runs, and --resume goes on with one of an older wb only by an equal text.
func TestTextOfCalibration(t *testing.T) {
	const recorded = "8268fa2a4121b811d65590525b44ea2d66022e5ba830d9f332d53cdae363b29c"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(calibration))); got != recorded {
		t.Errorf("the text has the hash %s: an older calibration could not be resumed", got)
	}
}

// newFile makes an empty file with the whole schema, and connects to it.
func newFile(t *testing.T) *sql.Conn {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// The comments of columns name every value that Go declares for them, so that a reader of the file in a shell finds them all.
func TestWordsOfColumns(t *testing.T) {
	conn := newFile(t)
	words := map[string][]string{"session.isolation": bench.Isolations(), "turn.status": texts(client.Statuses()),
		"cache_miss.cause": texts(prefix.Causes()), "run.status": texts(store.RunStatuses()), "session.status": texts(store.SessionStatuses())}
	for _, e := range engine.All() {
		words["engine.kind"] = append(words["engine.kind"], string(e.Kind()))
	}
	for column, want := range words {
		var comment string
		const q = "SELECT comment FROM duckdb_columns() WHERE schema_name = 'raw' AND table_name || '.' || column_name = ?"
		if err := conn.QueryRowContext(t.Context(), q, column).Scan(&comment); err != nil {
			t.Fatalf("%s: %v", column, err)
		}
		said := regexp.MustCompile(`\w+`).FindAllString(comment, -1)
		for _, w := range want {
			if !slices.Contains(said, w) {
				t.Errorf("the comment of %s does not name %s: %s", column, w, comment)
			}
		}
	}
}

func texts[T ~string](words []T) (out []string) {
	for _, w := range words {
		out = append(out, fmt.Sprint(w))
	}
	return out
}
