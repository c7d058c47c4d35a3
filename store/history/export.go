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

// Exported says what Export did. It writes a run again even if an equal copy is there.
type Exported struct {
	Moved
	Bytes int64 // size of the Parquet files that were written
}

// Export writes runs of a file as Parquet files that other programs can read: DIR/TABLE/day=…/run_id=…/*.parquet (Hive partitions).
// It also writes dictionary.csv, which describes each column, and wb.json. ids names the runs; nil means all of them.
// The files are written into a temporary folder and then renamed. They replace what an earlier export wrote of the same runs.
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
		if did.decide(r, e.there[r.id]...) || did.Present > 0 { // an equal copy may be incomplete
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

// mayExport returns an error for a lake, for anything that is not a folder, and for a folder that DuckDB cannot name.
func mayExport(dir, abs string) error {
	if _, err := os.Stat(filepath.Join(abs, store.LakeCatalog)); err == nil {
		return problem("export", dir, errors.New("it is a lake"), "wb push copies runs there; name a separate folder for Parquet files")
	}
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return problem("export", dir, errors.New("it is a file"), "name a folder with --parquet")
	}
	return globbable("export", dir, abs)
}

// export is an export in progress.
type export struct {
	conn     *sql.Conn
	from     *source
	dir, abs string               // the folder as it was given, and its absolute path
	schemas  []int                // schema versions that the files of the folder may have
	there    map[string][]runCopy // runs that are in the folder, by id
	ids      []string             // runs to write
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

// write writes the runs into a temporary folder, moves them to their places, and returns the size of the files there.
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
	// The description of the files is written before any of them.
	// The row of a run itself comes last, so that a run that a reader finds is complete.
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

// tables writes the rows of the runs into a folder. It returns the sizes of the files in bytes, by their paths below the folder.
func (e *export) tables(ctx context.Context, aside string) (map[string]int64, error) {
	written := map[string]int64{}
	for _, t := range store.Tables() {
		if e.from.tables[t] == nil { // a file of an older wb
			continue
		}
		columns := "*"
		for _, c := range e.from.schema[t] {
			if c.Type == "UUID" && c.Name != "run_id" { // Spark (4.3) cannot read Parquet with a UUID; run_id is in the name of the folder
				columns = fmt.Sprintf("* REPLACE (%s::VARCHAR AS %s)", wbsql.Name(c.Name), wbsql.Name(c.Name))
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

// dictionary returns the text of dictionary.csv.
func (e *export) dictionary() string {
	var text strings.Builder
	text.WriteString("table,column,type,comment\n")
	day := store.Column{Name: "day", Type: "DATE", Comment: "day on which the run began, UTC (the name of a folder)"}
	for _, t := range store.Tables() {
		for _, c := range slices.Concat([]store.Column{day}, e.from.schema[t]) {
			if c.Type == "UUID" {
				c.Type = "VARCHAR"
			}
			fmt.Fprintf(&text, "%s,%s,\"%s\",\"%s\"\n", t, c.Name, c.Type, strings.ReplaceAll(c.Comment, `"`, `""`))
		}
	}
	return text.String()
}

// arrived checks that all written files are in their places, and returns their total size in bytes.
func (e *export) arrived(written map[string]int64) (bytes int64, err error) {
	runs := map[string]bool{}
	for path, size := range written {
		st, err := os.Stat(filepath.Join(e.abs, path))
		if err != nil {
			return 0, fmt.Errorf("check the written files: %w", err)
		}
		if st.Size() != size {
			return 0, fmt.Errorf("check the written files: %s has %d bytes, but %d were written", path, st.Size(), size)
		}
		bytes += size
		if rel, ok := strings.CutPrefix(filepath.ToSlash(path), "run/"); ok {
			runs[filepath.Dir(rel)] = true
		}
	}
	if len(runs) != len(e.ids) {
		return 0, fmt.Errorf("check the written files: %d runs are there, but %d were expected", len(runs), len(e.ids))
	}
	return bytes, nil
}

// dictionaryFile is the name of the file that describes each column, in a folder of Parquet files.
const dictionaryFile = "dictionary.csv"

// notOurs returns an error for a folder that has a file which an export would replace, although wb did not write it.
func notOurs(dir, name string) error {
	return problem("export", dir, fmt.Errorf("wb did not write the %s in it, and would replace it", name),
		"name a separate folder for Parquet files")
}

// asidePrefix begins the names of the temporary folders into which an export writes.
const asidePrefix = ".writing-"
