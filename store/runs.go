//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// TagRun sets a tag of a run; value "" takes it away.
func (d *DB) TagRun(ctx context.Context, runID, key, value string) error {
	var had string // a label that changes nothing makes this copy of the run no newer
	if err := d.db.QueryRowContext(ctx, "SELECT coalesce(any_value(value), '') FROM raw.run_tag WHERE run_id = ?::UUID AND key = ?", runID, key).Scan(&had); err != nil || had == value {
		return explain("tag", d.path, err)
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain("tag", d.path, err)
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM raw.run_tag WHERE run_id = ?::UUID AND key = ?", runID, key)
	if err == nil && value != "" {
		_, err = tx.ExecContext(ctx, "INSERT INTO raw.run_tag VALUES (?::UUID, ?, ?)", runID, key, value)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE raw.run SET changed_at = greatest(?, coalesce(changed_at, ended_at, started_at) + INTERVAL 1 MICROSECOND) WHERE run_id = ?::UUID", time.Now().UTC(), runID) // later than this copy, whatever the clock says
	}
	if err != nil {
		return errors.Join(explain("tag", d.path, err), ignoreDone(tx.Rollback()))
	}
	return explain("tag", d.path, tx.Commit())
}

// DeleteRuns removes runs with everything recorded of them, and messages that no other run refers to.
func (d *DB) DeleteRuns(ctx context.Context, runIDs []string) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return explain("delete", d.path, err)
	}
	own, err := d.tables(ctx, conn)
	if err == nil {
		err = within(ctx, conn, func(exec func(string, ...any) error) error {
			if err := own.remove(exec, runIDs); err != nil {
				return err
			}
			return removeTexts(exec)
		})
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return explain("delete", d.path, err)
	}
	return d.Checkpoint(ctx)
}

// Remove removes runs of a file, a folder of Parquet or a lake, with everything recorded of them.
func Remove(ctx context.Context, from string, ids []string) (err error) {
	switch kindOf(from) {
	case aLake:
		l, err := ParseLake(from, "")
		if err != nil {
			return err
		}
		return l.removeFrom(ctx, ids)
	case aFolder:
		for _, row := range rowTypes() { // the run itself first: what is left of it, if this is cut short, is no run
			for _, id := range ids {
				found, err := runFolders(filepath.Join(from, row.table()), id)
				for _, p := range found {
					err = errors.Join(err, removeParquet(p))
				}
				if err != nil {
					return &Error{"remove", from, err, ""}
				}
			}
		}
		return nil
	}
	d, err := Open(ctx, from)
	if err != nil {
		return err
	}
	return errors.Join(d.DeleteRuns(ctx, ids), d.Close())
}

// removeTexts takes the texts that no run refers to.
func removeTexts(exec func(string, ...any) error) error {
	return exec(`DELETE FROM raw.message WHERE sha256 NOT IN (SELECT sha256 FROM raw.turn_message UNION ALL SELECT reply_sha256 FROM raw.turn WHERE reply_sha256 IS NOT NULL)`)
}

// FinishRuns closes runs that no recorder has open, with a status and the reason, "" for none.
func (d *DB) FinishRuns(ctx context.Context, ids []uuid.UUID, status, reason string, ended time.Time) error {
	for _, id := range ids {
		if _, err := d.db.ExecContext(ctx, finishRun, status, reason, ended.UTC(), id.String()); err != nil {
			return explain("record", d.path, err)
		}
	}
	return nil
}

// Execution is a plan that was begun in this file.
type Execution struct {
	ID        uuid.UUID
	Plan      string // its text
	StartedAt time.Time
	Runs      int
	Unended   int // of these, not ok
}

// Executions lists them, the newest first.
func (d *DB) Executions(ctx context.Context) ([]Execution, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT plan_id::VARCHAR, any_value(plan), min(started_at), count(*), count(*) FILTER (WHERE status <> 'ok') FROM raw.run WHERE plan_id IS NOT NULL AND plan IS NOT NULL
		GROUP BY plan_id ORDER BY min(started_at) DESC, plan_id`)
	if err != nil {
		return nil, explain("read", d.path, err)
	}
	defer rows.Close()
	var out []Execution
	for rows.Next() {
		var e Execution
		var id string
		if err := rows.Scan(&id, &e.Plan, &e.StartedAt, &e.Runs, &e.Unended); err != nil {
			return nil, explain("read", d.path, err)
		}
		if e.ID, err = uuid.Parse(id); err != nil {
			return nil, explain("read", d.path, err)
		}
		out = append(out, e)
	}
	return out, explain("read", d.path, rows.Err())
}

// PlanRun is one cell of an execution, and how far it got.
type PlanRun struct {
	RunID                            uuid.UUID
	Name, Cell, Status               string
	StartedAt                        time.Time
	Turns, Sessions, Scrapes, Starts int32 // last numbers
	SessionsPerRepeat                int
	Done                             []DoneSession
}

// DoneSession is a session that need not be played again.
type DoneSession struct {
	Conversation, SHA256, Variant string
	Repeat                        int32
}

// PlanRuns gives the runs of an execution. Sessions count as done when they ended well, or with a failure after which the server answered others.
func (d *DB) PlanRuns(ctx context.Context, plan uuid.UUID) ([]PlanRun, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT run_id::VARCHAR, name, coalesce(cell, ''), status, started_at,
		coalesce((SELECT max(turn_id) FROM raw.turn t WHERE t.run_id = r.run_id), 0), coalesce((SELECT max(session_id) FROM raw.session s WHERE s.run_id = r.run_id), 0),
		coalesce((SELECT max(scrape_id) FROM raw.scrape s WHERE s.run_id = r.run_id), 0), coalesce((SELECT max(start_id) FROM raw.engine_start s WHERE s.run_id = r.run_id), 0),
		coalesce((SELECT any_value(try_cast(value AS INTEGER)) FROM raw.setting x WHERE x.run_id = r.run_id AND source = 'plan' AND name = 'sessions_per_repeat'), 0)
		FROM raw.run r WHERE plan_id = ?::UUID ORDER BY started_at, run_id`, plan.String())
	if err != nil {
		return nil, explain("read", d.path, err)
	}
	defer rows.Close()
	var out []PlanRun
	for rows.Next() {
		var r PlanRun
		var id string
		if err := rows.Scan(&id, &r.Name, &r.Cell, &r.Status, &r.StartedAt, &r.Turns, &r.Sessions, &r.Scrapes, &r.Starts, &r.SessionsPerRepeat); err != nil {
			return nil, explain("read", d.path, err)
		}
		if r.RunID, err = uuid.Parse(id); err != nil {
			return nil, explain("read", d.path, err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, explain("read", d.path, err)
	}
	for i := range out {
		if out[i].Done, err = d.doneSessions(ctx, out[i].RunID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// doneSession is the condition for a session s.
const doneSession = `(s.status = 'ok' OR (s.status = 'failed' AND s.ended_ns IS NOT NULL AND EXISTS (SELECT 1 FROM raw.turn l WHERE l.run_id = s.run_id AND l.status = 'ok' AND l.submit_ns > s.ended_ns)))`

func (d *DB) doneSessions(ctx context.Context, run uuid.UUID) ([]DoneSession, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT conversation, conversation_sha256, variant, repeat FROM raw.session s WHERE run_id = ?::UUID AND NOT warmup AND `+doneSession, run.String())
	if err != nil {
		return nil, explain("read", d.path, err)
	}
	defer rows.Close()
	var out []DoneSession
	for rows.Next() {
		var s DoneSession
		if err := rows.Scan(&s.Conversation, &s.SHA256, &s.Variant, &s.Repeat); err != nil {
			return nil, explain("read", d.path, err)
		}
		out = append(out, s)
	}
	return out, explain("read", d.path, rows.Err())
}

// Reopen gives runs to this process, to go on with. What was cut short in them will be played again and counts no more: its sessions are marked.
func (d *DB) Reopen(ctx context.Context, runs []PlanRun) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain("record", d.path, err)
	}
	pid := int64(os.Getpid())
	for _, r := range runs {
		_, err1 := tx.ExecContext(ctx, `UPDATE raw.session SET status = 'repeated' FROM (SELECT session_id FROM raw.session s WHERE run_id = $1::UUID AND NOT warmup AND status <> 'repeated' AND NOT `+doneSession+`) x
			WHERE raw.session.run_id = $1::UUID AND raw.session.session_id = x.session_id`, r.RunID.String())
		_, err2 := tx.ExecContext(ctx, "UPDATE raw.run SET status = 'running', error = NULL, ended_at = NULL, pid = ?, process_started_at = ?, executions = coalesce(executions, 1) + 1, changed_at = ? WHERE run_id = ?::UUID", pid, ProcessStart(pid), time.Now().UTC(), r.RunID.String())
		if err := errors.Join(err1, err2); err != nil {
			return errors.Join(explain("record", d.path, err), ignoreDone(tx.Rollback()))
		}
	}
	return explain("record", d.path, tx.Commit())
}

// Snapshot copies what is committed into another file, which must not be there; it reads while others write.
func (d *DB) Snapshot(ctx context.Context, path string) error {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return explain("copy", d.path, err)
	}
	defer conn.Close()
	own, err := currentDatabase(ctx, conn)
	if err != nil {
		return explain("copy", d.path, err)
	}
	if _, err := conn.ExecContext(ctx, "ATTACH "+sqlText(path)+" AS _snapshot"); err != nil {
		return explain("copy", d.path, err)
	}
	_, err = conn.ExecContext(ctx, "COPY FROM DATABASE "+sqlName(own)+" TO _snapshot")
	_, derr := conn.ExecContext(context.WithoutCancel(ctx), "DETACH _snapshot")
	return explain("copy", d.path, errors.Join(err, derr))
}
