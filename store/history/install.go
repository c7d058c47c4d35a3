//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"wb/store"
)

// copied runs a COPY with RETURN_STATS. It puts the size in bytes of each written file into written, by its path below dir.
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
		return fmt.Errorf("DuckDB does not say which files it wrote: %v", columns)
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
			return fmt.Errorf("DuckDB does not say which files it wrote: %v", cells)
		}
		written[rel] = int64(size)
	}
	return rows.Err()
}

// install replaces the folders of runs in one table. At every moment a reader finds either the old folder or the new one.
// The folder of a run that has no row in the table any more is removed.
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

// replaceFolder replaces the files of a folder with those of another. If the two folders cannot be swapped in one step, it goes file by
// file: a new file replaces the one of the same name, and the old files that are left are removed last.
func replaceFolder(from, to string) error {
	if !exchange(from, to) {
		return replaceFiles(from, to)
	}
	foreign, err := store.Entries(from, func(e os.DirEntry) bool { return !isParquet(e) })
	for _, p := range foreign { // keep the files that others put there
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
	stale, err := store.Entries(to, func(e os.DirEntry) bool { return isParquet(e) && !names[e.Name()] })
	for _, p := range stale {
		err = errors.Join(err, os.Remove(p))
	}
	return err
}
