//go:build duckdb_arrow

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// magic stands at byte 8 of a DuckDB file ("Storage Versions and Format" in DuckDB's documentation).
var magic = []byte("DUCK")

// reserved are names of databases that the SQL of wb could not tell from its own schemas, or from DuckDB's.
var reserved = []string{
	"raw", "_stage", "_from", "_lake", "_snapshot", "temp", "system", "information_schema", "pg_catalog",
}

// checkHeader refuses what is no DuckDB file, or has a name that DuckDB cannot use; ErrNotFound where nothing is.
func checkHeader(path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{"open", path, ErrNotFound, "wb run writes one; --db names another"}
	case errors.Is(err, fs.ErrPermission):
		return &Error{"open", path, err, "ask its owner, or copy it"}
	case err != nil:
		return &Error{"open", path, err, ""}
	}
	defer f.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{"open", path, err, ""}
	}
	switch {
	case n >= 12 && bytes.Equal(head[8:12], magic):
		return nil
	case bytes.HasPrefix(head, []byte("SQLite format 3")):
		return &Error{"open", path, fmt.Errorf("%w: it is a SQLite file", ErrNotDuckDB), "name another file with --db"}
	case n == 0:
		return &Error{"open", path, fmt.Errorf("%w: it is empty", ErrNotDuckDB), "delete it; wb run makes a new one"}
	}
	return &Error{"open", path, ErrNotDuckDB, "name another file with --db"}
}

// checkName refuses paths that are no file's, or that DuckDB would misread: it names a database after its file, and the driver reads what
// follows a question mark as options.
func checkName(path string) error {
	base := filepath.Base(path)
	if base == LakeCatalog {
		return &Error{"open", path, errors.New("it is the catalog of a lake"), "the lake is its folder, " + filepath.Dir(path)}
	}
	name, _, _ := strings.Cut(base, ".")
	if strings.ContainsAny(path, "?%") || strings.ContainsFunc(path, unicode.IsControl) || slices.Contains(reserved, strings.ToLower(name)) {
		return &Error{"open", path, errors.New("not a name DuckDB can use here"), "choose another --db, such as wb.duckdb"}
	}
	switch st, err := os.Stat(path); {
	case err != nil: // which opening it says better
	case st.IsDir():
		return &Error{"open", path, errors.New("is a directory"), "name a file in it, such as " + filepath.Join(path, "wb.duckdb")}
	case !st.Mode().IsRegular(): // which would be waited for, or never end
		return &Error{"open", path, errors.New("not a regular file"), "--db names a file"}
	}
	return nil
}

// CheckNoLog refuses to make a database beside a log that is there: DuckDB would delete it, and where the database was moved away, the log
// has what was recorded last.
func CheckNoLog(path string) error {
	wal := path + ".wal"
	if _, err := os.Lstat(wal); err != nil {
		return nil //nolint:nilerr // there is none
	}
	return &Error{"open", path, fmt.Errorf("it is not there, and %s is, which a new file would replace", wal),
		"the log belongs to a database that was moved or deleted: bring that back, or move the log away"}
}

// Present gives an error when the file that is open for writing is no longer the one at its path, or was written over.
// What is written into one that was deleted is lost, and DuckDB does not notice.
func (d *DB) Present() error {
	st, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{"record", d.path, ErrGone, "what was recorded went with it, unless it was only moved"}
	case err == nil && !d.isOpen(st):
		return &Error{"record", d.path, fmt.Errorf("%w: another one is in its place", ErrGone),
			"what was recorded is in the old one, if that was only moved; the new one was not touched"}
	case err == nil && !d.isWhole():
		return &Error{"record", d.path, errors.New("another program wrote into the file while a run did"),
			"what is in it cannot be read any more"}
	}
	return nil
}

func (d *DB) isOpen(st fs.FileInfo) bool {
	own, err := d.file.Stat()
	return err == nil && os.SameFile(st, own)
}

// isWhole says whether the file begins as DuckDB's do. It is not opened for that: whoever closes a file gives up the locks that its process
// has on it (POSIX, fcntl), DuckDB's too.
func (d *DB) isWhole() bool {
	head := make([]byte, 12)
	_, err := d.file.ReadAt(head, 0)
	return err == nil && bytes.Equal(head[8:], magic)
}
