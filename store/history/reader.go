//go:build duckdb_arrow

package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"wb/data/plain"
	"wb/store"
)

// Reader opens histories for queries. If a run has a file open, the reader asks that run for a snapshot of the file.
type Reader struct {
	Told    io.Writer // gets lines for the user: that it waits, and how old a snapshot is
	Sockets Sockets
}

// Open opens a history for queries, as OpenRead does, or a snapshot of it.
func (r Reader) Open(ctx context.Context, path string) (*store.DB, error) {
	var db *store.DB
	release, err := r.with(ctx, path, func(p string) (err error) {
		db, err = OpenRead(ctx, p)
		return err
	})
	release() // the snapshot is open and no longer needs its path
	return db, err
}

// Path returns a path at which a history can be read: the given path, or that of a snapshot, which exists until release is called.
// release is never nil.
func (r Reader) Path(ctx context.Context, path string) (use string, release func(), err error) {
	release, err = r.with(ctx, path, func(p string) error {
		db, err := OpenRead(ctx, p)
		if err != nil {
			return err
		}
		use = p
		return db.Close()
	})
	return use, release, err
}

// attempts is how often a file is tried that another program has open. That program may be a run that is just beginning or ending.
const attempts = 11

// with calls open with the path of a history, or with that of a snapshot of it if a run has the file open.
// The snapshot exists until release is called. If the run ends meanwhile, open is called with the file.
func (r Reader) with(ctx context.Context, path string, open func(path string) error) (release func(), err error) {
	release = func() {}
	held := &heldError{}
	p := plain.Policy{
		Again: func(err error) bool { return errors.As(err, &held) && ctx.Err() == nil },
		First: 100 * time.Millisecond, Most: 100 * time.Millisecond, Tries: attempts,
	}
	err = plain.Retry(ctx, p, func() error {
		err := open(path)
		if err == nil {
			r.clean(ctx, path)
			return nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return err
		}
		snapshot, done, lookErr := r.askForSnapshot(ctx, path)
		if lookErr != nil {
			return &heldError{err, lookErr}
		}
		if err := open(snapshot); err != nil {
			done()
			return err
		}
		release = done
		return nil
	})
	switch {
	case errors.As(err, &held) && ctx.Err() != nil:
		return release, ctx.Err()
	case errors.As(err, &held) && errors.Is(held.look, errNobody): // another program holds it
		return release, held.open
	case errors.As(err, &held):
		return release, held.look
	}
	return release, err
}

// clean removes what a killed run left beside a file.
func (r Reader) clean(ctx context.Context, path string) {
	if socket, err := r.Sockets.of(path); err == nil && abandoned(ctx, socket) {
		_ = os.Remove(socket)
		sweep(path)
	}
}

// heldError says why a file that another program has open could not be opened, and why no run gave a snapshot of it.
type heldError struct{ open, look error }

func (e *heldError) Error() string { return e.open.Error() + "; " + e.look.Error() }

// errNobody is returned when no run answers for a file.
var errNobody = errors.New("nobody answers")

// askForSnapshot asks the run that has a file open for a snapshot. release tells that run that the snapshot is no longer needed.
func (r Reader) askForSnapshot(ctx context.Context, path string) (use string, release func(), err error) {
	socket, err := r.Sockets.of(path)
	if err != nil {
		return "", nil, errors.Join(errNobody, err)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", nil, errors.Join(errNobody, err)
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := trusted(c, path); err != nil {
		return "", nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	answer := make(chan snapshot, 1)
	go func() {
		var given snapshot
		if err := json.NewDecoder(io.LimitReader(c, 64<<10)).Decode(&given); err != nil {
			given.Error = err.Error()
		}
		answer <- given
	}()
	var given snapshot
	select {
	case given = <-answer:
	case <-time.After(time.Second):
		fmt.Fprintf(r.Told, "%s is held by a run: waiting for the end of the current turn\n", path)
		given = <-answer
	}
	if given.Error != "" {
		return "", nil, fmt.Errorf("read %s: the run that holds it: %s", path, given.Error)
	}
	if !isSnapshotOf(path, given.Path) {
		return "", nil, fmt.Errorf("read %s: the run that holds it names %s, which is not a snapshot of it", path, given.Path)
	}
	fmt.Fprintf(r.Told, "note: %s is held by a run: this is a snapshot of it, %.1f s old\n", path, time.Since(given.TakenAt).Seconds())
	return given.Path, func() { stop(); c.Close() }, nil // closing the connection tells the run
}
