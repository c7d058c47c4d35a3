package main

import (
	"context"
	"errors"
	"io"

	"wb/collect/bench"
	"wb/store"
	"wb/store/history"
)

// openRead opens a history for queries. Of a file that a run holds it opens a snapshot, and stderr says how old that is.
func openRead(ctx context.Context, path string, stderr io.Writer) (*store.DB, error) {
	db, err := history.Reader{Told: stderr}.Open(ctx, path)
	return db, asInterrupted(ctx, err)
}

// readable gives the path under which a history can be read: its own, or that of a snapshot where a run holds it, which stays until release
// is called.
func readable(ctx context.Context, path string, stderr io.Writer) (use string, release func(), err error) {
	use, release, err = history.Reader{Told: stderr}.Path(ctx, path)
	return use, release, asInterrupted(ctx, err)
}

// asInterrupted says of waiting that it was ended.
func asInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return bench.ErrInterrupted
	}
	return err
}
