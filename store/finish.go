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
	EndedNs   int64 // ns since run start
	Status    SessionStatus
	// FirstCachedTokens are those of its first prompt that the server had cached; nil: not told.
	FirstCachedTokens *int64
}

// FinishSessions flushes and closes sessions of a run, with the errors of Flush.
func (r *Recorder) FinishSessions(ctx context.Context, id uuid.UUID, ends ...SessionEnd) error {
	if len(ends) == 0 {
		return r.Flush(ctx)
	}
	// pasted are placeholders only, one row of them a session
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

// FinishRun flushes and closes a run with its status ("ok", "failed", "interrupted") and the reason, "" for none.
func (r *Recorder) FinishRun(ctx context.Context, id uuid.UUID, status RunStatus, reason string, ended time.Time) error {
	return r.update(ctx, wbsql.Statement("finish_run"), status, reason, ended.UTC(), id.String())
}

// update flushes, so that the row is there, and changes it.
func (r *Recorder) update(ctx context.Context, q string, args ...any) error {
	if err := r.flush(ctx); err != nil { // a file that was moved away is closed in good order
		return err
	}
	r.flushing.Lock()
	defer r.flushing.Unlock()
	_, err := r.conn.ExecContext(ctx, q, args...)
	return Explain("record", r.db.path, err)
}
