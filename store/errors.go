//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/shirou/gopsutil/v4/process"

	"wb/data/plain"
)

// Error is a problem with a file of runs, and what the user can do about it.
type Error struct {
	Op     string // "open", "migrate", "record" …
	Path   string
	Err    error
	Remedy string // what to do; may be ""
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about the error, or "" when nothing is known.
func (e *Error) Hint() string { return e.Remedy }

// Causes of an Error. Callers tell them apart with errors.Is.
var (
	ErrNotFound    = errors.New("no such file")
	ErrNotDuckDB   = errors.New("not a DuckDB file")
	ErrNewer       = errors.New("written by a newer wb")
	ErrLocked      = errors.New("held by another process")
	ErrReadOnly    = errors.New("not writable")
	ErrGone        = errors.New("the file was deleted or moved while a run wrote into it")
	ErrInterrupted = errors.New("interrupted")
)

// Explain turns an error of DuckDB into an *Error with one line of text and a remedy. nil and an *Error are returned as they are.
// DuckDB gives all file problems the same type, so their text is read to tell them apart.
func Explain(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // an *Error that is wrapped has more text around it
		return e
	}
	remedy, cause := explain(op, err)
	return &Error{op, path, cause, remedy}
}

func explain(op string, err error) (remedy string, cause error) {
	text := err.Error()
	has := func(s string) bool { return strings.Contains(text, s) }
	var de *duckdb.Error
	isDuck := errors.As(err, &de)
	switch {
	case has("Conflicting lock") || has("Could not set lock"):
		return "wait for it to end, or use another file with --db", fmt.Errorf("%w:%s", ErrLocked, holder(text))
	case has("already attached") || has("unique file handle conflict"):
		return "", fmt.Errorf("%w: this program itself", ErrLocked)
	case has("version number"):
		return "use the wb that wrote it, or a newer one", fmt.Errorf("%w: DuckDB %s does not know its storage version", ErrNewer, duckdbVersion)
	case has("not a valid DuckDB"):
		return "name another file with --db", ErrNotDuckDB
	case has("Permission denied") || has("read-only mode") || has("Read-only file system"):
		return "check the permissions of the file and its folder, or use another --db", ErrReadOnly
	case has(".parquet'") && (has("too small") || has("magic bytes") || has("footer")):
		return "remove that run's folder and export the run again", errors.New(plain.FirstLine(text))
	case has("No space left") || (isDuck && de.Type == duckdb.ErrorTypeTransaction && has("write")):
		remedy := "free some space, or put --db on another disk; what was recorded before is kept"
		if op == "export" {
			remedy = "free some space, or export into a folder on another disk; what was there before is kept"
		}
		return remedy, errors.New("no space left on the disk")
	case has("INTERRUPT") || errors.Is(err, context.Canceled):
		return "", ErrInterrupted
	}
	text = strings.TrimPrefix(text, "database/sql/driver: could not connect to database: ")
	return "", errors.New(plain.FirstLine(text))
}

var lockHolder = regexp.MustCompile(`PID (\d+)`)

// holder reads from an error of DuckDB which process has locked the file, and returns " pid 7 (wb)", or "" when the error names none.
func holder(text string) string {
	m := lockHolder.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	named := " pid " + m[1]
	pid, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return named
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return named
	}
	if name, err := p.Name(); err == nil {
		named += " (" + name + ")"
	}
	return named
}
