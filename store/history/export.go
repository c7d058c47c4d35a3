//go:build duckdb_arrow

package history

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
	"wb/store"
)

// Exported is what Export wrote: runs that are there as they stand here are written anew.
type Exported struct {
	Moved
	Bytes int64 // of Parquet files
}

// Export writes runs of a file as Parquet that other engines read: DIR/TABLE/day=…/run_id=…/*.parquet (Hive partitions), with
// dictionary.csv, which says what each column is, and wb.json. ids says which, nil for all of them.
// Each run's part of a table is written aside and renamed; what an earlier export wrote of the same run is replaced.
func Export(ctx context.Context, file, dir string, ids []string) (out Exported, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return out, problem("export", dir, err, "")
	}
	if err := mayExport(dir, abs); err != nil {
		return out, err
	}
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		return out, store.Explain("export", dir, err)
	}
	defer func() { err = errors.Join(err, end()) }()
	s, err := attachFile(ctx, conn, file)
	if err != nil {
		return out, err
	}
	runs, err := s.runs(ctx, conn, ids)
	if err != nil {
		return out, store.Explain("export", dir, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return out, problem("export", dir, err, "")
	}
	e := &export{conn: conn, from: s, dir: dir, abs: abs, schemas: []int{s.version}}
	if err := e.look(ctx); err != nil {
		return out, err
	}
	for _, r := range runs {
		var did Moved
		if did.sort(r, e.there[r.id]...) || did.Present > 0 { // what is there as it stands here may have been cut short
			e.ids = append(e.ids, r.id)
		}
		out.Moved = out.plus(did)
	}
	if len(e.ids) == 0 {
		return out, nil
	}
	out.Bytes, err = e.write(ctx)
	return out, err
}

// mayExport refuses a place that is no folder, or one of another kind.
func mayExport(dir, abs string) error {
	if _, err := os.Stat(filepath.Join(abs, store.LakeCatalog)); err == nil {
		return problem("export", dir, errors.New("it is a lake"), "wb push brings runs there; Parquet wants a folder of its own")
	}
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return problem("export", dir, errors.New("it is a file"), "--parquet names a folder")
	}
	return globbable("export", dir, abs)
}

// export is one export under way.
type export struct {
	conn     *sql.Conn
	from     *source
	dir, abs string              // the folder as it was given, and its full path
	schemas  []int               // that the folder's files may have
	there    map[string][]listed // its runs
	ids      []string            // runs to write
}

func (e *export) fail(err error) error { return store.Explain("export", e.dir, err) }

// look reads what an earlier export left in the folder.
func (e *export) look(ctx context.Context) error {
	text, err := readRegular(filepath.Join(e.abs, store.FolderFacts))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(e.abs, dictionaryFile)); err == nil {
			return notOurs(e.dir, dictionaryFile)
		}
		return nil
	}
	if err != nil {
		return e.fail(fmt.Errorf("read %s: %w", store.FolderFacts, err))
	}
	var old folderFacts
	if err := json.Unmarshal(text, &old); err != nil {
		return e.fail(fmt.Errorf("read %s: %w", store.FolderFacts, err))
	}
	if old.Schema < 1 {
		return notOurs(e.dir, store.FolderFacts)
	}
	if err := store.CheckSchema(e.dir, old.Schema); err != nil {
		return err
	}
	e.schemas = slices.Compact(slices.Sorted(slices.Values(append(old.Schemas, e.schemas...))))
	folder, err := readFolder(ctx, e.conn, e.dir, []string{"run", "run_tag"})
	if err != nil {
		return err
	}
	if e.there, err = folder.byID(ctx, e.conn); err != nil {
		return e.fail(err)
	}
	return nil
}

// write writes the runs aside, puts them in their places, and counts the bytes that arrived.
func (e *export) write(ctx context.Context) (bytes int64, err error) {
	store.SweepAbandoned(e.abs, asidePrefix)
	aside, release, err := store.MakeLocked(e.abs, asidePrefix)
	if err != nil {
		return 0, problem("export", e.dir, err, "")
	}
	defer func() { err = errors.Join(err, release()) }()
	written, err := e.tables(ctx, aside)
	if err != nil {
		return 0, e.fail(err)
	}
	facts, err := json.Marshal(folderFacts{slices.Max(e.schemas), e.schemas, store.DuckDBVersion()})
	if err != nil {
		return 0, e.fail(err)
	}
	// what the files may be like stands there before any of them, and a run itself after everything that was recorded of it
	for name, text := range map[string][]byte{dictionaryFile: []byte(e.dictionary()), store.FolderFacts: append(facts, '\n')} {
		tmp := filepath.Join(aside, name)
		if err := errors.Join(os.WriteFile(tmp, text, 0o644), os.Rename(tmp, filepath.Join(e.abs, name))); err != nil {
			return 0, e.fail(err)
		}
	}
	for _, t := range slices.Backward(store.Tables()) {
		if err := install(filepath.Join(aside, t), filepath.Join(e.abs, t), e.ids); err != nil {
			return 0, e.fail(err)
		}
	}
	if bytes, err = e.arrived(written); err != nil {
		return 0, e.fail(err)
	}
	return bytes, nil
}

// tables writes the runs' rows into a folder, and gives the sizes of the files by their paths below it.
func (e *export) tables(ctx context.Context, aside string) (map[string]int64, error) {
	written := map[string]int64{}
	for _, t := range store.Tables() {
		if e.from.tables[t] == nil { // a file of an older wb
			continue
		}
		columns := "*"
		for _, c := range e.from.schema[t] {
			if c.typ == "UUID" && c.name != "run_id" { // Spark reads no Parquet that has one (4.3); run_id is in the folder's name
				columns = fmt.Sprintf("* REPLACE (%s::VARCHAR AS %s)", wbsql.Name(c.name), wbsql.Name(c.name))
			}
		}
		for part := range slices.Chunk(e.ids, atOnce) {
			q := fmt.Sprintf("COPY (SELECT %s FROM %s WHERE %s) TO %s (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day, run_id), "+
				"OVERWRITE_OR_IGNORE, RETURN_STATS)", columns, rowsOf(e.from, t), inList(part), wbsql.Text(filepath.Join(aside, t)))
			if err := copied(ctx, e.conn, q, aside, written); err != nil {
				return nil, fmt.Errorf("raw.%s: %w", t, err)
			}
		}
	}
	return written, nil
}

// dictionary is the text of dictionary.csv.
func (e *export) dictionary() string {
	var text strings.Builder
	text.WriteString("table,column,type,comment\n")
	day := column{"day", "DATE", "day on which the run began, UTC (the name of a folder)"}
	for _, t := range store.Tables() {
		for _, c := range slices.Concat([]column{day}, e.from.schema[t]) {
			if c.typ == "UUID" {
				c.typ = "VARCHAR"
			}
			fmt.Fprintf(&text, "%s,%s,\"%s\",\"%s\"\n", t, c.name, c.typ, strings.ReplaceAll(c.comment, `"`, `""`))
		}
	}
	return text.String()
}

// arrived looks whether what was written is there, all of it, and adds it up.
func (e *export) arrived(written map[string]int64) (bytes int64, err error) {
	runs := map[string]bool{}
	for path, size := range written {
		st, err := os.Stat(filepath.Join(e.abs, path))
		if err != nil {
			return 0, fmt.Errorf("look at what was written: %w", err)
		}
		if st.Size() != size {
			return 0, fmt.Errorf("look at what was written: %s has %d bytes, and %d were written", path, st.Size(), size)
		}
		bytes += size
		if rel, ok := strings.CutPrefix(filepath.ToSlash(path), "run/"); ok {
			runs[filepath.Dir(rel)] = true
		}
	}
	if len(runs) != len(e.ids) {
		return 0, fmt.Errorf("look at what was written: %d runs are there, and %d were to be", len(runs), len(e.ids))
	}
	return bytes, nil
}

// dictionaryFile says in a folder of Parquet what each column is.
const dictionaryFile = "dictionary.csv"

// notOurs refuses a folder with a file that an export would replace and that no export wrote.
func notOurs(dir, name string) error {
	return problem("export", dir, fmt.Errorf("%s in it is not of wb's, and would be replaced", name), "Parquet wants a folder of its own")
}

// asidePrefix begins the names of folders that an export writes into before it puts things in their places.
const asidePrefix = ".writing-"
