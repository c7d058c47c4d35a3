package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/selftest"
	"wb/data/plain"
	"wb/queries"
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
				var err error
				if all, err = selftest.LevelsOf(streams); err != nil {
					return plain.Mistake(fmt.Errorf("flag --streams: %w", err))
				}
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
	runs, stall, err := selftest.Run(ctx, q.db, all, build(), func(line string) { fmt.Fprintln(stderr, line) })
	if err != nil {
		return bench.Interrupted(ctx, err)
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
	holds := queries.HoldsTo(t)
	whole := stall != "" && holds > 0 // a few levels, or a busy machine, say nothing about the most that holds
	if !whole {
		return errors.Join(q.write(stdout, stderr, t), tellHolds(stderr, holds), tellLines(stderr, queries.LoopsKept(t)))
	}
	if err := selftest.RecordHolds(ctx, db, runs[len(runs)-1], holds); err != nil {
		return err
	}
	if err := q.write(stdout, stderr, t); err != nil {
		return err
	}
	return errors.Join(tellHolds(stderr, holds), tellLines(stderr, queries.LoopsKept(t)), tellStall(ctx, db, stall, stderr))
}

func tellHolds(stderr io.Writer, holds float64) error {
	if holds > 0 {
		_, err := fmt.Fprintf(stderr, "mean TTFT and ITL, and the load, hold within 1 %% up to %.0f tokens/s on this machine; the table has their p50 and p99\n", holds)
		return err
	}
	_, err := fmt.Fprintln(stderr, "mean TTFT and ITL hold within 1 % at no load that was tried: is the machine busy?")
	return err
}

func tellLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// tellStall says whether the planted stall was found where it is.
func tellStall(ctx context.Context, db *store.DB, run string, stderr io.Writer) error {
	found, err := queries.StallFound(ctx, db, run)
	if err != nil {
		return err
	}
	return tellLines(stderr, []string{found})
}
