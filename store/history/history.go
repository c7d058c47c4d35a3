//go:build duckdb_arrow

// Package history is about histories that are not one DuckDB file, or not this process's: folders of Parquet, lakes that many machines
// share, moving runs between them, and snapshots of a file that a run holds.
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

// OpenRead opens a history for queries, whatever it is: a DuckDB file, as store.OpenRead does, a folder of Parquet or a lake.
// The last two are seen through views, and nothing else of the machine or the network is. Its errors are of type *store.Error.
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

// Remove removes runs of a file, a folder of Parquet or a lake, with everything recorded of them.
func Remove(ctx context.Context, from string, ids []string) error {
	switch store.KindOf(from) {
	case store.Lake:
		l, err := ParseLake(from, "")
		if err != nil {
			return err
		}
		return l.removeFrom(ctx, ids)
	case store.Folder:
		for _, table := range store.Tables() { // the run itself first: what is left of it, if this is cut short, is no run
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

// problem is an error with a remedy, "" for none.
func problem(op, path string, err error, remedy string) *store.Error {
	return &store.Error{Op: op, Path: path, Err: err, Remedy: remedy}
}

// makeViews puts views of a folder or a lake in the place of the tables of a file.
func makeViews(ctx context.Context, conn *sql.Conn, from string) error {
	name := plain.Redact(from)
	schema, err := schemaOf(ctx, conn, "memory")
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
	// reading goes on below the one folder, and nothing else of the machine or the network is there
	fmt.Fprintf(&all, "SET allowed_directories = [%s]; SET enable_external_access = false; SET lock_configuration = true;",
		strings.Join(allowed, ", "))
	_, err = conn.ExecContext(ctx, all.String())
	return explainLake("open", from, err)
}

// allowedBelow gives the folders, as literals of SQL, in which the files of a folder or an attached lake are.
func allowedBelow(ctx context.Context, conn *sql.Conn, from string) ([]string, error) {
	if store.KindOf(from) == store.Folder {
		abs, err := filepath.Abs(from)
		if err != nil {
			return nil, problem("open", from, err, "")
		}
		allowed := []string{wbsql.Text(abs + string(filepath.Separator))}
		if e := escapeGlob(abs); e != abs { // DuckDB holds patterns against this list as they are written
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

// view is the statement that makes raw.TABLE a view of a source: every column that this wb knows, NULL where the source has none.
func (s *source) view(table string, cs []column) string {
	have := s.tables[table]
	var list []string
	for _, c := range cs {
		name := wbsql.Name(c.name)
		switch {
		case !slices.Contains(have, c.name):
			list = append(list, "NULL::"+c.typ+" AS "+name)
		case table == "message" && s.perRun() && c.name != "sha256": // one text may have come with many runs
			list = append(list, "any_value("+name+")::"+c.typ+" AS "+name)
		default:
			list = append(list, name+"::"+c.typ+" AS "+name)
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
