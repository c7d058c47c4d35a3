//go:build duckdb_arrow

package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	wbsql "wb/sql"
)

// SessionEnd is how a session ended.
type SessionEnd struct {
	SessionID int32
	EndedNs   int64 // ns since the start of the run
	Status    SessionStatus
	// FirstCachedTokens is how many tokens of the first prompt the server had cached; nil when it did not say.
	FirstCachedTokens *int64
}

// FinishSessions flushes, and records how sessions of a run ended. It returns the errors that Flush returns.
func (r *Recorder) FinishSessions(ctx context.Context, id uuid.UUID, ends ...SessionEnd) error {
	if len(ends) == 0 {
		return r.Flush(ctx)
	}
	// only placeholders are pasted into the statement, one row of them per session
	q := "UPDATE raw.session s SET ended_ns = x.ended_ns, status = x.status, first_cached_tokens = x.first_cached_tokens FROM (VALUES "
	args := []any{}
	for i, e := range ends {
		if i > 0 {
			q += ", "
		}
		q += "(?::INTEGER, ?::BIGINT, ?::VARCHAR, ?::BIGINT)"
		args = append(args, e.SessionID, e.EndedNs, e.Status, e.FirstCachedTokens)
	}
	q += ") AS x(session_id, ended_ns, status, first_cached_tokens) WHERE s.run_id = ?::UUID AND s.session_id = x.session_id"
	if err := r.update(ctx, q, append(args, id.String())...); err != nil {
		return err
	}
	return r.db.Present()
}

// FinishRun flushes, and records how a run ended: its status ("ok", "failed" or "interrupted") and the reason, "" for none.
func (r *Recorder) FinishRun(ctx context.Context, id uuid.UUID, status RunStatus, reason string, ended time.Time) error {
	return r.update(ctx, wbsql.Statement("finish_run"), status, reason, ended.UTC(), id.String())
}

// update flushes first, so that the row to change is in the file, and then runs a statement that changes it.
func (r *Recorder) update(ctx context.Context, q string, args ...any) error {
	if err := r.flush(ctx); err != nil { // not Flush: a file that was moved away is still closed properly
		return err
	}
	r.flushing.Lock()
	defer r.flushing.Unlock()
	_, err := r.conn.ExecContext(ctx, q, args...)
	return Explain("record", r.db.path, err)
}
