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

// runFolders returns the folders of a run in the folder of a table: TABLE/day=…/run_id=ID, one per day.
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

// holdsParquet reports whether the folder of a table has a Parquet file of any run.
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

// readRegular reads a small file. It refuses anything but a regular file, because reading a pipe would block.
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

// globbable returns an error for a folder that DuckDB's patterns cannot name: in a pattern a backslash separates the parts of a path.
func globbable(op, path, abs string) error {
	if filepath.Separator == '/' && strings.Contains(abs, `\`) {
		return problem(op, path, errors.New("DuckDB cannot read a folder whose path has a backslash"), "choose another folder")
	}
	return nil
}

// removeParquet removes the Parquet files of a folder, and the folder itself if nothing else is in it.
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

// escapeGlob returns a pattern for DuckDB that matches only the given path.
func escapeGlob(path string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}
