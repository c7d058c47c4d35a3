package queries

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"wb/queries/table"
	"wb/store"
)

// HoldsTo gives the highest load, in tokens per second, up to which mean TTFT, mean ITL and the load itself are within 1 %.
// It goes through the loads that were tried from the lowest up, and ends at the first that does not hold.
func HoldsTo(t *table.Table) float64 {
	type tried struct {
		load float64
		held bool
	}
	var all []tried
	for _, row := range t.Rows {
		get := func(name string) float64 {
			switch v := row[t.ColumnIndex(name)].(type) {
			case float64:
				return v
			case int64:
				return float64(v)
			}
			return math.NaN()
		}
		name := strings.TrimPrefix(fmt.Sprint(row[t.ColumnIndex("run")]), "selftest/")
		if !strings.HasPrefix(name, "stall") && !strings.HasPrefix(name, "loop-") {
			held := math.Abs(get("ttft_error_mean_ratio")) <= 0.01 && math.Abs(get("itl_error_mean_ratio")) <= 0.01 &&
				get("load_kept_ratio") >= 0.99
			all = append(all, tried{get("streams") * get("pace_tokens_per_s"), held})
		}
	}
	slices.SortStableFunc(all, func(a, b tried) int { return cmp.Compare(a.load, b.load) })
	holds := 0.0
	for _, x := range all {
		if !x.held {
			break
		}
		holds = x.load
	}
	return holds
}

// loopMargin is how much less of the pace than a bare client wb may keep in a closed loop, as a share.
const loopMargin = 0.01

// LoopsKept says how much of their pace the closed loops of a self-test kept, one line each, compared with a bare client.
func LoopsKept(t *table.Table) (lines []string) {
	for _, row := range t.Rows {
		kept, ok := row[t.ColumnIndex("kept_ratio")].(float64)
		bare, known := row[t.ColumnIndex("bare_kept_ratio")].(float64)
		if !ok || !known {
			continue
		}
		verdict := "as much as a bare client"
		if bare-kept > loopMargin {
			verdict = "less than a bare client"
		}
		lines = append(lines, fmt.Sprintf("%v streams of %v tokens/s in a closed loop keep %.1f %% of their tokens, %s (%.1f %%)",
			row[t.ColumnIndex("streams")], row[t.ColumnIndex("pace_tokens_per_s")], 100*kept, verdict, 100*bare))
	}
	return lines
}

// StallFound says where the planted stall of a self-test was found.
func StallFound(ctx context.Context, db *store.DB, run string) (found string, err error) {
	find, err := Builtin("stalls")
	if err != nil {
		return "", err
	}
	t, err := find.Run(ctx, db, Options{Runs: run})
	if err != nil {
		return "", err
	}
	for _, row := range t.Rows {
		if gap, ok := row[t.ColumnIndex("gap_ms")].(float64); ok && gap >= 500 {
			turn := row[t.ColumnIndex("turn")]
			return fmt.Sprintf("the planted stall of 500 ms was found: %.1f ms in turn %v (wb query stalls)", gap, turn), nil
		}
	}
	return "", errors.New("test wb itself: the planted stall of 500 ms was not found")
}
