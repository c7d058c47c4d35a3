//go:build duckdb_arrow

package queries

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/store"
)

// addFleetRun records what one machine plays on one day.
func addFleetRun(ctx context.Context, r *store.Recorder, m int, machine string, day int) error {
	run := uuid.New()
	version, size, factor := "0.26", "16", 1.0
	if machine == "slow" {
		factor = 1.3
	}
	if machine == "turned" && day >= 7 {
		version, factor = "0.27", 1.2
	}
	if machine == "other" {
		size, factor = "32", 3
		if day%2 == 1 { // days with equal settings are compared only with each other
			size, factor = "64", 6
		}
	}
	errs := []error{
		store.Add(ctx, r, store.Run{
			RunID: run, Name: fmt.Sprint(machine, day), Status: "ok", Hostname: new(machine),
			StartedAt: time.Date(2026, 5, 1+day, 12, m, 0, 0, time.UTC),
		}),
		store.Add(ctx, r, store.Engine{RunID: run, Kind: "vllm", Model: "m", Version: new(version)}),
		store.Add(ctx, r,
			store.Setting{RunID: run, Source: "cache_config", Name: "block_size", Value: size},
			store.Setting{RunID: run, Source: "server", Name: "--port", Value: fmt.Sprint(m)}),
		store.Add(ctx, r, store.Session{
			RunID: run, SessionID: 1, Conversation: "c", Variant: "system", Repeat: 1, EndedNs: new(fixture.Sec(50)), Status: "ok",
		}),
	}
	for i := range int32(5) {
		at := float64(i) * 5
		first := at + (0.1+0.02*float64(i))*factor*(1+0.002*float64((m*7+day*3+int(i))%5))
		turn := fixture.Turn(run, i+1, 1, i+1, "ok", at, at, first, first+0.49, at+4, 1000+int64(i), 500, 50)
		errs = append(errs, store.Add(ctx, r, turn))
	}
	return errors.Join(errs...)
}

// Four machines play the same for ten days. One is always 30 % slower to its first token. Another becomes 20 % slower on the eighth day,
// when it gets a new vLLM. A fifth has other settings, so no other machine is compared with it.
func TestFleet(t *testing.T) {
	ctx := context.Background()
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for m, machine := range []string{"box1", "box2", "slow", "turned", "other"} {
			for day := range 10 {
				errs = append(errs, addFleetRun(ctx, r, m, machine, day))
			}
		}
		return errors.Join(errs...)
	})
	get := func(name string) *table.Table {
		t.Helper()
		tb, err := find(t, name).Run(ctx, db, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return tb
	}
	if tb := get("fleet_overview"); len(tb.Rows) != 5 || tb.Rows[0][0] != "box1" || tb.Rows[0][tb.ColumnIndex("runs")] != int64(10) ||
		tb.Rows[0][tb.ColumnIndex("turns")] != int64(50) {
		t.Errorf("%v", tb.Rows)
	}
	out := get("fleet_outliers")
	if len(out.Rows) != 1 || out.Rows[0][0] != "slow" || out.Rows[0][out.ColumnIndex("metric")] != "ttft_ms" ||
		out.Rows[0][out.ColumnIndex("machines")] != int64(4) {
		t.Fatalf("outliers: %v", out.Rows)
	}
	if c := out.Rows[0][out.ColumnIndex("change_ratio")].(float64); c < 0.28 || c > 0.32 {
		t.Errorf("the outlier is off by %v", c)
	}
	changed := map[string]bool{}
	tb := get("regressions_over_time")
	for _, row := range tb.Rows {
		if c := row[tb.ColumnIndex("ttft_change_ratio")].(float64); c > 0.1 {
			day := row[tb.ColumnIndex("day")].(time.Time).Day()
			changed[fmt.Sprint(row[tb.ColumnIndex("machine")], " ", row[tb.ColumnIndex("engine_versions")], " ", day)] = true
		}
	}
	// one row less, as two days of the other machine are the first with their settings
	if fmt.Sprint(changed) != "map[turned 0.27 10:true turned 0.27 8:true turned 0.27 9:true]" || len(tb.Rows) != 5*9-1 {
		t.Errorf("%d rows, changed %v", len(tb.Rows), changed)
	}
}
