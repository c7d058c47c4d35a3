package main

import (
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

// The comments of columns name every value that Go declares for them, so that a reader of the file in a shell finds them all.
func TestWordsOfColumns(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
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
