//go:build duckdb_arrow

package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"wb/queries"
	"wb/queries/internal/fixture"
)

func TestReportAndSystem(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	tables, empty, err := Tables(ctx, db, "latest", "")
	if err != nil || strings.Join(empty, " ") != "run_differences" ||
		len(tables) != len(sections())-2 || // a single run is compared with nothing
		tables[0].Name != "run_overview" {
		t.Errorf("%d tables, empty %v, %v", len(tables), empty, err)
	}
	if _, _, err := Tables(ctx, db, "nosuch", ""); err == nil || !strings.Contains(err.Error(), `select runs "nosuch": no such run`) {
		t.Errorf("got %v", err)
	}
	// of several runs, each with measured turns is compared with the base; sections in order
	tables, _, err = Tables(ctx, db, "all", "base")
	if err != nil || tables[2].Name != comparison || tables[2].Title != "Against base" || len(tables[2].Rows) == 0 ||
		tables[2].Rows[0][0] != fixture.Late ||
		!tables[2].Simulated() {
		t.Errorf("%v (%v)", tables[2], err)
	}
	place := map[string]int{}
	for i, x := range tables {
		place[x.Name] = i
	}
	for _, order := range [][2]string{
		{"run_overview", "compare"}, {"compare", "cache_hit_by_turn"}, {"cache_miss_causes", "ttft_by_turn"},
		{"ttft_by_turn", "gpu_timeline"}, {"gpu_timeline", "roofline"}, {"roofline", "run_differences"},
	} {
		if place[order[0]] >= place[order[1]] {
			t.Errorf("%s does not stand before %s: %v", order[0], order[1], place)
		}
	}
	if _, _, err := Tables(ctx, db, "all", "nope"); err == nil || !errors.Is(err, queries.ErrNoRuns) {
		t.Errorf("an unknown base: %v", err)
	}
	if _, _, err := Tables(ctx, db, "all", "tuned"); err == nil ||
		err.Error() != "compare with tuned: it may be any of 2 runs; give the start of one's id: "+fixture.EarlyID[:8]+", "+fixture.LateID[:8] {
		t.Errorf("a base of two runs: %v", err)
	}
	if _, _, err := Tables(ctx, db, "latest", "base"); err == nil {
		t.Error("a single run has a base")
	}
	for _, selector := range []string{"latest", ""} {
		sys, err := System(ctx, db, selector)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range sys {
			got = append(got, fmt.Sprint(s.Name, " ", len(s.Rows)))
		}
		if s := strings.Join(got, ", "); s != "hosts 1, gpus 1, engines 1, servers 2, settings 4" {
			t.Errorf("system %q: %s", selector, s)
		}
	}
}
