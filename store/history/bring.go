//go:build duckdb_arrow

package history

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"wb/data/plain"
	"wb/store"
)

// Bringing says which runs of which histories Bring copies into a file.
type Bringing struct {
	Verb   string   // the command of the user: "import" or "pull"
	Into   string   // the file, which is made if it is missing
	From   []string // files (a run may have them open), folders and lakes
	Reader Reader

	Choose func(ctx context.Context, path string) (ids []string, err error) // returns the runs of a history to copy; nil: all
	Done   func(from string, did Moved)                                     // called after each history; its name has no passwords; may be nil
}

// Bring imports the runs. It first checks that all histories can be read, so that no file is made in vain.
func Bring(ctx context.Context, b Bringing) (err error) {
	ids, use := make([][]string, len(b.From)), make([]string, len(b.From))
	for i, from := range b.From {
		path, release, err := b.path(ctx, from)
		if err != nil {
			return err
		}
		defer release()
		if use[i] = path; b.Choose != nil {
			if ids[i], err = b.Choose(ctx, path); err != nil {
				return err
			}
		}
	}
	db, err := store.Open(ctx, b.Into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for i, from := range b.From {
		did, err := Import(ctx, db, use[i], ids[i])
		if err != nil {
			return err
		}
		if b.Done != nil {
			b.Done(plain.Redact(from), did)
		}
	}
	return nil
}

// path returns a path at which a history can be read until release is called.
// It refuses the file itself. If a run has that file open, its snapshot would look like another history.
func (b Bringing) path(ctx context.Context, from string) (use string, release func(), err error) {
	if x, err := filepath.Abs(from); err == nil {
		if y, err := filepath.Abs(b.Into); err == nil && x == y {
			return "", nil, fmt.Errorf("%s %s: it is this history itself", b.Verb, from)
		}
	}
	use, release, err = b.Reader.Path(ctx, from)
	for _, cause := range []error{store.ErrNotFound, store.ErrNotDuckDB} {
		if errors.Is(err, cause) {
			return "", nil, plain.WithHint(fmt.Errorf("%s %s: %w", b.Verb, from, cause),
				"give a DuckDB file of wb, a folder of its Parquet files or a lake")
		}
	}
	return use, release, err
}
