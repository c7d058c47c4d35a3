//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"wb/data/plain"
	wbsql "wb/sql"
	"wb/store"
)

// source is a history attached to a connection: a DuckDB file, a folder of Parquet files or a lake.
type source struct {
	path    string
	version int                       // schema version
	tables  map[string][]string       // columns of each raw table that it has
	schema  map[string][]store.Column // the same with types and comments; for files only
	from    func(string) string       // the SQL name of the relation with the rows of a table
	close   func(context.Context) error
}

// perRun reports whether raw.message has a run_id. In a file a text is stored once for all runs.
// In folders and lakes it is stored once per run, because runs are added one by one.
func (s *source) perRun() bool { return slices.Contains(s.tables["message"], "run_id") }

// runCopy is the copy of a run that a source has.
type runCopy struct {
	id, status string
	state      string // status, time of its end, and tags, as one text
	executions int    // how often it was started: once, and again with each resume
	changedAt  time.Time
}

// newerThan reports whether x replaces y: x was resumed more often, or as often and it ended or was tagged later.
func (x runCopy) newerThan(y runCopy) bool {
	return x.executions > y.executions || x.executions == y.executions && x.changedAt.After(y.changedAt)
}

// runs returns the runs of a source in the order in which they began. ids names the runs; nil means all of them.
func (s *source) runs(ctx context.Context, c *sql.Conn, ids []string) (out []runCopy, err error) {
	if s.tables["run"] == nil || ids != nil && len(ids) == 0 {
		return nil, nil
	}
	where, executions, changed, tags := "", "1", "coalesce(ended_at, started_at)", "SELECT NULL::UUID AS run_id, NULL AS tags"
	if ids != nil {
		where = " WHERE " + inList(ids)
	}
	if slices.Contains(s.tables["run"], "executions") { // missing in a source of an older wb that could not be migrated
		executions, changed = "coalesce(executions, 1)", "coalesce(changed_at, ended_at, started_at)"
	}
	if s.tables["run_tag"] != nil {
		tags = "SELECT run_id, string_agg(key || '=' || value, ' ' ORDER BY key, value) AS tags FROM " + s.from("run_tag") + where +
			" GROUP BY run_id"
	}
	rows, err := c.QueryContext(ctx, fmt.Sprintf(`SELECT run_id::VARCHAR, status, concat_ws(' ', status, ended_at, tags), %s, %s
		FROM (SELECT * FROM %s%s) r LEFT JOIN (%s) t USING (run_id) ORDER BY started_at, run_id`,
		executions, changed, s.from("run"), where, tags))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x runCopy
		if err := rows.Scan(&x.id, &x.status, &x.state, &x.executions, &x.changedAt); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// byID returns the runs by their ids.
func (s *source) byID(ctx context.Context, c *sql.Conn) (map[string][]runCopy, error) {
	all, err := s.runs(ctx, c, nil)
	out := map[string][]runCopy{}
	for _, r := range all {
		out[r.id] = append(out[r.id], r)
	}
	return out, err
}

// attachFile attaches a DuckDB file read-only, after store.OpenRead has migrated it.
func attachFile(ctx context.Context, c *sql.Conn, path string) (*source, error) {
	if store.KindOf(path) != store.File {
		return nil, problem("read", plain.Redact(path),
			errors.New("it is a folder of Parquet files or a lake, but this command needs a DuckDB file"),
			"wb import "+plain.Redact(path)+" --db FILE.duckdb makes one")
	}
	db, err := store.OpenRead(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, problem("open", path, err, "")
	}
	if _, err := c.ExecContext(ctx, "ATTACH "+wbsql.Text(abs)+" AS _from (READ_ONLY)"); err != nil {
		return nil, store.Explain("open", path, err)
	}
	s := &source{path: path, from: func(t string) string { return "_from.raw." + wbsql.Name(t) }}
	s.close = func(ctx context.Context) error { _, err := c.ExecContext(ctx, "DETACH _from"); return err }
	if err := c.QueryRowContext(ctx, wbsql.Statement("from_schema")).Scan(&s.version); err != nil {
		return nil, store.Explain("open", path, err)
	}
	return s, store.Explain("open", path, s.readSchema(ctx, c, "_from"))
}

// readSchema reads the raw tables and columns of a DuckDB file.
func (s *source) readSchema(ctx context.Context, c *sql.Conn, database string) (err error) {
	s.schema, err = store.RawColumns(ctx, c, database)
	s.tables = map[string][]string{}
	for t, cs := range s.schema {
		for _, x := range cs {
			s.tables[t] = append(s.tables[t], x.Name)
		}
	}
	return err
}

// openSource attaches a history: a lake, a folder or a file.
func openSource(ctx context.Context, c *sql.Conn, from string) (s *source, err error) {
	switch store.KindOf(from) {
	case store.Lake:
		var l Lake
		if l, err = ParseLake(from, ""); err == nil {
			s, err = attachLake(ctx, c, l, true)
		}
	case store.Folder:
		s, err = readFolder(ctx, c, from, nil)
	default:
		s, err = attachFile(ctx, c, from)
	}
	if err != nil {
		return nil, err
	}
	if err := store.CheckSchema(plain.Redact(from), s.version); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}
