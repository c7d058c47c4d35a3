//go:build duckdb_arrow

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"wb/data/plain"
)

// Kind is what a history is kept in. Package history reads the other two.
type Kind int

// Kinds of histories.
const (
	File   Kind = iota // a DuckDB file
	Folder             // a folder, of Parquet files if it has FolderFacts
	Lake               // a folder with LakeCatalog, or a catalog in PostgreSQL
)

const (
	// LakeCatalog is the name of a lake's catalog in its folder.
	LakeCatalog = "catalog.ducklake"
	// FolderFacts is the name of the file that says what a folder of Parquet has.
	FolderFacts = "wb.json"
)

// InPostgres says whether a name is that of a catalog in PostgreSQL: postgres:CONNECTION, or a URL.
func InPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres:") || strings.HasPrefix(name, "postgresql:") || strings.HasPrefix(name, "postgres://")
}

// KindOf says what a name is of. One that is not there yet is a file.
func KindOf(name string) Kind {
	if InPostgres(name) {
		return Lake
	}
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		if _, err := os.Stat(filepath.Join(name, LakeCatalog)); err == nil {
			return Lake
		}
		return Folder
	}
	return File
}

// mustBeFile refuses a lake, and a folder of Parquet, where a file is to be written.
func mustBeFile(name string) error {
	switch KindOf(name) {
	case Lake:
		return &Error{"open", plain.Redact(name), errors.New("it is a lake, and this writes into a DuckDB file"),
			"--db names the file; wb push brings its runs into the lake"}
	case Folder:
		if _, err := os.Stat(filepath.Join(name, FolderFacts)); err == nil {
			return &Error{"open", name, errors.New("it is a folder of Parquet, and this writes into a DuckDB file"),
				"--db names the file; wb export brings its runs into the folder"}
		}
	}
	return nil
}
