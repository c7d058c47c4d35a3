//go:build duckdb_arrow

// Package store reads and writes the DuckDB file in which runs are recorded. It opens and migrates the file, records facts through Arrow,
// and gives connections for reading.
//
// DuckDB locks the whole file: while one process has it open for writing, no other process can open it.
//
// The package knows files only. It must not know folders of Parquet, lakes or snapshots, which are for package history,
// and it must not know how facts are measured or reported.
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
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// DB is an open file, or another history that package history has opened through OpenElsewhere.
type DB struct {
	path      string
	readOnly  bool
	connector *duckdb.Connector
	db        *sql.DB
	notes     []string
	elsewhere bool // a folder or a lake, read through views
	unspill   func() error
	file      *os.File // the file, if it was opened for writing; nil for reading
}

// Limits of connections. On a read-only connection the SQL of strangers may run.
const (
	readMemory  = "1GB"
	readThreads = 2
	// The automatic checkpoint at 16 MB of log takes 75–120 ms (measured), so it is postponed to the end of a run.
	writeCheckpoint = "512MB"
	// A run shares its machine with the server it measures.
	writeMemory = "256MB"
	// Block size of new files, in bytes. With DuckDB's default of 256 KB the last blocks of all columns take 60 MB of memory, and more
	// of a file stays empty. Blocks of 16 KB compress worse (docs/design/storage.md).
	blockSize = "65536"
)

// Open opens a file for writing. It makes the file if it is missing, migrates it and renews the views.
// Runs with the status "running" whose process is gone are marked as failed. Its errors are of type *Error.
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
			return nil, &Error{"open", path, fmt.Errorf("%s is not a directory", dir), "create it: mkdir -p " + dir}
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

// OpenBeside calls Open and beside at the same time, because opening takes about as long as asking a server what it is.
// It returns the error of beside as besideErr. beside may be nil.
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

// openFile opens a database for writing, migrates it and marks dead runs as failed.
func openFile(ctx context.Context, path string) (*DB, error) {
	return openFileAt(ctx, path, time.Now().UTC())
}

// openFileAt records migrations as applied at a given time.
func openFileAt(ctx context.Context, path string, at time.Time) (*DB, error) {
	d, err := open(path, url.Values{
		"wal_autocheckpoint": {writeCheckpoint},
		"default_block_size": {blockSize},
		"memory_limit":       {writeMemory},
		"threads":            {strconv.Itoa(min(4, runtime.NumCPU()))},
	})
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx, at); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if d.file, err = os.Open(path); err != nil {
		return nil, errors.Join(&Error{"open", path, err, ""}, d.Close())
	}
	return d, nil
}

// OpenRead opens a file for queries. The connection is read-only and has no access to other files or the network.
// Its configuration is locked, and its memory and threads are limited.
// A file of an older wb is migrated first, and runs whose process died are marked as failed; for both the file must be writable.
// DuckDB does not promise that it can contain hostile SQL; see docs/reference/queries.md.
// Errors are of type *Error. Package history opens folders and lakes.
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
		note = "the file's views are from another version of wb and could not be renewed: " + err.Error()
	}
	if d, err = openForReading(ctx, path); err != nil {
		return nil, err
	}
	if note != "" {
		d.notes = append(d.notes, note)
	}
	return d, nil
}

// openForReading opens a file and then locks the settings. They are locked for the whole instance of DuckDB, not for one connection.
// This happens before anything is read from the file, because its tables may be views that somebody else made.
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

// connect opens a database; "" means one in memory. What does not fit into memory goes to a folder in near.
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

// InMemory returns a connection to a new database in memory, to which files, folders and lakes can be attached.
// The database has no tables. end closes the connection and the database.
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

// OpenElsewhere opens a history that is not a file, for queries. It makes a database in memory with the empty tables of a file.
// fill then replaces these tables with views of the history, and locks the settings.
// name is what the user reads, and near is a folder for what does not fit into memory.
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
	if err := d.prepare(ctx, time.Now().UTC()); err != nil {
		return err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return Explain("open", d.path, err)
	}
	defer conn.Close()
	return fill(ctx, conn)
}

// Path returns the path of the file as it was given. For another history it is the name without passwords.
func (d *DB) Path() string { return d.path }

// Notes returns what a reader of this file must know.
func (d *DB) Notes() []string { return d.notes }

// ReadOnly reports whether the file was opened for reading only.
func (d *DB) ReadOnly() bool { return d.readOnly }

// Elsewhere reports whether the history is in a folder or a lake. There DuckDB does not prevent a query from writing.
func (d *DB) Elsewhere() bool { return d.elsewhere }

// Conn returns a separate connection, which the caller must close. Other connections do not see the variables that are set on it.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, Explain("read", d.path, err)
	}
	return c, nil
}

// Checkpoint moves the log into the file.
func (d *DB) Checkpoint(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, "CHECKPOINT")
	return Explain("checkpoint", d.path, err)
}

// Close closes the connections and the file. Close a Recorder before it.
func (d *DB) Close() error {
	err := d.db.Close()
	if cerr := d.connector.Close(); err == nil {
		err = cerr
	}
	if serr := d.unspill(); err == nil {
		err = serr
	}
	if d.file != nil { // after DuckDB has closed: closing this file removes the locks of DuckDB too
		err = errors.Join(err, d.file.Close())
	}
	return Explain("close", d.path, err)
}

// Abandon removes what queries have written to disk. A process that ends without Close calls it.
func (d *DB) Abandon() error { return d.unspill() }

// duckdbVersion is the version of DuckDB that the driver in go.mod contains. A test compares it with SELECT version().
const duckdbVersion = "v1.5.5"

// DuckDBVersion returns the version of DuckDB inside wb.
func DuckDBVersion() string { return duckdbVersion }

// CurrentDatabase returns the name that DuckDB gives to the database of a connection.
func CurrentDatabase(ctx context.Context, c *sql.Conn) (name string, err error) {
	err = c.QueryRowContext(ctx, "SELECT current_database()").Scan(&name)
	return name, err
}

// Within runs the statements of f in one transaction. If f returns an error, the transaction is rolled back and the error returned.
func Within(ctx context.Context, c *sql.Conn, f func(exec func(q string, args ...any) error) error) error {
	tx, err := c.BeginTx(context.WithoutCancel(ctx), nil) // otherwise the end of ctx would close the connection, which is still needed
	if err != nil {
		return err
	}
	if err := f(func(q string, args ...any) error { _, err := tx.ExecContext(ctx, q, args...); return err }); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// withConn calls f with the connection of the driver, which Arrow needs.
func withConn(c *sql.Conn, f func(driver.Conn) error) error {
	return c.Raw(func(x any) error { return f(x.(driver.Conn)) })
}

func exec(ctx context.Context, c driver.Conn, q string) error {
	_, err := c.(driver.ExecerContext).ExecContext(ctx, q, nil)
	return err
}
