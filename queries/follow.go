package queries

import (
	"context"
	"errors"
	"fmt"
	"time"

	wbsql "wb/sql"
	"wb/store"
)

// Follow reports the progress of the run that was begun last: one line whenever it changes, until the run has ended. It looks every so
// often, and opens the history again each time.
func Follow(ctx context.Context, open func() (*store.DB, error), every time.Duration, tell func(line string)) error {
	before := ""
	for {
		db, err := open()
		if err != nil {
			return err
		}
		t, err := AdHoc(wbsql.Statement("watch_run")).Run(ctx, db, Options{})
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		if len(t.Rows) == 0 {
			return fmt.Errorf("watch run: %w", ErrNoRuns)
		}
		r := t.Rows[0]
		line := fmt.Sprintf("%v: %v, %v turns, %v failed", r[0], r[1], r[2], r[3])
		if r[4] != nil {
			line += fmt.Sprintf("; last %v, TTFT %v ms", r[4], r[5])
			if r[6] != nil {
				line += fmt.Sprintf(", hit ratio %v", r[6])
			}
		}
		if line != before {
			tell(line)
			before = line
		}
		if r[1] != string(store.RunRunning) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}
