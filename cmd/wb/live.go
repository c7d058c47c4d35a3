package main

import (
	"context"
	"errors"
	"io"

	"wb/collect/bench"
	"wb/store"
	"wb/store/history"
)

// openRead opens a history for queries. If a run holds the file, it opens a snapshot of it and prints to stderr how old that is.
func openRead(ctx context.Context, path string, stderr io.Writer) (*store.DB, error) {
	db, err := history.Reader{Told: stderr}.Open(ctx, path)
	return db, asInterrupted(ctx, err)
}

// readable gives a path from which a history can be read: of a snapshot, until release is called, if a run holds the file.
func readable(ctx context.Context, path string, stderr io.Writer) (use string, release func(), err error) {
	use, release, err = history.Reader{Told: stderr}.Path(ctx, path)
	return use, release, asInterrupted(ctx, err)
}

// asInterrupted replaces the error of a wait that the user ended.
func asInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return bench.ErrInterrupted
	}
	return err
}
