//go:build duckdb_arrow

package queries

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"wb/data/prefix"
	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/store"
)

func ask(t *testing.T, db *store.DB, query, runs string) *table.Table {
	t.Helper()
	tb, err := AdHoc(query).Run(context.Background(), db, Options{Runs: runs})
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// Every cause of a miss is a column of turns_wide. With the cached tokens, the causes of a turn add up to its prompt.
func TestWideCausesAddUp(t *testing.T) {
	db := fixture.History(t)
	var causes []string
	for _, c := range prefix.Causes() {
		causes = append(causes, "miss_"+string(c)+"_tokens")
	}
	got := fixture.Text(t, ask(t, db, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'turns_wide' "+
		"AND starts_with(column_name, 'miss_') ORDER BY column_index", "all"))
	if want := strings.Join(causes, "\n"); got != want {
		t.Errorf("causes\n%s\nwant\n%s", got, want)
	}
	sum := strings.Join(causes, " + ")
	got = fixture.Text(t, ask(t, db, "SELECT turn_id, prompt_tokens, cached_tokens, "+sum+" AS missed, miss_new_text_tokens, "+
		"miss_evicted_tokens FROM turns_wide WHERE run = '"+fixture.Late+"' ORDER BY turn_id", "all"))
	// turn 1 and 5: all of the prompt was cached; turn 4 has no token ids; turn 6 has causes, and no count of cached tokens
	const want = "1 8888 8888 0 0 0\n2 100 0 100 100 0\n3 200 128 72 20 0\n4 120 NULL NULL NULL NULL\n5 9999 9999 0 0 0\n" +
		"6 500 NULL 500 500 0"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The times, the energy and the limits of a turn are those of the views and reports that have them alone.
func TestWideFigures(t *testing.T) {
	db := fixture.History(t)
	got := fixture.Text(t, ask(t, db, "SELECT turn_id, turn, placement, round(ttft_ms, 3), round(outside_ms, 3), round(server_queue_ms, 3), "+
		"round(server_other_ms, 3), round(decode_ms, 3), round(itl_p50_ms, 3), gap_max_ms, stalls, round(energy_j, 2), "+
		"round(power_mean_w, 1) FROM turns_wide WHERE run = '"+fixture.Late+"' ORDER BY turn_id", "all"))
	// turns 2 and 3 were alone on the server, whose clock is not the client's; the tokens of turn 4 came at once
	const want = "1 1 file 900 NULL NULL NULL 90 10 680 1 49.5 50\n2 1 file 100 -200 25 25 400 20 240 1 51.05 99.9\n" +
		"3 2 file 50 -250 25 25 200 50 50 0 52.1 199.6\n4 1 file 300 NULL NULL NULL 0 NULL NULL NULL 31 100\n" +
		"5 2 file 1500 NULL NULL NULL 90 10 1380 1 159 100\n6 1 file 200 NULL NULL NULL 400 200 200 0 180 300"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, q := range []string{
		`SELECT count(*) FROM turns_wide w JOIN turns t USING (run_id, turn_id) WHERE w.ttft_ms IS DISTINCT FROM t.ttft_ms
			OR w.hit_ratio IS DISTINCT FROM t.hit_ratio OR w.tpot_ms IS DISTINCT FROM t.tpot_ms`,
		`SELECT count(*) FROM turns_wide w JOIN turn_energy e USING (run_id, turn_id) WHERE w.energy_j IS DISTINCT FROM e.energy_j`,
		`SELECT count(*) FROM turns_wide w JOIN turn_limits l USING (run_id, turn_id) WHERE w.limited_by IS DISTINCT FROM l.limited_by`,
		`SELECT (SELECT count(*) FROM turns) - (SELECT count(*) FROM turns_wide)`,
		`SELECT count(*) FROM (FROM turns_wide EXCEPT FROM selected_turns_wide)`,
	} {
		if n := ask(t, db, q, "all").Rows[0][0]; n != int64(0) {
			t.Errorf("%v for %s", n, q)
		}
	}
	n := ask(t, db, "SELECT count(*), count(DISTINCT run_id) FROM selected_turns_wide", fixture.Late).Rows[0]
	if fmt.Sprint(n) != "[6 1]" {
		t.Errorf("of one run: %v", n)
	}
}

// A pair is of two runs, and of one turn of one session. Failed turns and warm-up have no pair.
func TestPairs(t *testing.T) {
	db := fixture.History(t)
	got := fixture.Text(t, ask(t, db, "SELECT base_run, head_run, simulated, conversation, repeat, turn, base_turn_id, head_turn_id, "+
		"base_ttft_ms, head_ttft_ms, round(ttft_change_ratio, 4), base_cached_tokens, head_cached_tokens FROM pairs ORDER BY ALL", "all"))
	want := "base " + fixture.Late + " true qa 1 1 1 2 400 100 -0.75 50 0\n" +
		fixture.Late + " base true qa 1 1 2 1 100 400 3 0 50"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
