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
	"github.com/duckdb/duckdb-go/v2"

	wbsql "wb/sql"
)

// Recorder takes rows in memory and writes them to the file as Arrow record batches when asked to flush. It is safe for
// several goroutines. Rows that were flushed are committed: a crash after that loses none of them, and one during a flush
// loses the whole flush or nothing.
type Recorder struct {
	db    *DB
	limit int
	full  func() // called once a time the buffer ran full, outside locks

	mu       sync.Mutex // guards builders, buffered, messages
	buffered int
	tables   []*sink
	byName   map[string]*sink
	messages map[string]Message
	closed   bool

	flushing sync.Mutex // one flush at a time
	conn     *sql.Conn
	catalog  string
	stored   map[string]bool // messages known to be in the file → with their texts
	whole    bool            // these are all that the file has, so that it need not be asked
}

// DefaultBufferRows is how many rows a Recorder holds before Add flushes by itself: about 30 MB of the widest table.
const DefaultBufferRows = 1 << 17

const (
	rememberedMessages = 1 << 16  // about 8 MB
	relieveAt          = 32 << 20 // bytes of log; a checkpoint of 16 MB was measured at 75 to 120 ms
	// What DuckDB has written it keeps in memory for reading, as far as it may, and a run does not read: of that so much stays.
	keptMemory = "16MB"
)

// NewRecorder prepares to record. It checks that every Row names columns its table has: a mismatch is a defect of wb and
// says so, such as "record Turn.FirstNs: table raw.turn has no column first_ns". bufferRows ≤ 0 means DefaultBufferRows;
// full, if not nil, is called when the buffer ran full and Add had to wait for the disk.
func (d *DB) NewRecorder(ctx context.Context, bufferRows int, full func()) (*Recorder, error) {
	if err := ctx.Err(); err != nil {
		return nil, Explain("record", d.path, err)
	}
	ctx = context.WithoutCancel(ctx) // half prepared, the connection would have another database
	if bufferRows <= 0 {
		bufferRows = DefaultBufferRows
	}
	r := &Recorder{db: d, limit: bufferRows, full: full, byName: map[string]*sink{}, messages: map[string]Message{}, stored: map[string]bool{}}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, Explain("record", d.path, err)
	}
	r.conn = conn
	if r.catalog, err = CurrentDatabase(ctx, conn); err != nil {
		return nil, errors.Join(Explain("record", d.path, err), conn.Close())
	}
	err = withConn(conn, func(dc driver.Conn) error {
		arrowConn, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		// UUIDs travel as 16 bytes, not as text, which would be parsed again for every row. The views that feed the inserts
		// hold raw pointers and are permanent in the database they are made in, hence a database in memory.
		for _, q := range []string{"SET arrow_lossless_conversion = true", "ATTACH ':memory:' AS _stage"} {
			if err := exec(ctx, dc, q); err != nil {
				return err
			}
		}
		for _, row := range rowTypes() {
			s, err := newSink(ctx, arrowConn, row)
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
			if err != nil { // with which the driver gives a nil of its own type
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

// ErrClosed is returned for rows that come after the end.
var ErrClosed = errors.New("record: the recorder is closed")

// Together is rows that become visible at once: a crash leaves all of them or none. The zero value has none.
type Together struct {
	parts    []part
	messages []Message
	rows     int
}

// part is rows of one table.
type part struct {
	table string
	add   func(*sink)
}

// Put adds rows, which stay as they are until they are recorded.
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

// PutMessages adds texts; one that the file has already is not stored again.
func (t *Together) PutMessages(ms ...Message) { t.messages = append(t.messages, ms...) }

// Add buffers rows; it touches neither disk nor network unless the buffer is full, and then it flushes first.
func Add[T Row](ctx context.Context, r *Recorder, rows ...T) error {
	if len(rows) == 0 {
		return nil
	}
	var t Together
	Put(&t, rows...)
	return r.AddTogether(ctx, &t)
}

// AddTogether buffers rows that belong together, as Add does: no flush divides them.
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

// Flush writes what is buffered in one transaction. After an error everything is still buffered, in order, and the next
// Flush tries again. It does not stop when ctx ends: of a commit that was interrupted nobody knows whether it happened, and what is tried
// again would be there twice. When the file is no longer at its path, the rows are written and there is an error all the same: who looks
// for them there does not find them.
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
	for first := true; len(r.messages) > 0; first = false { // more may come while the file is asked about some; turns do not go without theirs
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

// Relieve folds the log into the file if it has grown long: DuckDB keeps in memory what only the log has. It takes about 0.2 s, so call
// it where nothing is being measured. Other transactions may keep it from being done; the next call tries again.
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
		// it says so when it could not free as much, and has freed what it could
		_, _ = r.conn.ExecContext(ctx, "SET memory_limit = '"+keptMemory+"'")
		_, err = r.conn.ExecContext(ctx, "SET memory_limit = '"+writeMemory+"'")
	}
	return Explain("checkpoint", r.db.path, err)
}

// Path is the file's path.
func (r *Recorder) Path() string { return r.db.path }

// Close frees what the recorder holds, without flushing. DuckDB insists on the order: statements, views, connection; a
// statement left open would make the next open of the file hang.
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
	// the views go with their database, before the memory they point to
	// the connection goes back into the pool: to its own database, whatever happened
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
