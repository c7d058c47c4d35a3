//go:build duckdb_arrow

// Package store is the DuckDB file: opening and migrating it, recording facts through Arrow, and connections for reading.
//
// One process holds a file for writing at a time, and while it does no other can read it: DuckDB locks the whole file.
// Package history opens what is not such a file.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/duckdb/duckdb-go/v2"
)

// DB is an open history.
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
	// Of new files, bytes: DuckDB's own 256 KB take 60 MB for the last block of each column, and leave more of a file empty.
	// 16 KB compress worse (docs/design/storage.md).
	blockSize = "65536"
)

// Open opens a file for writing, creates it when missing, migrates it and re-applies the views. Runs found "running" whose
// process is gone are marked failed. Its errors are of type *Error.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := mustBeFile(path); err != nil {
		return nil, err
	}
	switch err := checkHeader(path); {
	case errors.Is(err, ErrNotFound):
		if err := CheckNoLog(path); err != nil {
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

// OpenBeside is Open while beside runs, whose error is the second; nil: nothing does. Opening takes about as long as asking a server who it
// is.
func OpenBeside(ctx context.Context, path string, beside func(context.Context) error) (d *DB, besideErr, err error) {
	if beside == nil {
		d, err = Open(ctx, path)
		return d, nil, err
	}
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		d, err = Open(ctx, path)
	}()
	besideErr = beside(ctx)
	<-opened
	return d, besideErr, err
}

// openFile opens a database for writing and puts it in order.
func openFile(ctx context.Context, path string) (*DB, error) {
	d, err := open(path, url.Values{
		"wal_autocheckpoint": {writeCheckpoint},
		"default_block_size": {blockSize},
		"memory_limit":       {writeMemory},
		"threads":            {strconv.Itoa(min(4, runtime.NumCPU()))},
	})
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

// OpenRead opens a file for queries: read-only, without access to other files or the network, the configuration locked,
// memory and threads limited. A file of an older wb, and one with runs whose process died, is first put in order, which
// needs it to be writable. DuckDB does not claim to contain hostile SQL; see docs/reference/queries.md.
// Its errors are of type *Error. Folders and lakes are opened by package history.
func OpenRead(ctx context.Context, path string) (*DB, error) {
	if err := checkHeader(path); err != nil {
		return nil, err
	}
	d, err := openForReading(ctx, path)
	if err != nil {
		return nil, err
	}
	stale, err := d.stale(ctx)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if !stale {
		return d, nil
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	note := ""
	w, err := Open(ctx, path)
	switch {
	case err == nil:
		if err := w.Close(); err != nil {
			return nil, err
		}
	case errors.Is(err, ErrNewer):
		return nil, err
	default:
		note = "the file's views are of another wb and could not be renewed: " + err.Error()
	}
	if d, err = openForReading(ctx, path); err != nil {
		return nil, err
	}
	if note != "" {
		d.notes = append(d.notes, note)
	}
	return d, nil
}

// openForReading opens a file and then locks the settings, of the whole instance and not of a connection.
// That comes before anything of it is read, since its tables may be views that somebody made.
func openForReading(ctx context.Context, path string) (*DB, error) {
	d, err := open(path, url.Values{
		"access_mode":  {"READ_ONLY"},
		"memory_limit": {readMemory},
		"threads":      {strconv.Itoa(readThreads)},
	})
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"SET enable_external_access = false", "SET lock_configuration = true"} {
		if _, err := d.db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(Explain("open", path, err), d.Close())
		}
	}
	return d, nil
}

func open(path string, opts url.Values) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{"open", path, err, ""}
	}
	d, err := connect(abs, filepath.Dir(abs), opts)
	if err != nil {
		return nil, Explain("open", path, err)
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

func openMemory(limit, near string) (*DB, error) {
	return connect("", near, url.Values{"memory_limit": {limit}, "threads": {strconv.Itoa(readThreads)}})
}

// InMemory gives a connection to a database that is nowhere on a disk, in which files, folders and lakes are attached.
// It has no tables. end closes both.
func InMemory(ctx context.Context) (conn *sql.Conn, end func() error, err error) {
	d, err := openMemory(writeMemory, os.TempDir())
	if err != nil {
		return nil, nil, err
	}
	if conn, err = d.db.Conn(ctx); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return conn, func() error { return errors.Join(conn.Close(), d.Close()) }, nil
}

// OpenElsewhere opens a history that is not a file for queries; name is for people, and near a folder for what does not fit into memory.
// fill puts views of it in the place of the tables of a file, which are there, empty, and then locks the settings.
func OpenElsewhere(ctx context.Context, name, near string, fill func(context.Context, *sql.Conn) error) (*DB, error) {
	d, err := openMemory(readMemory, near)
	if err != nil {
		return nil, Explain("open", name, err)
	}
	d.path, d.readOnly, d.elsewhere = name, true, true
	if err := d.fill(ctx, fill); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *DB) fill(ctx context.Context, fill func(context.Context, *sql.Conn) error) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return Explain("open", d.path, err)
	}
	defer conn.Close()
	return fill(ctx, conn)
}

// Path is the file's path as it was given; the name of another history, without passwords.
func (d *DB) Path() string { return d.path }

// Notes are things a reader of this file must know.
func (d *DB) Notes() []string { return d.notes }

// ReadOnly says that nothing can be written through this connection.
func (d *DB) ReadOnly() bool { return d.readOnly }

// Elsewhere says that the history is in a folder or a lake, where DuckDB itself does not keep a query from writing.
func (d *DB) Elsewhere() bool { return d.elsewhere }

// Conn gives a connection of its own; close it. Variables that are set on it are seen by it alone.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, Explain("read", d.path, err)
	}
	return c, nil
}

// Checkpoint folds the log into the file.
func (d *DB) Checkpoint(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, "CHECKPOINT")
	return Explain("checkpoint", d.path, err)
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
	return Explain("close", d.path, err)
}

// Abandon removes what queries have written to disk, for a process that ends without Close.
func (d *DB) Abandon() error { return d.unspill() }

// duckdbVersion is the engine the driver of go.mod brings; a test holds it against SELECT version().
const duckdbVersion = "v1.5.5"

// DuckDBVersion is the version of the engine inside wb.
func DuckDBVersion() string { return duckdbVersion }

// CurrentDatabase is what DuckDB calls the file that a connection is to.
func CurrentDatabase(ctx context.Context, c *sql.Conn) (name string, err error) {
	err = c.QueryRowContext(ctx, "SELECT current_database()").Scan(&name)
	return name, err
}

// Within runs statements in one transaction. It is rolled back when f gives an error, which is then returned.
func Within(ctx context.Context, c *sql.Conn, f func(exec func(q string, args ...any) error) error) error {
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
