//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// dayOf is the day, UTC, on which a run began: what folders and lakes are divided by, before the run.
const dayOf = "CAST(r.started_at AS DATE)"

// rowsOf selects a table's rows with day and run_id beside them; the texts of messages with each run that refers to them.
func rowsOf(s *source, table string) string {
	if table == "message" && !s.perRun() {
		return fmt.Sprintf("(SELECT %s AS day, u.run_id, m.* FROM (SELECT run_id, sha256 FROM %s UNION SELECT run_id, reply_sha256 FROM %s WHERE reply_sha256 IS NOT NULL) u JOIN (SELECT * FROM %s QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY content IS NULL) = 1) m USING (sha256) JOIN %s r USING (run_id))",
			dayOf, s.from("turn_message"), s.from("turn"), s.from("message"), s.from("run"))
	}
	if table == "message" {
		return s.from(table)
	}
	if table == "run" {
		return fmt.Sprintf("(SELECT %s AS day, r.* FROM %s r)", dayOf, s.from("run"))
	}
	return fmt.Sprintf("(SELECT %s AS day, t.* FROM %s t JOIN (SELECT run_id, started_at FROM %s) r USING (run_id))", dayOf, s.from(table), s.from("run"))
}

func inList(ids []string) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = sqlText(id) + "::UUID"
	}
	return "run_id IN (" + strings.Join(quoted, ", ") + ")"
}

// Exported is what Export wrote: runs that are there as they stand here are written anew.
type Exported struct {
	Moved
	Bytes int64 // of Parquet files
}

// Export writes runs of a file as Parquet that other engines read: DIR/TABLE/day=…/run_id=…/*.parquet (Hive partitions), with dictionary.csv, which says what each
// column is, and wb.json. Each run's part of a table is written aside and renamed; what an earlier export wrote of the same run is replaced.
func Export(ctx context.Context, file, dir string, ids []string) (out Exported, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return out, &Error{"export", dir, err, ""}
	}
	fail := func(err error) error { return explain("export", dir, err) }
	if _, err := os.Stat(filepath.Join(abs, lakeFile)); err == nil {
		return out, &Error{"export", dir, errors.New("it is a lake"), "wb push brings runs there; Parquet wants a folder of its own"}
	}
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return out, &Error{"export", dir, errors.New("it is a file"), "--parquet names a folder"}
	}
	conn, end, err := inMemory(ctx)
	if err != nil {
		return out, fail(err)
	}
	defer func() { err = errors.Join(err, end()) }()
	s, err := attachFile(ctx, conn, file)
	if err != nil {
		return out, err
	}
	runs, err := s.runs(ctx, conn, ids)
	if err != nil {
		return out, fail(err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return out, &Error{"export", dir, err, ""}
	}
	schemas := []int{s.version}
	var there map[string][]listed
	if text, err := os.ReadFile(filepath.Join(abs, factsFile)); err == nil {
		var old folderFacts
		if err := json.Unmarshal(text, &old); err != nil {
			return out, fail(fmt.Errorf("read %s: %w", factsFile, err))
		}
		if err := readable(dir, old.Schema); err != nil {
			return out, err
		}
		schemas = slices.Compact(slices.Sorted(slices.Values(append(old.Schemas, s.version))))
		folder, err := readFolder(ctx, conn, dir, []string{"run", "run_tag"})
		if err != nil {
			return out, err
		}
		if there, err = folder.byID(ctx, conn); err != nil {
			return out, fail(err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return out, fail(err)
	}
	ids = nil
	for _, r := range runs {
		var did Moved
		if did.sort(r, there[r.id]...) || did.Present > 0 { // what is there as it stands here may have been cut short
			ids = append(ids, r.id)
		}
		out.Moved = out.plus(did)
	}
	if len(ids) == 0 {
		return out, nil
	}
	if err := removeLeft(abs); err != nil {
		return out, fail(err)
	}
	aside, err := os.MkdirTemp(abs, ".writing-")
	if err != nil {
		return out, &Error{"export", dir, err, ""}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	for _, row := range rowTypes() {
		t := row.table()
		if s.tables[t] == nil { // a file of an older wb
			continue
		}
		columns := "*"
		for _, c := range s.schema[t] {
			if c.typ == "UUID" && c.name != "run_id" { // Spark reads no Parquet that has one (4.3); run_id is in the folder's name
				columns = fmt.Sprintf("* REPLACE (%s::VARCHAR AS %s)", sqlName(c.name), sqlName(c.name))
			}
		}
		for part := range slices.Chunk(ids, atOnce) {
			q := fmt.Sprintf("COPY (SELECT "+columns+" FROM %s WHERE %s) TO %s (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day, run_id), OVERWRITE_OR_IGNORE)", rowsOf(s, t), inList(part), sqlText(filepath.Join(aside, t)))
			if _, err := conn.ExecContext(ctx, q); err != nil {
				return out, fail(fmt.Errorf("raw.%s: %w", t, err))
			}
		}
	}
	var dictionary strings.Builder
	dictionary.WriteString("table,column,type,comment\n")
	for _, row := range rowTypes() {
		for _, c := range slices.Concat([]column{{"day", "DATE", "day on which the run began, UTC (the name of a folder)"}}, s.schema[row.table()]) {
			if c.typ == "UUID" {
				c.typ = "VARCHAR"
			}
			fmt.Fprintf(&dictionary, "%s,%s,\"%s\",\"%s\"\n", row.table(), c.name, c.typ, strings.ReplaceAll(c.comment, `"`, `""`))
		}
	}
	facts, err := json.Marshal(folderFacts{slices.Max(schemas), schemas, duckdbVersion})
	if err != nil {
		return out, fail(err)
	}
	// what the files may be like stands there before any of them, and a run itself after everything that was recorded of it
	for name, text := range map[string][]byte{"dictionary.csv": []byte(dictionary.String()), factsFile: append(facts, '\n')} {
		tmp := filepath.Join(aside, name)
		if err := errors.Join(os.WriteFile(tmp, text, 0o644), os.Rename(tmp, filepath.Join(abs, name))); err != nil {
			return out, fail(err)
		}
	}
	for _, row := range slices.Backward(rowTypes()) {
		n, err := swap(filepath.Join(aside, row.table()), filepath.Join(abs, row.table()), ids)
		if err != nil {
			return out, fail(err)
		}
		out.Bytes += n
	}
	return out, nil
}

// removeLeft takes what exports that were killed left behind, a day ago or more.
func removeLeft(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".writing-*"))
	for _, p := range left {
		if st, serr := os.Stat(p); serr == nil && time.Since(st.ModTime()) > 24*time.Hour {
			err = errors.Join(err, os.RemoveAll(p))
		}
	}
	return err
}

// swap puts the folders of runs in the place of what is there. A run that has no row in the table now has no folder either.
func swap(from, to string, ids []string) (bytes int64, err error) {
	for _, id := range ids {
		old, err := filepath.Glob(filepath.Join(to, "day=*", "run_id="+id))
		if err != nil {
			return 0, err
		}
		made, err := filepath.Glob(filepath.Join(from, "day=*", "run_id="+id))
		if err != nil {
			return 0, err
		}
		for _, d := range old { // out of the way first: a rename does not replace a folder that holds something
			if err := os.Rename(d, filepath.Join(from, "old-"+id)); err != nil {
				return 0, err
			}
			if err := os.RemoveAll(filepath.Join(from, "old-"+id)); err != nil {
				return 0, err
			}
		}
		for _, d := range made {
			files, err := filepath.Glob(filepath.Join(d, "*.parquet"))
			if err != nil {
				return 0, err
			}
			for _, f := range files {
				if st, err := os.Stat(f); err == nil {
					bytes += st.Size()
				}
			}
			rel, err := filepath.Rel(from, d)
			if err != nil {
				return 0, err
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755); err != nil {
				return 0, err
			}
			if err := os.Rename(d, filepath.Join(to, rel)); err != nil {
				return 0, err
			}
		}
	}
	return bytes, nil
}

// atOnce is how many runs one statement writes, or one transaction brings: a file is open for each run, with some megabytes of memory.
const atOnce = 25

// Import adds the runs of another history that this file lacks, and renews those that were resumed or labelled there since: of a DuckDB file (older schemas are
// put in order first), a folder of Parquet or a lake. ids says which, nil for all of them.
func (d *DB) Import(ctx context.Context, from string, ids []string) (out Moved, err error) {
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(d.path); err == nil && os.SameFile(a, b) {
			return out, &Error{"import", from, errors.New("it is this history itself"), "--db names the file to import into"}
		}
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return out, explain("import", d.path, err)
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
	own, err := d.tables(ctx, conn)
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
	step, done := steps(ctx, d.path, len(todo)), 0
	for part := range slices.Chunk(todo, atOnce) {
		if err := d.bring(ctx, conn, s, own, part, out.Renewed > 0); err != nil {
			return out, err
		}
		done += len(part)
		step(done)
	}
	return out, d.Checkpoint(ctx)
}

// tables is the file itself as a source.
func (d *DB) tables(ctx context.Context, c *sql.Conn) (*source, error) {
	catalog, err := currentDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &source{path: d.path, from: func(t string) string { return "raw." + sqlName(t) }}
	return s, s.readSchema(ctx, c, catalog)
}

// bring inserts runs of a source in one transaction, if renew in the place of what is here of them.
func (d *DB) bring(ctx context.Context, conn *sql.Conn, s, own *source, ids []string, renew bool) error {
	err := within(ctx, conn, func(exec func(string, ...any) error) error {
		if renew {
			if err := own.remove(exec, ids); err != nil {
				return err
			}
		}
		for _, row := range rowTypes() {
			t := row.table()
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
			if err := exec(turnFlow); err != nil {
				return err
			}
		}
		if renew {
			return removeTexts(exec)
		}
		return nil
	})
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	return explain("import", d.path, err)
}

// bringTable is the statement that inserts the rows that a source has of runs into a table.
func bringTable(s, own *source, t string, ids []string) string {
	var columns []string
	for _, c := range own.schema[t] {
		if slices.Contains(s.tables[t], c.name) {
			columns = append(columns, sqlName(c.name))
		}
	}
	list := strings.Join(columns, ", ")
	if t != "message" {
		return fmt.Sprintf("INSERT INTO %s BY NAME SELECT %s FROM %s WHERE %s", own.from(t), list, s.from(t), inList(ids))
	}
	one := make([]string, len(columns)) // of a text that came with many runs: any_value leaves NULL out
	for i, c := range columns {
		if one[i] = c; c != sqlName("sha256") {
			one[i] = "any_value(" + c + ") AS " + c
		}
	}
	return fmt.Sprintf(`INSERT INTO raw.message BY NAME SELECT %s FROM (SELECT %s FROM %s WHERE %s GROUP BY sha256) m
		WHERE NOT EXISTS (SELECT 1 FROM raw.message o WHERE o.sha256 = m.sha256 AND (o.content IS NOT NULL OR m.content IS NULL))`, list, strings.Join(one, ", "), rowsOf(s, t), inList(ids))
}
