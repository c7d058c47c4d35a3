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
		Short: "Check wb's clock against a server that records when it sent each token",
		Long: `Start a simulator in a separate process. It sends tokens at a fixed rate and writes down when it really sent each of them.
Play streams against it, record everything, and print how far the recorded figures are from what the simulator wrote down.
The runs stay in the file. A run that carries more tokens per second than the self-test found right within 1 % gets a warning.
The self-test takes a minute and a half. The machine should do nothing else meanwhile.`,
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
	cmd.Flags().IntSliceVar(&streams, "streams", nil,
		"numbers of `streams` to try, each at 100 tokens per second (default: 1 to 256, some faster ones, and one with a stall)")
	q.outputFlags(cmd)
	return cmd
}

// testSelf plays the levels and prints what they show.
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
	whole := stall != "" && holds > 0 // a few levels, or a busy machine, do not show the highest load that holds
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
		_, err := fmt.Fprintf(stderr, "mean TTFT, mean ITL and the load are right within 1 %% up to %.0f tokens/s on this machine; "+
			"the table has their p50 and p99\n", holds)
		return err
	}
	_, err := fmt.Fprintln(stderr, "mean TTFT and mean ITL are not right within 1 % at any load that was tried: is the machine busy?")
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

// tellStall prints whether the planted stall was found in its place.
func tellStall(ctx context.Context, db *store.DB, run string, stderr io.Writer) error {
	found, err := queries.StallFound(ctx, db, run)
	if err != nil {
		return err
	}
	return tellLines(stderr, []string{found})
}
