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

// source is another history that rows are read from: a DuckDB file, a folder of Parquet or a lake. It is attached to a connection.
type source struct {
	path    string
	version int                 // of its schema
	tables  map[string][]string // columns of each raw table that it has
	schema  map[string][]column // the same with types and comments; of a file only
	from    func(string) string // the relation that has a table's rows
	close   func(context.Context) error
}

// texts of messages have no run in a file, and one in folders and lakes, where runs come one by one
func (s *source) perRun() bool { return slices.Contains(s.tables["message"], "run_id") }

// listed is a run that a source has, and which copy of it.
type listed struct {
	id, status string
	state      string // how it stands, labels included
	executions int    // how often it was begun
	changedAt  time.Time
}

// newerThan says which of two copies is to stay: the one that was resumed more often, else the one that ended or was labelled later.
func (x listed) newerThan(y listed) bool {
	return x.executions > y.executions || x.executions == y.executions && x.changedAt.After(y.changedAt)
}

// runs lists them as they began; ids says which, nil for all of them.
func (s *source) runs(ctx context.Context, c *sql.Conn, ids []string) (out []listed, err error) {
	if s.tables["run"] == nil || ids != nil && len(ids) == 0 {
		return nil, nil
	}
	where, executions, changed, tags := "", "1", "coalesce(ended_at, started_at)", "SELECT NULL::UUID AS run_id, NULL AS tags"
	if ids != nil {
		where = " WHERE " + inList(ids)
	}
	if slices.Contains(s.tables["run"], "executions") { // not in a source of an older wb that could not be put in order
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
		var x listed
		if err := rows.Scan(&x.id, &x.status, &x.state, &x.executions, &x.changedAt); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// byID gives the runs by their ids.
func (s *source) byID(ctx context.Context, c *sql.Conn) (map[string][]listed, error) {
	all, err := s.runs(ctx, c, nil)
	out := map[string][]listed{}
	for _, r := range all {
		out[r.id] = append(out[r.id], r)
	}
	return out, err
}

// column is one of a raw table, as this wb knows it.
type column struct {
	name, typ string
	comment   string
}

// schemaOf lists the raw tables of a database with their columns in order. Views do not count: whoever made the file may have made them
// read anything.
func schemaOf(ctx context.Context, c *sql.Conn, database string) (map[string][]column, error) {
	rows, err := c.QueryContext(ctx, wbsql.Statement("raw_columns"), database)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]column{}
	for rows.Next() {
		var table string
		var x column
		if err := rows.Scan(&table, &x.name, &x.typ, &x.comment); err != nil {
			return nil, err
		}
		out[table] = append(out[table], x)
	}
	return out, rows.Err()
}

// attachFile attaches a DuckDB file read-only, after OpenRead has put it in order.
func attachFile(ctx context.Context, c *sql.Conn, path string) (*source, error) {
	if store.KindOf(path) != store.File {
		return nil, problem("read", plain.Redact(path), errors.New("it is a folder of Parquet or a lake, and this wants a DuckDB file"),
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

// readSchema reads the tables of a DuckDB file.
func (s *source) readSchema(ctx context.Context, c *sql.Conn, database string) (err error) {
	s.schema, err = schemaOf(ctx, c, database)
	s.tables = map[string][]string{}
	for t, cs := range s.schema {
		for _, x := range cs {
			s.tables[t] = append(s.tables[t], x.name)
		}
	}
	return err
}

// openSource attaches whatever is named: a lake, a folder or a file.
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
