//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	wbsql "wb/sql"
)

// olderFlow makes a file of a wb that did not record how tokens reached the client, with turns that show every way.
func olderFlow(t *testing.T, path string) {
	t.Helper()
	d, err := open(path, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	ms, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	do := func(q string, args ...any) {
		t.Helper()
		if _, err := d.db.ExecContext(context.Background(), q, args...); err != nil {
			t.Fatalf("%.80s: %v", q, err)
		}
	}
	do(wbsql.Statement("migration_table"))
	for _, m := range ms[:9] {
		do(m.text)
		do("INSERT INTO raw.migration VALUES (?, ?, ?, ?)", m.version, m.name, digest(m.text), time.Now().UTC())
	}
	const run = "11111111-0000-4000-8000-000000000001"
	do("INSERT INTO raw.run BY NAME SELECT '" + run +
		"'::UUID AS run_id, 'r' AS name, 'ok' AS status, TIMESTAMP '2026-01-01' AS started_at, false AS simulated")
	do("INSERT INTO raw.session BY NAME SELECT '" + run +
		"'::UUID AS run_id, 1 AS session_id, 'c' AS conversation, 'system' AS variant, 1 AS repeat, false AS warmup, 'ok' AS status")
	turn := func(id, completion int64, first, last float64, chunks string) {
		t.Helper()
		do("INSERT INTO raw.turn BY NAME SELECT ?::UUID AS run_id, ? AS turn_id, 1 AS session_id, ? AS turn, 'ok' AS status, 0 AS submit_ns, "+
			"?::BIGINT AS first_ns, ?::BIGINT AS last_ns, 100000000 AS done_ns, 9 AS prompt_tokens, ?::BIGINT AS completion_tokens", run, id,
			id, int64(first*1e6), int64(last*1e6), completion)
		if chunks != "" {
			do("INSERT INTO raw.chunk BY NAME SELECT '"+run+"'::UUID AS run_id, ?::INTEGER AS turn_id, seq, read_seq, (ms * 1e6)::BIGINT AS "+
				"t_ns, 'content' AS kind, tokens::INTEGER AS tokens, bytes AS text_bytes FROM (VALUES "+chunks+") AS x(seq, read_seq, ms, tokens, "+
				"bytes)", id)
		}
	}
	turn(1, 3, 10, 30, "(1, 1, 10, 1, 5), (2, 2, 20, 1, 5), (3, 3, 30, 1, 5)")                               // a token an event
	turn(2, 8, 10, 50, "(1, 1, 10, 4, 20), (2, 2, 50, 4, 20)")                                               // four an event, told
	turn(3, 8, 10, 50, "(1, 1, 10, NULL, 20), (2, 2, 50, NULL, 20)")                                         // and untold
	turn(4, 4, 10, 30, "(1, 1, 10, NULL, 5), (2, 1, 10, NULL, 5), (3, 2, 20, NULL, 5), (4, 3, 30, NULL, 5)") // two events in the first read
	// the usage beside the finish reason, taken for tokens of its event
	turn(5, 2, 10, 20, "(1, 1, 10, NULL, 5), (2, 2, 20, NULL, 5), (3, 3, 25, 2, 0)")
	turn(6, 4, 10, 10, "(1, 1, 10, NULL, 5), (2, 1, 10, NULL, 5), (3, 1, 10, NULL, 5), (4, 1, 10, NULL, 5)") // all at once
	turn(7, 9_223_372_036_854_775_807, 10, 20, "(1, 1, 10, 1, 5), (2, 2, 20, 2000000000, 5)")                // what no event carries
	turn(8, 5, 10, 20, "")                                                                                   // none on record
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file of an older wb learns from its chunks how tokens reached the client, so that its times per token are right too.
func TestFlowOfOlderFile(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "old.duckdb")
	olderFlow(t, p)
	d, err := Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{1: "10 tokens", 2: "10 tokens", 3: "- -", 4: "10 events", 5: "10 events", 6: "- events", 7: "- -", 8: "- -"}
	rows, err := d.db.QueryContext(ctx, "SELECT turn_id, coalesce(round(tpot_ms, 6)::VARCHAR, '-') || ' ' || coalesce(counted_by, '-') "+
		"FROM turns ORDER BY turn_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var id int
		var got string
		if err := rows.Scan(&id, &got); err != nil {
			t.Fatal(err)
		}
		n++
		if w := want[id]; got != w && got != "10.0"+w[min(2, len(w)):] {
			t.Errorf("turn %d: %s, want %s", id, got, w)
		}
	}
	if n != len(want) {
		t.Errorf("%d turns", n)
	}
	if err := errors.Join(rows.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
}
