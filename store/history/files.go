//go:build duckdb_arrow

package history

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wb/store"
)

func isParquet(e fs.DirEntry) bool {
	return e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".parquet")
}

// runFolders gives the folders of a run in the folder of a table: TABLE/day=…/run_id=ID, one for each day.
func runFolders(table, id string) ([]string, error) {
	days, err := store.Entries(table, store.FolderNamed("day="))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range days {
		p := filepath.Join(d, "run_id="+id)
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			out = append(out, p)
		}
	}
	return out, nil
}

// holdsParquet says whether the folder of a table has any file of any run.
func holdsParquet(table string) (bool, error) {
	days, err := store.Entries(table, store.FolderNamed("day="))
	if err != nil {
		return false, err
	}
	for _, d := range days {
		runs, err := store.Entries(d, store.FolderNamed("run_id="))
		if err != nil {
			return false, err
		}
		for _, r := range runs {
			if files, err := store.Entries(r, isParquet); err != nil || len(files) > 0 {
				return len(files) > 0, err
			}
		}
	}
	return false, nil
}

// readRegular reads a small file whole. It must be a regular one: a pipe would be waited for.
func readRegular(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.ReadFile(path)
}

// globbable refuses the path of a folder that DuckDB's patterns cannot name: a backslash separates parts of a path there.
func globbable(op, path, abs string) error {
	if filepath.Separator == '/' && strings.Contains(abs, `\`) {
		return problem(op, path, errors.New("DuckDB cannot read a folder whose path has a backslash"), "choose a folder with another name")
	}
	return nil
}

// removeParquet removes the Parquet files of a folder, and the folder when nothing else is in it.
func removeParquet(dir string) error {
	files, err := store.Entries(dir, isParquet)
	for _, p := range files {
		err = errors.Join(err, os.Remove(p))
	}
	if left, lerr := store.Entries(dir, func(fs.DirEntry) bool { return true }); err == nil && lerr == nil && len(left) == 0 {
		err = os.Remove(dir)
	}
	return err
}

// escapeGlob makes of a path a pattern of DuckDB's that matches that path only.
func escapeGlob(path string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}
