//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	wbsql "wb/sql"
)

// CountRuns returns how many runs the file has.
func (d *DB) CountRuns(ctx context.Context) (n int64, err error) {
	err = d.db.QueryRowContext(ctx, wbsql.Statement("run_count")).Scan(&n)
	return n, Explain("read", d.path, err)
}

// Carried returns how many tokens per second a run received, and up to how many tokens per second a self-test on its machine was exact.
// A value that is not known is not valid.
func (d *DB) Carried(ctx context.Context, run uuid.UUID) (carried, holds sql.NullFloat64, err error) {
	err = d.db.QueryRowContext(ctx, wbsql.Statement("carried"), run.String()).Scan(&carried, &holds)
	return carried, holds, err
}

// TagRun sets a tag of a run. The value "" removes the tag.
func (d *DB) TagRun(ctx context.Context, runID, key, value string) error {
	var had string // setting the same value again must not make this copy of the run newer
	if err := d.db.QueryRowContext(ctx, wbsql.Statement("tag"), runID, key).Scan(&had); err != nil || had == value {
		return Explain("tag", d.path, err)
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return Explain("tag", d.path, err)
	}
	_, err = tx.ExecContext(ctx, wbsql.Statement("tag_remove"), runID, key)
	if err == nil && value != "" {
		_, err = tx.ExecContext(ctx, wbsql.Statement("tag_add"), runID, key, value)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, wbsql.Statement("run_changed"), time.Now().UTC(), runID)
	}
	if err != nil {
		return errors.Join(Explain("tag", d.path, err), ignoreDone(tx.Rollback()))
	}
	return Explain("tag", d.path, tx.Commit())
}

// DeleteRuns removes runs with all their rows, and the messages that no other run refers to.
func (d *DB) DeleteRuns(ctx context.Context, runIDs []string) error {
	if len(runIDs) == 0 {
		return nil
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return Explain("delete", d.path, err)
	}
	err = Within(ctx, conn, func(exec func(string, ...any) error) error {
		for _, row := range rowTypes() {
			if row.table() == (Message{}).table() { // a message does not belong to one run
				continue
			}
			// the name of the table is pasted into the statement, because it is a constant of this package
			q := "DELETE FROM raw." + row.table() + " WHERE run_id IN (SELECT unnest(string_split(?, ','))::UUID)"
			if err := exec(q, strings.Join(runIDs, ",")); err != nil {
				return fmt.Errorf("raw.%s: %w", row.table(), err)
			}
		}
		return exec(wbsql.Statement("remove_texts"))
	})
	if err = errors.Join(err, conn.Close()); err != nil {
		return Explain("delete", d.path, err)
	}
	return d.Checkpoint(ctx)
}

// FinishRuns records how runs ended that no recorder has open: their status and the reason, "" for none.
func (d *DB) FinishRuns(ctx context.Context, ids []uuid.UUID, status RunStatus, reason string, ended time.Time) error {
	for _, id := range ids {
		if _, err := d.db.ExecContext(ctx, wbsql.Statement("finish_run"), status, reason, ended.UTC(), id.String()); err != nil {
			return Explain("record", d.path, err)
		}
	}
	return nil
}

// Snapshot copies what is committed into another file, which must not exist yet. Others may write meanwhile.
func (d *DB) Snapshot(ctx context.Context, path string) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return Explain("copy", d.path, err)
	}
	defer conn.Close()
	name, err := CurrentDatabase(ctx, conn)
	if err != nil {
		return Explain("copy", d.path, err)
	}
	if _, err := conn.ExecContext(ctx, "ATTACH "+wbsql.Text(path)+" AS _snapshot"); err != nil {
		return Explain("copy", d.path, err)
	}
	_, err = conn.ExecContext(ctx, "COPY FROM DATABASE "+wbsql.Name(name)+" TO _snapshot")
	_, derr := conn.ExecContext(context.WithoutCancel(ctx), "DETACH _snapshot")
	return Explain("copy", d.path, errors.Join(err, derr))
}
