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

// magic is what a DuckDB file has at byte 8 ("Storage Versions and Format" in DuckDB's documentation).
var magic = []byte("DUCK")

// reserved are the names that a database must not have, because SQL would confuse them with schemas or databases of wb or DuckDB.
var reserved = []string{
	"raw", "_stage", "_from", "_lake", "_snapshot", "temp", "system", "information_schema", "pg_catalog",
}

// checkHeader returns an error unless the path is a DuckDB file whose name DuckDB can use.
// The error wraps ErrNotFound when there is no file.
func checkHeader(path string) error {
	if err := checkName(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{"open", path, ErrNotFound, "wb run writes one; name another file with --db"}
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

// checkName refuses a path that is not that of a regular file, and one that DuckDB would misread.
// DuckDB names a database after its file, and the driver reads what follows a question mark as options.
func checkName(path string) error {
	base := filepath.Base(path)
	if base == LakeCatalog {
		return &Error{"open", path, errors.New("it is the catalog of a lake"), "name its folder instead: " + filepath.Dir(path)}
	}
	name, _, _ := strings.Cut(base, ".")
	if strings.ContainsAny(path, "?%") || strings.ContainsFunc(path, unicode.IsControl) || slices.Contains(reserved, strings.ToLower(name)) {
		return &Error{"open", path, errors.New("not a name DuckDB can use here"), "choose another --db, such as wb.duckdb"}
	}
	switch st, err := os.Stat(path); {
	case err != nil: // opening the file gives a better error
	case st.IsDir():
		return &Error{"open", path, errors.New("is a directory"), "name a file in it, such as " + filepath.Join(path, "wb.duckdb")}
	case !st.Mode().IsRegular(): // reading a pipe or a device would block, or never end
		return &Error{"open", path, errors.New("not a regular file"), "--db names a file"}
	}
	return nil
}

// CheckNoLog returns an error when a log exists for a database that does not exist.
// DuckDB would delete that log when it makes the database. If the database was only moved away, the log has its latest rows.
func CheckNoLog(path string) error {
	wal := path + ".wal"
	if _, err := os.Lstat(wal); err != nil {
		return nil //nolint:nilerr // there is no log
	}
	return &Error{"open", path, fmt.Errorf("it is missing, but its log %s exists, and a new file would replace the log", wal),
		"the log belongs to a database that was moved or deleted: put that back, or move the log away"}
}

// Present returns an error when the file that is open for writing is no longer at its path, or was overwritten.
// DuckDB does not notice when its file is deleted, and everything that is written afterwards is lost.
func (d *DB) Present() error {
	st, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{"record", d.path, ErrGone, "what was recorded is lost with it, unless the file was only moved"}
	case err == nil && !d.isOpen(st):
		return &Error{"record", d.path, fmt.Errorf("%w: another file is in its place", ErrGone),
			"what was recorded is in the old file, if that was only moved; the new file was not changed"}
	case err == nil && !d.isWhole():
		return &Error{"record", d.path, errors.New("another program wrote into the file during a run"),
			"the file cannot be read any more"}
	}
	return nil
}

func (d *DB) isOpen(st fs.FileInfo) bool {
	opened, err := d.file.Stat()
	return err == nil && os.SameFile(st, opened)
}

// isWhole reports whether the file still begins as a DuckDB file does. It does not open the file again:
// a process that closes a file loses all the locks that it has on that file, DuckDB's too (POSIX, fcntl).
func (d *DB) isWhole() bool {
	head := make([]byte, 12)
	_, err := d.file.ReadAt(head, 0)
	return err == nil && bytes.Equal(head[8:], magic)
}
