package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/selftest"
	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

func newSelftest(stdout, stderr io.Writer) *cobra.Command {
	var q queryOptions
	var streams []int
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Hold wb's own clock against a server that knows the truth",
		Long: `Start a simulator in a process of its own that keeps a rate and writes down when it really sent each token; play streams against it, everything
recorded; and print how far the recorded figures are from the truth. The runs stay in the file, and wb run warns when it carries more tokens a second than what
held within 1 %. It takes a minute and a half, and the machine should do nothing else.`,
		Example: `  wb selftest
  wb selftest --streams 8,64 --format md`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.chooseFormat(cmd); err != nil {
				return err
			}
			all := selftest.Levels()
			if cmd.Flags().Changed("streams") {
				all = slices.DeleteFunc(all, func(l selftest.Level) bool {
					return l.Pace != 100 || l.Faults != nil || l.Loop || !slices.Contains(streams, l.Streams)
				})
				for _, n := range streams {
					if n < 1 || n > bench.MaxUsers {
						return usagef("flag --streams: wants 1 to %d, not %d", bench.MaxUsers, n)
					}
					if !slices.ContainsFunc(all, func(l selftest.Level) bool { return l.Streams == n }) {
						all = append(all, selftest.Level{Streams: n, Pace: 100, Turns: 5})
					}
				}
			}
			if len(all) == 0 {
				return usagef("flag --streams: names no number")
			}
			return testSelf(cmd.Context(), &q, all, stdout, stderr)
		},
	}
	dbFlag(cmd, &q.db)
	cmd.Flags().IntSliceVar(&streams, "streams", nil, "numbers of `streams` to try, at 100 tokens a second each (default: 1 to 256, faster ones, and a stall)")
	q.outputFlags(cmd)
	return cmd
}

// testSelf plays the levels and tells what they show.
func testSelf(ctx context.Context, q *queryOptions, all []selftest.Level, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "wb-selftest-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var runs []string
	stall := ""
	for i, l := range all {
		fmt.Fprintf(stderr, "%d of %d: %s\n", i+1, len(all), l)
		id, err := l.Run(ctx, q.db, dir, build())
		if err != nil {
			return bench.Interrupted(ctx, err)
		}
		runs = append(runs, id.String())
		if l.Faults != nil {
			stall = id.String()
		}
	}
	db, err := store.Open(ctx, q.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	find, err := queries.Builtin("fidelity")
	if err != nil {
		return err
	}
	t, err := find.Run(ctx, db, queries.Options{Runs: strings.Join(runs, ",")})
	if err != nil {
		return err
	}
	holds := holdsTo(t)
	whole := stall != "" && holds > 0 // a few levels, or a busy machine, say nothing about the most that holds
	if !whole {
		return errors.Join(q.write(stdout, stderr, t), tellHolds(stderr, holds), tellLoops(stderr, t))
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	last := uuid.MustParse(runs[len(runs)-1])
	err = errors.Join(store.Add(ctx, rec, store.Setting{RunID: last, Source: "selftest", Name: "holds_to_tokens_per_s", Value: strconv.FormatFloat(holds, 'f', -1, 64)}), rec.Flush(ctx), rec.Close())
	if err != nil {
		return err
	}
	if err := q.write(stdout, stderr, t); err != nil {
		return err
	}
	return errors.Join(tellHolds(stderr, holds), tellLoops(stderr, t), tellStall(ctx, db, stall, stderr))
}

// loopMargin is how much less than a bare client wb may keep in a closed loop.
const loopMargin = 0.01

// tellLoops says what closed loops kept, beside a bare client.
func tellLoops(stderr io.Writer, t *table.Table) error {
	var errs []error
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
		_, err := fmt.Fprintf(stderr, "%v streams of %v tokens/s in a closed loop keep %.1f %% of their tokens, %s (%.1f %%)\n",
			row[t.ColumnIndex("streams")], row[t.ColumnIndex("pace_tokens_per_s")], 100*kept, verdict, 100*bare)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func tellHolds(stderr io.Writer, holds float64) error {
	if holds > 0 {
		_, err := fmt.Fprintf(stderr, "mean TTFT and ITL, and the load, hold within 1 %% up to %.0f tokens/s on this machine; the table has their p50 and p99\n", holds)
		return err
	}
	_, err := fmt.Fprintln(stderr, "mean TTFT and ITL hold within 1 % at no load that was tried: is the machine busy?")
	return err
}

// tellStall says whether the planted stall was found where it is.
func tellStall(ctx context.Context, db *store.DB, run string, stderr io.Writer) error {
	find, err := queries.Builtin("stalls")
	if err != nil {
		return err
	}
	t, err := find.Run(ctx, db, queries.Options{Runs: run})
	if err != nil {
		return err
	}
	for _, row := range t.Rows {
		if gap, ok := row[t.ColumnIndex("gap_ms")].(float64); ok && gap >= 500 {
			fmt.Fprintf(stderr, "the planted stall of 500 ms was found: %.1f ms in turn %v (wb query stalls)\n", gap, row[t.ColumnIndex("turn")])
			return nil
		}
	}
	return errors.New("test wb itself: the planted stall of 500 ms was not found")
}

// holdsTo is the load, tokens a second, up to which mean TTFT, mean ITL and the load itself hold within 1 %: of all that were tried, from the least on.
func holdsTo(t *table.Table) float64 {
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
			all = append(all, tried{get("streams") * get("pace_tokens_per_s"), math.Abs(get("ttft_error_mean_ratio")) <= 0.01 && math.Abs(get("itl_error_mean_ratio")) <= 0.01 && get("load_kept_ratio") >= 0.99})
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
