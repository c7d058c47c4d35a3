//go:build duckdb_arrow

// Package store is the DuckDB file: opening and migrating it, recording facts through Arrow, and running queries.
//
// One process holds a file for writing at a time, and while it does no other can read it: DuckDB locks the whole file.
package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/shirou/gopsutil/v4/process"
)

// Error is a problem with the file, with a hint for the person who sees it.
type Error struct {
	Op   string // "open", "migrate", "record" …
	Path string
	Err  error
	Hint string // what to do; may be ""
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Causes that callers tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("no such file")
	ErrNotDuckDB   = errors.New("not a DuckDB file")
	ErrNewer       = errors.New("written by a newer wb")
	ErrLocked      = errors.New("held by another process")
	ErrReadOnly    = errors.New("not writable")
	ErrGone        = errors.New("the file was deleted or moved while a run wrote into it")
	ErrInterrupted = errors.New("interrupted")
)

// DB is an open file.
type DB struct {
	path      string
	readOnly  bool
	connector *duckdb.Connector
	db        *sql.DB
	notes     []string
	elsewhere bool // a folder or a lake, seen through views
	unspill   func() error
	file      *os.File // the one that was opened for writing; nil for reading
}

// Limits of a read-only connection, on which strangers' SQL may run.
const (
	readMemory  = "1GB"
	readThreads = 2
	// The automatic checkpoint at 16 MB of log costs 75–120 ms (measured), so it is put off to the end of a run.
	writeCheckpoint = "512MB"
	// A run shares its machine with the server it measures.
	writeMemory = "256MB"
	// Of new files, bytes: DuckDB's own 256 KB take 60 MB for the last block of each column, and leave more of a file empty; 16 KB compress worse (docs/storage.md).
	blockSize = "65536"
)

// Open opens a file for writing, creates it when missing, migrates it and re-applies the views. Runs found "running" whose
// process is gone are marked failed.
func Open(ctx context.Context, path string) (*DB, error) {
	switch kindOf(path) {
	case aLake:
		return nil, &Error{"open", Redact(path), errors.New("it is a lake, and this writes into a DuckDB file"), "--db names the file; wb push brings its runs into the lake"}
	case aFolder:
		if _, err := os.Stat(filepath.Join(path, factsFile)); err == nil {
			return nil, &Error{"open", path, errors.New("it is a folder of Parquet, and this writes into a DuckDB file"), "--db names the file; wb export brings its runs into the folder"}
		}
	}
	switch err := checkHeader(path); {
	case errors.Is(err, ErrNotFound):
		if err := noLog(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if dir := filepath.Dir(path); dir != "." {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, &Error{"open", path, fmt.Errorf("%s is no directory", dir), "create it: mkdir -p " + dir}
		}
	}
	_, err := os.Lstat(path)
	placed := errors.Is(err, fs.ErrNotExist) && placePrepared(path)
	d, err := openFile(ctx, path)
	if err != nil || !placed {
		return d, err
	}
	if err := d.applied(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// openFile opens a database for writing and puts it in order.
func openFile(ctx context.Context, path string) (*DB, error) {
	d, err := open(path, url.Values{"wal_autocheckpoint": {writeCheckpoint}, "default_block_size": {blockSize}, "memory_limit": {writeMemory}, "threads": {strconv.Itoa(min(4, runtime.NumCPU()))}})
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if d.file, err = os.Open(path); err != nil {
		return nil, errors.Join(&Error{"open", path, err, ""}, d.Close())
	}
	return d, nil
}

// noLog refuses to make a database beside a log that is there: DuckDB would delete it, and where the database was moved away, the log has
// what was recorded last.
func noLog(path string) error {
	wal := path + ".wal"
	if _, err := os.Lstat(wal); err != nil {
		return nil //nolint:nilerr // there is none
	}
	return &Error{"open", path, fmt.Errorf("it is not there, and %s is, which a new file would replace", wal),
		"the log belongs to a database that was moved or deleted: bring that back, or move the log away"}
}

// Present gives an error when the file that is open for writing is no longer the one at its path, or was written over. What is written into
// one that was deleted is lost, and DuckDB does not notice.
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

// magic stands at byte 8 of a DuckDB file ("Storage Versions and Format" in DuckDB's documentation).
var magic = []byte("DUCK")

// OpenRead opens a file for queries: read-only, without access to other files or the network, the configuration locked,
// memory and threads limited. A file of an older wb, and one with runs whose process died, is first put in order, which
// needs it to be writable. DuckDB does not claim to contain hostile SQL; see docs/queries.md.
func OpenRead(ctx context.Context, path string) (*DB, error) {
	if kindOf(path) != aFile {
		return openElsewhere(ctx, path)
	}
	if err := checkHeader(path); err != nil {
		return nil, err
	}
	ro := url.Values{"access_mode": {"READ_ONLY"}, "memory_limit": {readMemory}, "threads": {strconv.Itoa(readThreads)}}
	d, err := openLocked(ctx, path, ro)
	if err != nil {
		return nil, err
	}
	stale, err := d.stale(ctx)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if stale {
		if err := d.Close(); err != nil {
			return nil, err
		}
		note := ""
		if w, err := Open(ctx, path); err == nil {
			if err := w.Close(); err != nil {
				return nil, err
			}
		} else if errors.Is(err, ErrNewer) {
			return nil, err
		} else {
			note = "the file's views are of another wb and could not be renewed: " + err.Error()
		}
		if d, err = openLocked(ctx, path, ro); err != nil {
			return nil, err
		}
		if note != "" {
			d.notes = append(d.notes, note)
		}
	}
	return d, nil
}

// openLocked opens a file and then locks the settings: before anything of it is read, since its tables may be views that somebody made.
func openLocked(ctx context.Context, path string, opts url.Values) (*DB, error) {
	d, err := open(path, opts)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"SET enable_external_access = false", "SET lock_configuration = true"} { // of the whole instance, not of a connection
		if _, err := d.db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(explain("open", path, err), d.Close())
		}
	}
	return d, nil
}

// reserved are names of databases that the SQL of wb could not tell from its own schemas, or from DuckDB's.
var reserved = []string{"raw", "_stage", "_from", "_lake", "_snapshot", "temp", "system", "information_schema", "pg_catalog"}

func open(path string, opts url.Values) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{"open", path, err, ""}
	}
	d, err := connect(abs, filepath.Dir(abs), opts)
	if err != nil {
		return nil, explain("open", path, err)
	}
	d.path, d.readOnly = path, opts.Has("access_mode")
	return d, nil
}

// connect opens a database, "" for one in memory; what does not fit there goes to a folder in near.
func connect(file, near string, opts url.Values) (*DB, error) {
	unspill, err := spill(near, opts)
	if err != nil {
		return nil, err
	}
	c, err := duckdb.NewConnector(file+"?"+opts.Encode(), nil)
	if err != nil {
		return nil, errors.Join(err, unspill())
	}
	return &DB{connector: c, db: sql.OpenDB(c), unspill: unspill}, nil
}

// Path is the file's path as it was given.
func (d *DB) Path() string { return d.path }

// Notes are things a reader of this file must know.
func (d *DB) Notes() []string { return d.notes }

// SQL is the pool of connections, for statements that are not worth a method.
func (d *DB) SQL() *sql.DB { return d.db }

// Conn gives a connection of its own, for reading; close it. Variables that are set on it are seen by it alone.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, explain("read", d.path, err)
	}
	return c, nil
}

// Checkpoint folds the log into the file.
func (d *DB) Checkpoint(ctx context.Context) error {
	if _, err := d.db.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return explain("checkpoint", d.path, err)
	}
	return nil
}

// Close closes connections and file. A Recorder is closed before it.
func (d *DB) Close() error {
	err := d.db.Close()
	if cerr := d.connector.Close(); err == nil {
		err = cerr
	}
	if serr := d.unspill(); err == nil {
		err = serr
	}
	if d.file != nil { // after DuckDB, whose locks go with it
		err = errors.Join(err, d.file.Close())
	}
	if err != nil {
		return explain("close", d.path, err)
	}
	return nil
}

// Abandon removes what queries have written to disk, for a process that ends without Close.
func (d *DB) Abandon() error { return d.unspill() }

// header: DuckDB's main header has the magic bytes "DUCK" at offset 8 (duckdb.org/docs, "Storage format").
func checkHeader(path string) error {
	// DuckDB names a database after its file, and the driver reads what follows a question mark as options
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	if filepath.Base(path) == lakeFile {
		return &Error{"open", path, errors.New("it is the catalog of a lake"), "the lake is its folder, " + filepath.Dir(path)}
	}
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

var lockHolder = regexp.MustCompile(`PID (\d+)`)

// explain turns DuckDB's errors into one line and a hint. File problems share one type there, so the text decides.
func explain(op, path string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	has := func(s string) bool { return strings.Contains(text, s) }
	var de *duckdb.Error
	isDuck := errors.As(err, &de)
	switch {
	case has("Conflicting lock") || has("Could not set lock"):
		owner := ""
		if m := lockHolder.FindStringSubmatch(text); m != nil {
			owner = " pid " + m[1]
			if pid, perr := strconv.ParseInt(m[1], 10, 32); perr == nil {
				if p, perr := process.NewProcess(int32(pid)); perr == nil {
					if name, perr := p.Name(); perr == nil {
						owner += " (" + name + ")"
					}
				}
			}
		}
		return &Error{op, path, fmt.Errorf("%w:%s", ErrLocked, owner), "wait for it to end, or use another file with --db"}
	case has("already attached") || has("unique file handle conflict"):
		return &Error{op, path, fmt.Errorf("%w: this program itself", ErrLocked), ""}
	case has("version number"):
		return &Error{op, path, fmt.Errorf("%w: its storage version is unknown to DuckDB %s", ErrNewer, duckdbVersion), "use the wb that wrote it, or newer"}
	case has("not a valid DuckDB"):
		return &Error{op, path, ErrNotDuckDB, "name another file with --db"}
	case has("Permission denied") || has("read-only mode") || has("Read-only file system"):
		return &Error{op, path, ErrReadOnly, "check the permissions of the file and its folder, or use another --db"}
	case has(".parquet'") && (has("too small") || has("magic bytes") || has("footer")):
		return &Error{op, path, errors.New(oneLine(text)), "remove that run's folder and export the run again"}
	case has("No space left") || (isDuck && de.Type == duckdb.ErrorTypeTransaction && has("write")):
		if op == "export" {
			return &Error{op, path, errors.New("no space left on the disk"), "free some, or export into a folder on another disk; what was there before is kept"}
		}
		return &Error{op, path, errors.New("no space left on the disk"), "free some, or put --db on another disk; what was recorded before is kept"}
	case has("INTERRUPT") || errors.Is(err, context.Canceled):
		return &Error{op, path, ErrInterrupted, ""}
	}
	return &Error{op, path, errors.New(oneLine(strings.TrimPrefix(text, "database/sql/driver: could not connect to database: "))), ""}
}

func oneLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// duckdbVersion is the engine the driver of go.mod brings; a test holds it against SELECT version().
const duckdbVersion = "v1.5.5"

// DuckDBVersion is the version of the engine inside wb.
func DuckDBVersion() string { return duckdbVersion }

// currentDatabase is what DuckDB calls the file that a connection is to.
func currentDatabase(ctx context.Context, c *sql.Conn) (name string, err error) {
	err = c.QueryRowContext(ctx, "SELECT current_database()").Scan(&name)
	return name, err
}

// within runs statements in one transaction.
func within(ctx context.Context, c *sql.Conn, f func(exec func(q string, args ...any) error) error) error {
	tx, err := c.BeginTx(context.WithoutCancel(ctx), nil) // else its end closes the connection, which is used on
	if err != nil {
		return err
	}
	if err := f(func(q string, args ...any) error { _, err := tx.ExecContext(ctx, q, args...); return err }); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// withConn lends the driver's own connection, which Arrow needs.
func withConn(c *sql.Conn, f func(driver.Conn) error) error {
	return c.Raw(func(x any) error { return f(x.(driver.Conn)) })
}

func exec(ctx context.Context, c driver.Conn, q string) error {
	_, err := c.(driver.ExecerContext).ExecContext(ctx, q, nil)
	return err
}

// ProcessStart is when a process of this machine started, UTC; nil when it is not there.
func ProcessStart(pid int64) *time.Time {
	if t, ok := processStart(pid); ok {
		return &t
	}
	return nil
}

func processStart(pid int64) (time.Time, bool) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return time.Time{}, false
	}
	ms, err := p.CreateTime()
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}
