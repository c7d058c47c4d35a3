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

// Reader opens histories for queries: also a file that a run holds, of which it asks the run for a snapshot.
type Reader struct {
	Told    io.Writer // where it says that it waits, and how old a snapshot is
	Sockets Sockets
}

// Open opens a history for queries, as OpenRead does, or a snapshot of it.
func (r Reader) Open(ctx context.Context, path string) (*store.DB, error) {
	var db *store.DB
	release, err := r.with(ctx, path, func(p string) (err error) {
		db, err = OpenRead(ctx, p)
		return err
	})
	release() // the snapshot is open
	return db, err
}

// Path gives the path under which a history can be read: its own, or that of a snapshot, which stays until release is called.
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

// attempts at a file that another program holds, in case that is a run which begins or ends.
const attempts = 11

// with calls open with the path of a history, or with that of a snapshot of it where a run holds the file.
// The snapshot stays until release is called. A run that ends meanwhile leaves the file to be opened as it is.
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
		snapshot, done, lookErr := r.look(ctx, path)
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

// clean removes what a run that was killed left beside a file.
func (r Reader) clean(ctx context.Context, path string) {
	if socket, err := r.Sockets.of(path); err == nil && abandoned(ctx, socket) {
		_ = os.Remove(socket)
		sweep(path)
	}
}

// heldError is why a file that is held could not be opened, and why no run gave a snapshot of it.
type heldError struct{ open, look error }

func (e *heldError) Error() string { return e.open.Error() + "; " + e.look.Error() }

// errNobody is returned when no run answers for a file.
var errNobody = errors.New("nobody answers")

// look asks the run that holds a file for a snapshot; release says that it is no longer needed.
func (r Reader) look(ctx context.Context, path string) (use string, release func(), err error) {
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
		fmt.Fprintf(r.Told, "%s is held by a run: waiting for the turn under way to end\n", path)
		given = <-answer
	}
	if given.Error != "" {
		return "", nil, fmt.Errorf("look at %s: the run that holds it: %s", path, given.Error)
	}
	if !isSnapshotOf(path, given.Path) {
		return "", nil, fmt.Errorf("look at %s: the run that holds it names %s, which is no snapshot of it", path, given.Path)
	}
	fmt.Fprintf(r.Told, "note: %s is held by a run: this is a snapshot of it, %.1f s old\n", path, time.Since(given.TakenAt).Seconds())
	return given.Path, func() { stop(); c.Close() }, nil // hanging up tells the run
}
