//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	wbsql "wb/sql"
	"wb/store"
)

// folderFacts is the content of wb.json in a folder of Parquet files.
type folderFacts struct {
	Schema  int    `json:"schema"`            // newest schema version of the tables; unknown ones are not read
	Schemas []int  `json:"schemas,omitempty"` // all schema versions that the files may have
	DuckDB  string `json:"duckdb_version"`
}

// ErrNoHistory is returned for a folder that has neither Parquet files of wb nor a lake.
var ErrNoHistory = errors.New("is a directory without runs of wb")

// readFolder reads which of the given tables a folder has; tables nil means all of them.
func readFolder(ctx context.Context, c *sql.Conn, dir string, tables []string) (*source, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, problem("open", dir, err, "")
	}
	if err := globbable("open", dir, abs); err != nil {
		return nil, err
	}
	text, err := readRegular(filepath.Join(abs, store.FolderFacts))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem("open", dir, fmt.Errorf("%w: there is no %s in it", ErrNoHistory, store.FolderFacts),
			"wb export --parquet makes a folder of runs, and wb push makes a lake")
	}
	var facts folderFacts
	if err == nil {
		err = json.Unmarshal(text, &facts)
	}
	if err != nil {
		return nil, problem("open", dir, fmt.Errorf("read %s: %w", store.FolderFacts, err), "")
	}
	s := &source{path: dir, version: facts.Schema, tables: map[string][]string{}, close: func(context.Context) error { return nil }}
	union := "" // columns are matched by name only where files may differ, because DuckDB then looks at every file
	if len(facts.Schemas) != 1 {
		union = ", union_by_name = true"
	}
	s.from = func(t string) string {
		files := wbsql.Text(filepath.Join(escapeGlob(abs), t, "day=*", "run_id=*", "*.parquet"))
		if strings.Contains(abs, "=") { // DuckDB would take NAME=VALUE in the path of the folder itself for partitions too
			const named = `regexp_extract(filename, 'day=([^/\\]+)[/\\]run_id=([^/\\]+)[/\\][^/\\]*$', `
			return "(SELECT * EXCLUDE (filename), " + named + "1)::DATE AS day, " + named + "2)::UUID AS run_id" +
				" FROM read_parquet(" + files + ", hive_partitioning = false, filename = true" + union + "))"
		}
		return "read_parquet(" + files + ", hive_partitioning = true, hive_types = {'run_id': UUID, 'day': DATE}" + union + ")"
	}
	for _, t := range store.Tables() {
		if tables != nil && !slices.Contains(tables, t) {
			continue
		}
		some, err := holdsParquet(filepath.Join(abs, t))
		if err != nil {
			return nil, problem("open", dir, err, "")
		}
		if !some {
			continue
		}
		if s.tables[t], err = columnsOf(ctx, c, s.from(t)); err != nil {
			return nil, store.Explain("open", dir, err)
		}
	}
	return s, nil
}

func columnsOf(ctx context.Context, c *sql.Conn, relation string) (out []string, err error) {
	rows, err := c.QueryContext(ctx, "SELECT column_name FROM (DESCRIBE SELECT * FROM "+relation+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}
