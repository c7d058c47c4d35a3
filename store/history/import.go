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

// atOnce is how many runs one statement writes, or one transaction brings: a file is open for each run, with some megabytes of memory.
const atOnce = 25

// Import adds the runs of another history that a file lacks, and renews those that were resumed or labelled there since: of a DuckDB file
// (older schemas are put in order first), a folder of Parquet or a lake. The file was opened for writing.
// ids says which runs, nil for all of them.
func Import(ctx context.Context, d *store.DB, from string, ids []string) (out Moved, err error) {
	if plain.SameFile(from, d.Path()) {
		return out, problem("import", from, errors.New("it is this history itself"), "--db names the file to import into")
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
	own, err := itself(ctx, d, conn)
	if err != nil {
		return out, fail(err)
	}
	there, err := own.byID(ctx, conn)
	if err != nil {
		return out, fail(err)
	}
	var todo []string
	for _, r := range runs {
		if out.sort(r, there[r.id]...) {
			todo = append(todo, r.id)
		}
	}
	step, done := steps(ctx, d.Path(), len(todo)), 0
	for part := range slices.Chunk(todo, atOnce) {
		if err := bring(ctx, conn, s, own, part, out.Renewed > 0); err != nil {
			return out, err
		}
		done += len(part)
		step(done)
	}
	return out, d.Checkpoint(ctx)
}

// itself is the file itself as a source.
func itself(ctx context.Context, d *store.DB, c *sql.Conn) (*source, error) {
	catalog, err := store.CurrentDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &source{path: d.Path(), from: func(t string) string { return "raw." + wbsql.Name(t) }}
	return s, s.readSchema(ctx, c, catalog)
}

// bring inserts runs of a source in one transaction, if renew in the place of what is here of them.
func bring(ctx context.Context, conn *sql.Conn, s, own *source, ids []string, renew bool) error {
	err := store.Within(ctx, conn, func(exec func(string, ...any) error) error {
		if renew {
			if err := own.remove(exec, ids); err != nil {
				return err
			}
		}
		for _, t := range store.Tables() {
			if s.tables[t] == nil {
				continue
			}
			if err := exec(bringTable(s, own, t, ids)); err != nil {
				err = fmt.Errorf("raw.%s: %w", t, err)
				if strings.Contains(err.Error(), "No space left") { // nothing is written but the file
					return err
				}
				return explainLake("import", s.path, err)
			}
		}
		if !slices.Contains(s.tables["turn"], "token_events") { // of an older wb
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
	return store.Explain("import", own.path, err)
}

// bringTable is the statement that inserts the rows that a source has of runs into a table.
func bringTable(s, own *source, t string, ids []string) string {
	var columns []string
	for _, c := range own.schema[t] {
		if slices.Contains(s.tables[t], c.name) {
			columns = append(columns, wbsql.Name(c.name))
		}
	}
	list := strings.Join(columns, ", ")
	if t != "message" {
		return fmt.Sprintf("INSERT INTO %s BY NAME SELECT %s FROM %s WHERE %s", own.from(t), list, s.from(t), inList(ids))
	}
	one := make([]string, len(columns)) // of a text that came with many runs: any_value leaves NULL out
	for i, c := range columns {
		if one[i] = c; c != wbsql.Name("sha256") {
			one[i] = "any_value(" + c + ") AS " + c
		}
	}
	return fmt.Sprintf(`INSERT INTO raw.message BY NAME SELECT %s FROM (SELECT %s FROM %s WHERE %s GROUP BY sha256) m
		WHERE NOT EXISTS (SELECT 1 FROM raw.message o WHERE o.sha256 = m.sha256 AND (o.content IS NOT NULL OR m.content IS NULL))`,
		list, strings.Join(one, ", "), rowsOf(s, t), inList(ids))
}
