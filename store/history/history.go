//go:build duckdb_arrow

// Package history reads runs wherever they are kept, and copies them from one place to another.
// A history is such a place: a DuckDB file, a folder of Parquet files, or a lake that many machines share.
// The package also gives other processes snapshots of a file that a run has open.
//
// It must not know what the runs mean: it copies and reads rows as package store defines them, and computes no figures.
package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wb/data/plain"
	wbsql "wb/sql"
	"wb/store"
)

// OpenRead opens a history for queries: a DuckDB file, as store.OpenRead does, a folder of Parquet files or a lake.
// A folder or a lake is read through views, and queries have no access to anything else on the machine or the network.
// Its errors are of type *store.Error.
func OpenRead(ctx context.Context, path string) (*store.DB, error) {
	if store.KindOf(path) == store.File {
		return store.OpenRead(ctx, path)
	}
	near := os.TempDir()
	if abs, err := filepath.Abs(path); err == nil && !store.InPostgres(path) {
		near = filepath.Dir(abs)
	}
	return store.OpenElsewhere(ctx, plain.Redact(path), near, func(ctx context.Context, c *sql.Conn) error {
		return makeViews(ctx, c, path)
	})
}

// Remove removes runs from a file, a folder of Parquet files or a lake, with all their rows.
func Remove(ctx context.Context, from string, ids []string) error {
	switch store.KindOf(from) {
	case store.Lake:
		l, err := ParseLake(from, "")
		if err != nil {
			return err
		}
		return l.removeFrom(ctx, ids)
	case store.Folder:
		// The row of the run itself is removed first. If this is cut short, what is left does not count as a run.
		for _, table := range store.Tables() {
			for _, id := range ids {
				found, err := runFolders(filepath.Join(from, table), id)
				for _, p := range found {
					err = errors.Join(err, removeParquet(p))
				}
				if err != nil {
					return problem("remove", from, err, "")
				}
			}
		}
		return nil
	}
	d, err := store.Open(ctx, from)
	if err != nil {
		return err
	}
	return errors.Join(d.DeleteRuns(ctx, ids), d.Close())
}

// problem makes an error with a remedy, "" for none.
func problem(op, path string, err error, remedy string) *store.Error {
	return &store.Error{Op: op, Path: path, Err: err, Remedy: remedy}
}

// makeViews replaces the empty tables of a database with views of a folder or a lake.
func makeViews(ctx context.Context, conn *sql.Conn, from string) error {
	name := plain.Redact(from)
	schema, err := store.RawColumns(ctx, conn, "memory")
	if err != nil {
		return store.Explain("open", name, err)
	}
	s, err := openSource(ctx, conn, from)
	if err != nil {
		return err
	}
	var all strings.Builder
	for table, cs := range schema {
		fmt.Fprintf(&all, "DROP TABLE raw.%s; %s;", wbsql.Name(table), s.view(table, cs))
	}
	allowed, err := allowedBelow(ctx, conn, from)
	if err != nil {
		return err
	}
	// from here on queries can read below these folders only, and nothing else on the machine or the network
	fmt.Fprintf(&all, "SET allowed_directories = [%s]; SET enable_external_access = false; SET lock_configuration = true;",
		strings.Join(allowed, ", "))
	_, err = conn.ExecContext(ctx, all.String())
	return explainLake("open", from, err)
}

// allowedBelow returns, as SQL literals, the folders that hold the files of a folder or of an attached lake.
func allowedBelow(ctx context.Context, conn *sql.Conn, from string) ([]string, error) {
	if store.KindOf(from) == store.Folder {
		abs, err := filepath.Abs(from)
		if err != nil {
			return nil, problem("open", from, err, "")
		}
		allowed := []string{wbsql.Text(abs + string(filepath.Separator))}
		if e := escapeGlob(abs); e != abs { // DuckDB compares patterns with this list as they are written
			allowed = append(allowed, wbsql.Text(e+string(filepath.Separator)))
		}
		return allowed, nil
	}
	l, err := ParseLake(from, "")
	if err != nil {
		return nil, err
	}
	data, err := l.dataPath(ctx, conn)
	if err != nil {
		return nil, explainLake("open", from, err)
	}
	return []string{wbsql.Text(data)}, nil
}

// view returns the statement that makes raw.TABLE a view of a source. The view has every column that this wb knows, and NULL in those that
// the source lacks.
func (s *source) view(table string, cs []store.Column) string {
	have := s.tables[table]
	var list []string
	for _, c := range cs {
		name := wbsql.Name(c.Name)
		switch {
		case !slices.Contains(have, c.Name):
			list = append(list, "NULL::"+c.Type+" AS "+name)
		case table == "message" && s.perRun() && c.Name != "sha256": // the same text may be there once per run
			list = append(list, "any_value("+name+")::"+c.Type+" AS "+name)
		default:
			list = append(list, name+"::"+c.Type+" AS "+name)
		}
	}
	q := "CREATE VIEW raw." + wbsql.Name(table) + " AS SELECT " + strings.Join(list, ", ")
	switch {
	case have == nil:
		q += " WHERE false"
	case table == "message" && s.perRun():
		q += " FROM " + s.from(table) + " GROUP BY sha256"
	default:
		q += " FROM " + s.from(table)
	}
	return q
}
