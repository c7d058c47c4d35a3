//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/google/uuid"

	wbsql "wb/sql"
)

// Execution is one execution of a plan whose runs are in this file.
type Execution struct {
	ID        uuid.UUID
	Plan      string // text of the plan; before schema 12 its first line has the flags that were given
	Spec      string // JSON; "" before schema 12
	StartedAt time.Time
	Runs      int
	Unended   int // how many of Runs do not have the status ok
}

// Executions lists all executions, the newest first.
func (d *DB) Executions(ctx context.Context) ([]Execution, error) {
	rows, err := d.db.QueryContext(ctx, wbsql.Statement("executions"))
	if err != nil {
		return nil, Explain("read", d.path, err)
	}
	defer rows.Close()
	var out []Execution
	for rows.Next() {
		var e Execution
		var id string
		if err := rows.Scan(&id, &e.Plan, &e.Spec, &e.StartedAt, &e.Runs, &e.Unended); err != nil {
			return nil, Explain("read", d.path, err)
		}
		if e.ID, err = uuid.Parse(id); err != nil {
			return nil, Explain("read", d.path, err)
		}
		out = append(out, e)
	}
	return out, Explain("read", d.path, rows.Err())
}

// PlanRun is one cell of an execution, and how far it got.
type PlanRun struct {
	RunID                            uuid.UUID
	Name, Cell                       string
	Status                           RunStatus
	StartedAt                        time.Time
	Turns, Sessions, Scrapes, Starts int32 // the last number that was given to each
	SessionsPerRepeat                int
	Done                             []DoneSession
}

// DoneSession is a session that a resumed plan does not play again.
type DoneSession struct {
	Conversation, SHA256, Variant string
	Repeat                        int32
}

// PlanRuns returns the runs of an execution.
// A session is done when it ended well, or when it failed and the server answered other sessions afterwards.
func (d *DB) PlanRuns(ctx context.Context, plan uuid.UUID) ([]PlanRun, error) {
	out, err := d.planRuns(ctx, plan)
	if err != nil {
		return nil, Explain("read", d.path, err)
	}
	for i := range out {
		sessions, err := planSessions(ctx, d.db, out[i].RunID)
		if err != nil {
			return nil, Explain("read", d.path, err)
		}
		for _, s := range sessions {
			if s.done {
				out[i].Done = append(out[i].Done, s.DoneSession)
			}
		}
	}
	return out, nil
}

func (d *DB) planRuns(ctx context.Context, plan uuid.UUID) (out []PlanRun, err error) {
	rows, err := d.db.QueryContext(ctx, wbsql.Statement("plan_runs"), plan.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r PlanRun
		var id string
		err := rows.Scan(&id, &r.Name, &r.Cell, &r.Status, &r.StartedAt,
			&r.Turns, &r.Sessions, &r.Scrapes, &r.Starts, &r.SessionsPerRepeat)
		if err != nil {
			return nil, err
		}
		if r.RunID, err = uuid.Parse(id); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// planSession is a session of a run that can be resumed.
type planSession struct {
	DoneSession
	id     int32
	status SessionStatus
	done   bool
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func planSessions(ctx context.Context, from querier, run uuid.UUID) (out []planSession, err error) {
	rows, err := from.QueryContext(ctx, wbsql.Statement("plan_sessions"), run.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s planSession
		if err := rows.Scan(&s.id, &s.Conversation, &s.SHA256, &s.Variant, &s.Repeat, &s.status, &s.done); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Reopen assigns runs to this process, which resumes them.
// Sessions that were cut short will be played again. They are marked as repeated, so that no figure counts them.
func (d *DB) Reopen(ctx context.Context, runs []PlanRun) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return Explain("record", d.path, err)
	}
	for _, r := range runs {
		if err := reopen(ctx, tx, r.RunID); err != nil {
			return errors.Join(Explain("record", d.path, err), ignoreDone(tx.Rollback()))
		}
	}
	return Explain("record", d.path, tx.Commit())
}

func reopen(ctx context.Context, tx *sql.Tx, run uuid.UUID) error {
	sessions, err := planSessions(ctx, tx, run)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.done || s.status == SessionRepeated {
			continue
		}
		if _, err := tx.ExecContext(ctx, wbsql.Statement("repeat_session"), run.String(), s.id); err != nil {
			return err
		}
	}
	pid := int64(os.Getpid())
	_, err = tx.ExecContext(ctx, wbsql.Statement("reopen_run"), pid, ProcessStart(pid), time.Now().UTC(), run.String())
	return err
}
