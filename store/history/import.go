//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
	wbsql "wb/sql"
	"wb/store"
)

// atOnce is how many runs one statement exports, or one transaction imports.
// An export has a file open for each of them, which takes some megabytes of memory.
const atOnce = 25

// Import adds to a file the runs of another history that the file lacks, and renews those that have been resumed or tagged there since.
// The other history is a DuckDB file, which is migrated first if its schema is older, a folder of Parquet files, or a lake.
// d must be open for writing. ids names the runs; nil means all of them.
func Import(ctx context.Context, d *store.DB, from string, ids []string) (out Moved, err error) {
	if plain.SameFile(from, d.Path()) {
		return out, problem("import", from, errors.New("it is this history itself"), "name another file to import into with --db")
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	s, err := openSource(ctx, conn, from)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	fail := func(err error) error { return explainLake("import", from, err) }
	runs, err := s.runs(ctx, conn, ids)
	if err != nil {
		return out, fail(err)
	}
	into, err := itself(ctx, d, conn)
	if err != nil {
		return out, fail(err)
	}
	there, err := into.byID(ctx, conn)
	if err != nil {
		return out, fail(err)
	}
	var todo []string
	for _, r := range runs {
		if out.decide(r, there[r.id]...) {
			todo = append(todo, r.id)
		}
	}
	step, done := steps(ctx, d.Path(), len(todo)), 0
	for part := range slices.Chunk(todo, atOnce) {
		if err := bring(ctx, conn, s, into, part, out.Renewed > 0); err != nil {
			return out, err
		}
		done += len(part)
		step(done)
	}
	return out, d.Checkpoint(ctx)
}

// itself returns the file that is open as d as a source.
func itself(ctx context.Context, d *store.DB, c *sql.Conn) (*source, error) {
	catalog, err := store.CurrentDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &source{path: d.Path(), from: func(t string) string { return "raw." + wbsql.Name(t) }}
	return s, s.readSchema(ctx, c, catalog)
}

// bring inserts runs of a source in one transaction. With renew it first removes the rows that the file has of them.
func bring(ctx context.Context, conn *sql.Conn, s, into *source, ids []string, renew bool) error {
	err := store.Within(ctx, conn, func(exec func(string, ...any) error) error {
		if renew {
			if err := into.remove(exec, ids); err != nil {
				return err
			}
		}
		for _, t := range store.Tables() {
			if s.tables[t] == nil {
				continue
			}
			if err := exec(bringTable(s, into, t, ids)); err != nil {
				err = fmt.Errorf("raw.%s: %w", t, err)
				if strings.Contains(err.Error(), "No space left") { // only the file is written, so it is the file whose disk is full
					return err
				}
				return explainLake("import", s.path, err)
			}
		}
		if !slices.Contains(s.tables["turn"], "token_events") { // recorded by an older wb
			if err := exec(wbsql.Statement("turn_flow")); err != nil {
				return err
			}
		}
		if renew {
			return exec(wbsql.Statement("remove_texts"))
		}
		return nil
	})
	if e := (*store.Error)(nil); errors.As(err, &e) {
		return err
	}
	return store.Explain("import", into.path, err)
}

// bringTable returns the statement that inserts into a table the rows of some runs of a source.
func bringTable(s, into *source, t string, ids []string) string {
	var columns []string
	for _, c := range into.schema[t] {
		if slices.Contains(s.tables[t], c.Name) {
			columns = append(columns, wbsql.Name(c.Name))
		}
	}
	list := strings.Join(columns, ", ")
	if t != "message" {
		return fmt.Sprintf("INSERT INTO %s BY NAME SELECT %s FROM %s WHERE %s", into.from(t), list, s.from(t), inList(ids))
	}
	one := make([]string, len(columns)) // one row per text, which may be there once per run; any_value ignores NULL
	for i, c := range columns {
		if one[i] = c; c != wbsql.Name("sha256") {
			one[i] = "any_value(" + c + ") AS " + c
		}
	}
	return fmt.Sprintf(`INSERT INTO raw.message BY NAME SELECT %s FROM (SELECT %s FROM %s WHERE %s GROUP BY sha256) m
		WHERE NOT EXISTS (SELECT 1 FROM raw.message o WHERE o.sha256 = m.sha256 AND (o.content IS NOT NULL OR m.content IS NULL))`,
		list, strings.Join(one, ", "), rowsOf(s, t), inList(ids))
}
