//go:build duckdb_arrow

package queries

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"wb/queries/internal/fixture"
)

// A new report is one file in a folder: it is listed with those of wb, takes runs and variables, and declares its chart.
func TestReportIsOneFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "toy.sql"), `-- group: health
-- answers: How many long turns has a run?
-- title: Turns of a run
-- about: Turns with at least so many tokens.
-- var: runs = latest
-- var: least = 150
-- chart: bar x=run y=turns
SELECT run, count(*) AS turns FROM turns
WHERE run_id IN (SELECT run_id FROM selected_runs) AND prompt_tokens >= getvariable('least') AND status = 'ok' GROUP BY run
`)
	lib := Library{Dir: dir}
	if names, err := lib.Names(); err != nil || !slices.Contains(names, "toy") || !slices.Contains(names, "ttft_by_turn") {
		t.Errorf("%v (%v)", names, err)
	}
	q, err := lib.Find("toy")
	if err != nil {
		t.Fatal(err)
	}
	tb, err := q.Run(context.Background(), fixture.History(t), Options{Set: map[string]string{"least": "200"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fixture.Text(t, tb); got != fixture.Late+" 3" || tb.Title != "Turns of a run" || len(tb.Charts) != 1 || len(tb.Runs) != 1 {
		t.Errorf("%s: %+v", got, tb)
	}
}
