//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"github.com/duckdb/duckdb-go/v2"

	wbsql "wb/sql"
)

// Recorder collects rows in memory, and Flush writes them to the file as Arrow record batches.
// Several goroutines may use it at once. Rows that were flushed are committed, so a crash afterwards loses none of them.
// A crash during a flush loses either the whole flush or nothing.
type Recorder struct {
	db    *DB
	limit int
	full  func() // called each time the buffer ran full, without locks held

	mu       sync.Mutex // guards builders, buffered, messages
	buffered int
	tables   []*sink
	byName   map[string]*sink
	messages map[string]Message
	closed   bool

	flushing sync.Mutex // one flush at a time
	conn     *sql.Conn
	catalog  string
	memory   *mallocator.Mallocator // of the batches: see docs/design/storage.md

	stored    map[string]bool // hash of a message known to be in the file → whether its text is there too
	storedAll bool            // stored has all messages of the file, so the file need not be asked
}

// DefaultBufferRows is how many rows a Recorder holds before Add flushes: about 30 MB of the widest table.
const DefaultBufferRows = 1 << 17

const (
	rememberedMessages = 1 << 16  // about 8 MB
	relieveAt          = 32 << 20 // bytes of log; a checkpoint of 16 MB took 75 to 120 ms when it was measured
	// DuckDB keeps what it has written in memory, up to its limit, to read it faster. A run does not read.
	// So Relieve lowers the limit to this for a moment, and DuckDB frees the rest.
	keptMemory = "16MB"
)

// NewRecorder makes a recorder for the file. It checks that the fields of every Row match the columns of its table.
// A mismatch is a defect of wb, with an error such as "record Turn.FirstNs: table raw.turn has no column first_ns".
// bufferRows ≤ 0 means DefaultBufferRows. full may be nil; it is called when the buffer ran full and Add had to wait for the disk.
func (d *DB) NewRecorder(ctx context.Context, bufferRows int, full func()) (*Recorder, error) {
	if err := ctx.Err(); err != nil {
		return nil, Explain("record", d.path, err)
	}
	ctx = context.WithoutCancel(ctx) // if this stopped half-way, the connection would be left in another database
	if bufferRows <= 0 {
		bufferRows = DefaultBufferRows
	}
	r := &Recorder{db: d, limit: bufferRows, full: full, byName: map[string]*sink{}, messages: map[string]Message{}, stored: map[string]bool{},
		memory: mallocator.NewMallocator()}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, Explain("record", d.path, err)
	}
	r.conn = conn
	if r.catalog, err = CurrentDatabase(ctx, conn); err != nil {
		return nil, errors.Join(Explain("record", d.path, err), conn.Close())
	}
	columns, err := RawColumns(ctx, conn, r.catalog)
	if err != nil {
		return nil, errors.Join(Explain("record", d.path, err), conn.Close())
	}
	err = withConn(conn, func(dc driver.Conn) error {
		arrowConn, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		// UUIDs are passed as 16 bytes. As text they would be parsed again for every row.
		// The views that feed the inserts hold raw pointers, and stay in the database in which they are made.
		// So they are made in a database in memory.
		for _, q := range []string{"SET arrow_lossless_conversion = true", "ATTACH ':memory:' AS _stage"} {
			if err := exec(ctx, dc, q); err != nil {
				return err
			}
		}
		for _, row := range rowTypes() {
			s, err := newSink(columns[row.table()], row, r.memory)
			if err != nil {
				return err
			}
			r.tables = append(r.tables, s)
			r.byName[s.name] = s
		}
		if err := exec(ctx, dc, "USE _stage"); err != nil {
			return err
		}
		for _, s := range r.tables {
			if s.release, err = arrowConn.RegisterView(s.reader, "in_"+s.name); err != nil {
				return err
			}
		}
		if err := exec(ctx, dc, "USE "+wbsql.Name(r.catalog)); err != nil {
			return err
		}
		for _, s := range r.tables {
			q := fmt.Sprintf("INSERT INTO raw.%s BY NAME SELECT * FROM _stage.main.in_%s", s.name, s.name)
			insert, err := dc.(driver.ConnPrepareContext).PrepareContext(ctx, q)
			if err != nil { // insert is then a nil of the driver's type, which is not equal to nil
				return err
			}
			s.insert = insert
		}
		return nil
	})
	if err == nil {
		err = r.remember(ctx)
	}
	if err != nil {
		return nil, errors.Join(Explain("record", d.path, err), r.Close())
	}
	return r, nil
}

// ErrClosed is returned for rows that are added after Close.
var ErrClosed = errors.New("record: the recorder is closed")

// Together is a group of rows that become visible at once: after a crash either all of them are there or none. The zero value is empty.
type Together struct {
	parts    []part
	messages []Message
	rows     int
}

// part is the rows of one table.
type part struct {
	table string
	add   func(*sink)
}

// Put adds rows to a group. The caller must not change them until they are recorded.
func Put[T Row](t *Together, rows ...T) {
	if len(rows) == 0 {
		return
	}
	t.rows += len(rows)
	t.parts = append(t.parts, part{rows[0].table(), func(s *sink) {
		s.builder.Reserve(len(rows))
		for i := range rows {
			s.append(reflect.ValueOf(&rows[i]).Elem())
		}
	}})
}

// PutMessages adds messages. A message that the file has already is not stored again.
func (t *Together) PutMessages(ms ...Message) { t.messages = append(t.messages, ms...) }

// Add buffers rows. It uses neither disk nor network unless the buffer is full; then it flushes first.
func Add[T Row](ctx context.Context, r *Recorder, rows ...T) error {
	if len(rows) == 0 {
		return nil
	}
	var t Together
	Put(&t, rows...)
	return r.AddTogether(ctx, &t)
}

// AddTogether buffers a group of rows, as Add does. One flush writes all of them.
func (r *Recorder) AddTogether(ctx context.Context, t *Together) error {
	r.mu.Lock()
	over := r.buffered+t.rows > r.limit && r.buffered > 0
	r.mu.Unlock()
	if over {
		if err := r.Flush(ctx); err != nil {
			return err
		}
		if r.full != nil {
			r.full()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	for _, m := range t.messages {
		r.messages[m.SHA256] = m
	}
	r.buffered += t.rows
	for _, p := range t.parts {
		p.add(r.byName[p.table])
	}
	return nil
}

// Flush writes what is buffered in one transaction. After an error everything is still buffered, in order, and the next Flush tries again.
// Flush does not stop when ctx ends: nobody would know whether an interrupted commit happened, and trying again could write rows twice.
// When the file is no longer at its path, Flush writes the rows and still returns an error, because nobody will find them at that path.
func (r *Recorder) Flush(ctx context.Context) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.db.Present()
}

func (r *Recorder) flush(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	r.flushing.Lock()
	defer r.flushing.Unlock()
	type pending struct {
		s     *sink
		batch arrow.RecordBatch
	}
	var todo []pending
	r.mu.Lock()
	// More messages may come while the file is asked about some. No turn is written without its messages.
	for first := true; len(r.messages) > 0; first = false {
		if err := r.moveMessages(ctx, first); err != nil {
			r.mu.Unlock()
			return err
		}
	}
	for _, s := range r.tables {
		if s.builder.Field(0).Len() > 0 {
			todo = append(todo, pending{s, s.builder.NewRecordBatch()})
		}
	}
	counted := r.buffered
	r.buffered = 0
	r.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	err := withConn(r.conn, func(dc driver.Conn) (err error) {
		if err := exec(ctx, dc, "BEGIN"); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = exec(ctx, dc, "ROLLBACK")
			}
		}()
		for _, p := range todo {
			p.batch.Retain()
			p.s.reader.queue = append(p.s.reader.queue, p.batch)
			res, err := p.s.insert.(driver.StmtExecContext).ExecContext(ctx, nil)
			p.s.reader.drop()
			if err != nil {
				return fmt.Errorf("raw.%s: %w", p.s.name, err)
			}
			n, err := res.RowsAffected()
			if err != nil {
				return fmt.Errorf("raw.%s: %w", p.s.name, err)
			}
			if n != p.batch.NumRows() {
				return fmt.Errorf("raw.%s: %d of %d rows arrived", p.s.name, n, p.batch.NumRows())
			}
		}
		return exec(ctx, dc, "COMMIT")
	})
	if err != nil {
		r.mu.Lock()
		r.buffered += counted
		for _, p := range todo {
			p.s.putBack(p.batch)
		}
		r.mu.Unlock()
	}
	for _, p := range todo {
		p.batch.Release()
	}
	return Explain("record", r.db.path, err)
}

// Relieve moves the log into the file if the log has grown long, because DuckDB keeps in memory what only the log has.
// It takes about 0.2 s, so call it when nothing is being measured.
// Other transactions may prevent it. That is not an error, and the next call tries again.
func (r *Recorder) Relieve(ctx context.Context) error {
	if st, err := os.Stat(r.db.path + ".wal"); err != nil || st.Size() < relieveAt {
		return nil
	}
	r.flushing.Lock()
	defer r.flushing.Unlock()
	_, err := r.conn.ExecContext(ctx, "CHECKPOINT")
	if e := (*duckdb.Error)(nil); errors.As(err, &e) && e.Type == duckdb.ErrorTypeTransaction {
		return nil
	}
	if err == nil {
		// this fails when DuckDB cannot free that much, but then it has freed what it could
		_, _ = r.conn.ExecContext(ctx, "SET memory_limit = '"+keptMemory+"'")
		_, err = r.conn.ExecContext(ctx, "SET memory_limit = '"+writeMemory+"'")
	}
	return Explain("checkpoint", r.db.path, err)
}

// Path returns the path of the file.
func (r *Recorder) Path() string { return r.db.path }

// Close frees what the recorder holds. It does not flush. DuckDB needs this order: statements, views, connection.
// If a statement were left open, opening the file again would hang.
func (r *Recorder) Close() error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	var errs []error
	for _, s := range r.tables {
		if s.insert != nil {
			errs = append(errs, s.insert.Close())
		}
	}
	// The views are dropped with their database, before the memory that they point to is freed.
	// The connection goes back into the pool, so it must use the database of the file again, whatever happened.
	errs = append(errs, withConn(r.conn, func(dc driver.Conn) error {
		return exec(context.Background(), dc, "USE "+wbsql.Name(r.catalog)+"; DETACH DATABASE IF EXISTS _stage")
	}))
	for _, s := range r.tables {
		if s.release != nil {
			s.reader.drop()
			s.release()
		}
		if s.builder != nil {
			s.builder.Release()
		}
	}
	r.tables = nil
	errs = append(errs, r.conn.Close())
	if err := errors.Join(errs...); err != nil {
		return Explain("close", r.db.path, err)
	}
	return nil
}
