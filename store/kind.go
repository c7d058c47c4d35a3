//go:build duckdb_arrow

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"wb/data/plain"
)

// Kind says where runs are kept. This package reads files, and package history reads the other two.
type Kind int

// The kinds of places for runs.
const (
	File   Kind = iota // a DuckDB file
	Folder             // a folder; it holds Parquet files of wb if it has the file FolderFacts
	Lake               // a folder with the file LakeCatalog, or a catalog in PostgreSQL
)

const (
	// LakeCatalog is the name of the catalog file in the folder of a lake.
	LakeCatalog = "catalog.ducklake"
	// FolderFacts is the name of the file that describes a folder of Parquet files.
	FolderFacts = "wb.json"
)

// InPostgres reports whether a name stands for a catalog in PostgreSQL: postgres:CONNECTION, or a URL.
func InPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres:") || strings.HasPrefix(name, "postgresql:") || strings.HasPrefix(name, "postgres://")
}

// KindOf returns the kind of place that a name stands for. A name for which nothing exists yet stands for a file.
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

// mustBeFile returns an error for a lake and for a folder of Parquet files: the caller wants to write a DuckDB file.
func mustBeFile(name string) error {
	switch KindOf(name) {
	case Lake:
		return &Error{"open", plain.Redact(name), errors.New("it is a lake, but this command writes into a DuckDB file"),
			"name a file with --db; wb push copies its runs into the lake"}
	case Folder:
		if _, err := os.Stat(filepath.Join(name, FolderFacts)); err == nil {
			return &Error{"open", name, errors.New("it is a folder of Parquet files, but this command writes into a DuckDB file"),
				"name a file with --db; wb export copies its runs into the folder"}
		}
	}
	return nil
}
