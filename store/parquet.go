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

	wbsql "wb/sql"
)

// dayOf is the day, UTC, on which a run began: what folders and lakes are divided by, before the run.
const dayOf = "CAST(r.started_at AS DATE)"

// rowsOf selects a table's rows with day and run_id beside them; the texts of messages with each run that refers to them. A run that was to
// keep no texts has none, whatever other runs of the file recorded.
func rowsOf(s *source, table string) string {
	if table == "message" && !s.perRun() {
		return fmt.Sprintf(`(SELECT %s AS day, u.run_id, m.* REPLACE (
				CASE WHEN n.run_id IS NULL THEN m.content END AS content, CASE WHEN n.run_id IS NULL THEN m.reasoning END AS reasoning)
			FROM (SELECT run_id, sha256 FROM %s UNION SELECT run_id, reply_sha256 FROM %s WHERE reply_sha256 IS NOT NULL) u
			JOIN (SELECT * FROM %s QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY content IS NULL) = 1) m USING (sha256)
			JOIN %s r USING (run_id)
			LEFT JOIN (SELECT DISTINCT run_id FROM %s WHERE source = 'plan' AND name = 'no_text' AND value = 'true') n USING (run_id))`,
			dayOf, s.from("turn_message"), s.from("turn"), s.from("message"), s.from("run"), s.from("setting"))
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
	if err := globbable("export", dir, abs); err != nil {
		return out, err
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
	text, err := readRegular(filepath.Join(abs, factsFile))
	if err == nil {
		var old folderFacts
		if err := json.Unmarshal(text, &old); err != nil {
			return out, fail(fmt.Errorf("read %s: %w", factsFile, err))
		}
		if old.Schema < 1 {
			return out, notOurs(dir, factsFile)
		}
		if err := CheckSchema(dir, old.Schema); err != nil {
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
		return out, fail(fmt.Errorf("read %s: %w", factsFile, err))
	} else if _, err := os.Lstat(filepath.Join(abs, dictionaryFile)); err == nil {
		return out, notOurs(dir, dictionaryFile)
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
	SweepOwned(abs, asidePrefix)
	aside, release, err := MakeOwned(abs, asidePrefix)
	if err != nil {
		return out, &Error{"export", dir, err, ""}
	}
	defer func() { err = errors.Join(err, release()) }()
	written := map[string]int64{} // below the folder → size
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
			q := fmt.Sprintf("COPY (SELECT %s FROM %s WHERE %s) TO %s (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day, run_id), "+
				"OVERWRITE_OR_IGNORE, RETURN_STATS)", columns, rowsOf(s, t), inList(part), sqlText(filepath.Join(aside, t)))
			if err := copied(ctx, conn, q, aside, written); err != nil {
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
	for name, text := range map[string][]byte{dictionaryFile: []byte(dictionary.String()), factsFile: append(facts, '\n')} {
		tmp := filepath.Join(aside, name)
		if err := errors.Join(os.WriteFile(tmp, text, 0o644), os.Rename(tmp, filepath.Join(abs, name))); err != nil {
			return out, fail(err)
		}
	}
	for _, row := range slices.Backward(rowTypes()) {
		if err := install(filepath.Join(aside, row.table()), filepath.Join(abs, row.table()), ids); err != nil {
			return out, fail(err)
		}
	}
	arrived := map[string]bool{}
	for path, size := range written { // what was written is there, all of it
		st, err := os.Stat(filepath.Join(abs, path))
		if err != nil {
			return out, fail(fmt.Errorf("look at what was written: %w", err))
		}
		if st.Size() != size {
			return out, fail(fmt.Errorf("look at what was written: %s has %d bytes, and %d were written", path, st.Size(), size))
		}
		out.Bytes += size
		if rel, ok := strings.CutPrefix(filepath.ToSlash(path), "run/"); ok {
			arrived[filepath.Dir(rel)] = true
		}
	}
	if len(arrived) != len(ids) {
		return out, fail(fmt.Errorf("look at what was written: %d runs are there, and %d were to be", len(arrived), len(ids)))
	}
	return out, nil
}

// dictionaryFile says in a folder of Parquet what each column is.
const dictionaryFile = "dictionary.csv"

// notOurs refuses a folder with a file that an export would replace and that no export wrote.
func notOurs(dir, name string) error {
	return &Error{"export", dir, fmt.Errorf("%s in it is not of wb's, and would be replaced", name), "Parquet wants a folder of its own"}
}

// asidePrefix begins the names of folders that an export writes into before it puts things in their places.
const asidePrefix = ".writing-"

// copied runs a COPY with RETURN_STATS and notes the sizes of the files that it wrote, by their paths below dir.
func copied(ctx context.Context, conn *sql.Conn, q, dir string, written map[string]int64) error {
	rows, err := conn.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	nameAt, sizeAt := slices.Index(columns, "filename"), slices.Index(columns, "file_size_bytes")
	if nameAt < 0 || sizeAt < 0 {
		return fmt.Errorf("it does not say what it wrote, but %v", columns)
	}
	cells, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range cells {
		to[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		name, _ := cells[nameAt].(string)
		size, ok := cells[sizeAt].(uint64)
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("it does not say what it wrote, but %v", cells)
		}
		written[rel] = int64(size)
	}
	return rows.Err()
}

// install puts the folders of runs in the place of what is there, so that a reader finds one or the other at every moment. A run that has
// no row in the table now has no folder either.
func install(from, to string, ids []string) error {
	for _, id := range ids {
		made, err := runFolders(from, id)
		if err != nil {
			return err
		}
		old, err := runFolders(to, id)
		if err != nil {
			return err
		}
		for _, m := range made {
			rel, err := filepath.Rel(from, m)
			if err != nil {
				return err
			}
			place := filepath.Join(to, rel)
			if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
				return err
			}
			if i := slices.Index(old, place); i >= 0 {
				old = slices.Delete(old, i, i+1)
				err = replaceFolder(m, place)
			} else {
				err = os.Rename(m, place)
			}
			if err != nil {
				return err
			}
		}
		for _, o := range old {
			if err := removeParquet(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceFolder puts the files of a folder in the place of another folder's. Where the two cannot be exchanged in one step, it goes file by
// file: a new file takes the place of one of its name, and those that have no successor go last.
func replaceFolder(from, to string) error {
	if !exchange(from, to) {
		return replaceFiles(from, to)
	}
	foreign, err := entries(from, func(e os.DirEntry) bool { return !isParquet(e) })
	for _, p := range foreign { // what others put there stays
		err = errors.Join(err, os.Rename(p, filepath.Join(to, filepath.Base(p))))
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(from)
}

func replaceFiles(from, to string) error {
	fresh, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, e := range fresh {
		names[e.Name()] = true
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	stale, err := entries(to, func(e os.DirEntry) bool { return isParquet(e) && !names[e.Name()] })
	for _, p := range stale {
		err = errors.Join(err, os.Remove(p))
	}
	return err
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
			if err := exec(wbsql.Statement("turn_flow")); err != nil {
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
