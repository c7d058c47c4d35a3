//go:build duckdb_arrow

package store

import (
	"database/sql"
	"net/url"
	"path/filepath"

	"github.com/duckdb/duckdb-go/v2"
)

// untouchedMemory is enough for a few thousand names.
const untouchedMemory = "128MB"

// OpenUntouched opens a file for a short look, such as at the names of its runs. It changes nothing and makes no file or folder:
// a file of another wb is not migrated, and what does not fit into memory fails.
// A file that a run holds is an error, as one that is missing or damaged.
func OpenUntouched(path string) (*DB, error) {
	if err := checkHeader(path); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{"open", path, err, ""}
	}
	opts := url.Values{"access_mode": {"READ_ONLY"}, "memory_limit": {untouchedMemory}, "threads": {"1"}, "temp_directory": {""}}
	c, err := duckdb.NewConnector(abs+"?"+opts.Encode(), nil)
	if err != nil {
		return nil, Explain("open", path, err)
	}
	return &DB{path: path, readOnly: true, connector: c, db: sql.OpenDB(c), unspill: func() error { return nil }}, nil
}
