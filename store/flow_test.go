//go:build duckdb_arrow

package store

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	wbsql "wb/sql"
)

// oldTurn records a turn as an older wb did. oldChunks are the columns of its chunks.
const (
	oldTurn = `INSERT INTO raw.turn BY NAME SELECT ?::UUID AS run_id, ? AS turn_id, 1 AS session_id, ? AS turn, 'ok' AS status,
		0 AS submit_ns, ?::BIGINT AS first_ns, ?::BIGINT AS last_ns, 100000000 AS done_ns, 9 AS prompt_tokens,
		?::BIGINT AS completion_tokens`
	oldChunks = `seq, read_seq, (ms * 1e6)::BIGINT AS t_ns, 'content' AS kind, tokens::INTEGER AS tokens, bytes AS text_bytes`
)

// oldTurns are the turns of a file of an older wb, with the ids 1, 2 and so on.
var oldTurns = []struct {
	completion  int64   // tokens
	first, last float64 // ms
	chunks      string  // seq, read_seq, ms, tokens, bytes
	want        string  // time per token in ms, and what it was counted by
}{
	// one token per event
	{3, 10, 30, "(1, 1, 10, 1, 5), (2, 2, 20, 1, 5), (3, 3, 30, 1, 5)", "10 tokens"},
	// four tokens per event: the server said so in the first of these turns, and not in the second
	{8, 10, 50, "(1, 1, 10, 4, 20), (2, 2, 50, 4, 20)", "10 tokens"},
	{8, 10, 50, "(1, 1, 10, NULL, 20), (2, 2, 50, NULL, 20)", "- -"},
	// two events in the first read
	{4, 10, 30, "(1, 1, 10, NULL, 5), (2, 1, 10, NULL, 5), (3, 2, 20, NULL, 5), (4, 3, 30, NULL, 5)", "10 events"},
	// the usage came with the finish reason, and was taken for the tokens of that event
	{2, 10, 20, "(1, 1, 10, NULL, 5), (2, 2, 20, NULL, 5), (3, 3, 25, 2, 0)", "10 events"},
	// all events in one read
	{4, 10, 10, "(1, 1, 10, NULL, 5), (2, 1, 10, NULL, 5), (3, 1, 10, NULL, 5), (4, 1, 10, NULL, 5)", "- events"},
	// more tokens than an event can carry
	{9_223_372_036_854_775_807, 10, 20, "(1, 1, 10, 1, 5), (2, 2, 20, 2000000000, 5)", "- -"},
	// no chunks were recorded
	{5, 10, 20, "", "- -"},
}

// A file of an older wb has only the chunks to tell how tokens reached the client. Migration reads them, so that times per token are right.
func TestFlowOfOlderFile(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "old.duckdb")
	d, err := open(p, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	ms, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	do := func(q string, args ...any) {
		t.Helper()
		if _, err := d.db.ExecContext(ctx, q, args...); err != nil {
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
		do(oldTurn, run, id, id, int64(first*1e6), int64(last*1e6), completion)
		if chunks != "" {
			do("INSERT INTO raw.chunk BY NAME SELECT ?::UUID AS run_id, ?::INTEGER AS turn_id, "+oldChunks+" FROM (VALUES "+chunks+
				") AS x(seq, read_seq, ms, tokens, bytes)", run, id)
		}
	}
	for i, x := range oldTurns {
		turn(int64(i+1), x.completion, x.first, x.last, x.chunks)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	look := func(d *DB) {
		t.Helper()
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
			if w := oldTurns[id-1].want; got != w && got != "10.0"+w[min(2, len(w)):] {
				t.Errorf("turn %d: %s, want %s", id, got, w)
			}
		}
		if n != len(oldTurns) {
			t.Errorf("%d turns", n)
		}
	}
	if d, err = Open(ctx, p); err != nil {
		t.Fatal(err)
	}
	look(d)
	// the views that this wb adds are there too, and say placement where the table says variant
	got := one[string](t, d, "SELECT (SELECT count(*) FROM turns_wide WHERE placement = 'system') || ' ' || (SELECT count(*) FROM pairs)")
	if want := fmt.Sprint(len(oldTurns), " 0"); got != want {
		t.Errorf("turns_wide and pairs have %s rows, want %s", got, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
