package selftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"wb/collect/bench"
	"wb/store"
)

// LevelsOf gives paced levels with these numbers of streams, at 100 tokens per second each.
func LevelsOf(streams []int) (all []Level, err error) {
	all = slices.DeleteFunc(Levels(), func(l Level) bool {
		return l.Pace != 100 || l.Faults != nil || l.Loop || !slices.Contains(streams, l.Streams)
	})
	for _, n := range streams {
		if n < 1 || n > bench.MaxUsers {
			return nil, fmt.Errorf("wants 1 to %d, not %d", bench.MaxUsers, n)
		}
		if !slices.ContainsFunc(all, func(l Level) bool { return l.Streams == n }) {
			all = append(all, Level{Streams: n, Pace: 100, Turns: 5})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("wants at least one number")
	}
	return all, nil
}

// Run plays levels, one after the other, and records them in the file at path. It gives the ids of their runs. stall is the id of the run
// with the stall, and "" for none.
func Run(
	ctx context.Context, path string, all []Level, build bench.Build, tell func(line string),
) (runs []string, stall string, err error) {
	dir, err := os.MkdirTemp("", "wb-selftest-")
	if err != nil {
		return nil, "", fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for i, l := range all {
		tell(fmt.Sprintf("%d of %d: %s", i+1, len(all), l))
		id, err := l.run(ctx, path, dir, build)
		if err != nil {
			return nil, "", err
		}
		runs = append(runs, id.String())
		if l.Faults != nil {
			stall = id.String()
		}
	}
	return runs, stall, nil
}

// RecordHolds records, with a run, up to how many tokens per second wb's figures hold on this machine.
func RecordHolds(ctx context.Context, db *store.DB, run string, tokensPerS float64) error {
	id, err := uuid.Parse(run)
	if err != nil {
		return fmt.Errorf("record self-test: %w", err)
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	row := store.Setting{RunID: id, Source: "selftest", Name: "holds_to_tokens_per_s", Value: strconv.FormatFloat(tokensPerS, 'f', -1, 64)}
	return errors.Join(store.Add(ctx, rec, row), rec.Flush(ctx), rec.Close())
}
