//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
)

// TagRun sets a tag of a run; value "" takes it away.
func (d *DB) TagRun(ctx context.Context, runID, key, value string) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain("tag", d.path, err)
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM raw.run_tag WHERE run_id = ?::UUID AND key = ?", runID, key)
	if err == nil && value != "" {
		_, err = tx.ExecContext(ctx, "INSERT INTO raw.run_tag VALUES (?::UUID, ?, ?)", runID, key, value)
	}
	if err != nil {
		return errors.Join(explain("tag", d.path, err), ignoreDone(tx.Rollback()))
	}
	return explain("tag", d.path, tx.Commit())
}

// DeleteRuns removes runs with everything recorded of them, and messages that no other run refers to.
func (d *DB) DeleteRuns(ctx context.Context, runIDs []string) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain("delete", d.path, err)
	}
	remove := func() error {
		for _, row := range rowTypes() {
			if _, ok := row.(Message); ok {
				continue
			}
			for _, id := range runIDs {
				if _, err := tx.ExecContext(ctx, "DELETE FROM raw."+row.table()+" WHERE run_id = ?::UUID", id); err != nil {
					return err
				}
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM raw.message WHERE sha256 NOT IN (SELECT sha256 FROM raw.turn_message UNION ALL SELECT reply_sha256 FROM raw.turn WHERE reply_sha256 IS NOT NULL)`)
		return err
	}
	if err := remove(); err != nil {
		return errors.Join(explain("delete", d.path, err), ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return explain("delete", d.path, err)
	}
	return d.Checkpoint(ctx)
}
