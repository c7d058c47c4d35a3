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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
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

// sink is one table: builders that collect rows, batches on their way, and the one statement that inserts them.
type sink struct {
	name    string
	typ     reflect.Type
	schema  *arrow.Schema
	fields  []int // struct field of each column
	puts    []func(array.Builder, reflect.Value)
	builder *array.RecordBuilder
	reader  *refill
	release func()
	insert  driver.Stmt
}

// refill is a RecordReader that DuckDB scans again for each INSERT: it hands out what was queued and then ends. Registering
// a new view for each batch instead would leak 13 KB a call (measured; docs/storage.md).
type refill struct {
	refs   atomic.Int64
	schema *arrow.Schema
	queue  []arrow.RecordBatch
	cur    arrow.RecordBatch
}

func (r *refill) Retain()               { r.refs.Add(1) }
func (r *refill) Release()              { r.refs.Add(-1) }
func (r *refill) Schema() *arrow.Schema { return r.schema }
func (r *refill) Err() error            { return nil }
func (r *refill) Record() arrow.RecordBatch {
	return r.cur
}
func (r *refill) RecordBatch() arrow.RecordBatch { return r.cur }
func (r *refill) Next() bool {
	if r.cur != nil {
		r.cur.Release()
		r.cur = nil
	}
	if len(r.queue) == 0 {
		return false
	}
	r.cur, r.queue = r.queue[0], r.queue[1:]
	return true
}
func (r *refill) drop() {
	for r.Next() {
	}
}

// NewRecorder prepares to record. It checks that every Row names columns its table has: a mismatch is a defect of wb and
// says so, such as "record Turn.FirstNs: table raw.turn has no column first_ns". bufferRows ≤ 0 means DefaultBufferRows;
// full, if not nil, is called when the buffer ran full and Add had to wait for the disk.
func (d *DB) NewRecorder(ctx context.Context, bufferRows int, full func()) (*Recorder, error) {
	if err := ctx.Err(); err != nil {
		return nil, explain("record", d.path, err)
	}
	ctx = context.WithoutCancel(ctx) // half prepared, the connection would have another database
	if bufferRows <= 0 {
		bufferRows = DefaultBufferRows
	}
	r := &Recorder{db: d, limit: bufferRows, full: full, byName: map[string]*sink{}, messages: map[string]Message{}, stored: map[string]bool{}}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, explain("record", d.path, err)
	}
	r.conn = conn
	if r.catalog, err = currentDatabase(ctx, conn); err != nil {
		return nil, errors.Join(explain("record", d.path, err), conn.Close())
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
		if err := exec(ctx, dc, "USE "+sqlName(r.catalog)); err != nil {
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
		return nil, errors.Join(explain("record", d.path, err), r.Close())
	}
	return r, nil
}

// remember reads which messages the file has, unless they are many: asking for a few at each flush takes a millisecond.
func (r *Recorder) remember(ctx context.Context) error {
	var n int
	if err := r.conn.QueryRowContext(ctx, "SELECT count(*) FROM raw.message").Scan(&n); err != nil || n > rememberedMessages/4 {
		return err
	}
	r.whole = true
	return r.messagesOf(ctx, r.stored, "SELECT sha256, bool_or(content IS NOT NULL) FROM raw.message GROUP BY sha256")
}

// messagesOf reads hashes, and whether their texts are there.
func (r *Recorder) messagesOf(ctx context.Context, into map[string]bool, q string, args ...any) error {
	rows, err := r.conn.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h string
		var text bool
		if err := rows.Scan(&h, &text); err != nil {
			return err
		}
		into[h] = text
	}
	return rows.Err()
}

// newSink reads the Arrow schema of a table from DuckDB itself and maps the row's fields onto it.
func newSink(ctx context.Context, a *duckdb.Arrow, row Row) (*sink, error) {
	rd, err := a.QueryContext(ctx, "SELECT * FROM raw."+row.table()+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	schema := rd.Schema()
	rd.Release()
	typ := reflect.TypeOf(row)
	fieldOf := map[string]int{}
	for i := range typ.NumField() {
		column := typ.Field(i).Tag.Get("db")
		if len(schema.FieldIndices(column)) == 0 {
			return nil, fmt.Errorf("%s.%s: table raw.%s has no column %s", typ.Name(), typ.Field(i).Name, row.table(), column)
		}
		fieldOf[column] = i
	}
	s := &sink{name: row.table(), typ: typ, schema: schema}
	for _, f := range schema.Fields() {
		i, ok := fieldOf[f.Name]
		if !ok {
			return nil, fmt.Errorf("%s: no field for column %s of table raw.%s", typ.Name(), f.Name, row.table())
		}
		put, err := putter(f.Type, typ.Field(i).Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", typ.Name(), typ.Field(i).Name, err)
		}
		s.fields = append(s.fields, i)
		s.puts = append(s.puts, put)
	}
	s.builder = array.NewRecordBuilder(memory.DefaultAllocator, schema)
	s.reader = &refill{schema: schema}
	return s, nil
}

// putter appends one Go value to a column of one Arrow type.
func putter(col arrow.DataType, field reflect.Type) (func(array.Builder, reflect.Value), error) {
	if field.Kind() == reflect.Pointer {
		put, err := putter(col, field.Elem())
		if err != nil {
			return nil, err
		}
		return func(b array.Builder, v reflect.Value) {
			if v.IsNil() {
				b.AppendNull()
				return
			}
			put(b, v.Elem())
		}, nil
	}
	mismatch := fmt.Errorf("cannot store a %s in a column of Arrow type %s", field, col)
	switch field {
	case reflect.TypeFor[uuid.UUID]():
		if t, ok := col.(*arrow.FixedSizeBinaryType); !ok || t.ByteWidth != 16 {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			id := v.Interface().(uuid.UUID)
			b.(*array.FixedSizeBinaryBuilder).Append(id[:])
		}, nil
	case reflect.TypeFor[[]int32]():
		if l, ok := col.(*arrow.ListType); !ok || l.Elem().ID() != arrow.INT32 {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int32Builder).AppendValues(v.Interface().([]int32), nil)
		}, nil
	case reflect.TypeFor[time.Time]():
		if t, ok := col.(*arrow.TimestampType); !ok || t.Unit != arrow.Microsecond {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(v.Interface().(time.Time).UnixMicro()))
		}, nil
	}
	switch kind, id := field.Kind(), col.ID(); {
	case kind == reflect.String && id == arrow.STRING:
		return func(b array.Builder, v reflect.Value) { b.(*array.StringBuilder).Append(v.String()) }, nil
	case kind == reflect.Int64 && id == arrow.INT64:
		return func(b array.Builder, v reflect.Value) { b.(*array.Int64Builder).Append(v.Int()) }, nil
	case kind == reflect.Int32 && id == arrow.INT32:
		return func(b array.Builder, v reflect.Value) { b.(*array.Int32Builder).Append(int32(v.Int())) }, nil
	case kind == reflect.Float64 && id == arrow.FLOAT64:
		return func(b array.Builder, v reflect.Value) { b.(*array.Float64Builder).Append(v.Float()) }, nil
	case kind == reflect.Bool && id == arrow.INT8: // a lossless BOOLEAN is Arrow's bool8
		return func(b array.Builder, v reflect.Value) {
			var x int8
			if v.Bool() {
				x = 1
			}
			b.(*array.Int8Builder).Append(x)
		}, nil
	}
	return nil, mismatch
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

func (s *sink) append(v reflect.Value) {
	for c, f := range s.fields {
		s.puts[c](s.builder.Field(c), v.Field(f))
	}
}

// Flush writes what is buffered in one transaction. After an error everything is still buffered, in order, and the next
// Flush tries again. It does not stop when ctx ends: of a commit that was interrupted nobody knows whether it happened, and what is tried again would be there twice.
// When the file is no longer at its path, the rows are written and there is an error all the same: who looks for them there does not find
// them.
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
	return explain("record", r.db.path, err)
}

// putBack places a batch that could not be written before the rows that came since.
func (s *sink) putBack(batch arrow.RecordBatch) {
	later := s.builder.NewRecordBatch()
	defer later.Release()
	for _, b := range []arrow.RecordBatch{batch, later} {
		for c := range b.Columns() {
			copyColumn(s.builder.Field(c), b.Column(c))
		}
	}
}

func copyColumn(to array.Builder, from arrow.Array) {
	for i := range from.Len() {
		if from.IsNull(i) {
			to.AppendNull()
			continue
		}
		switch f := from.(type) {
		case *array.String:
			to.(*array.StringBuilder).Append(f.Value(i))
		case *array.Int64:
			to.(*array.Int64Builder).Append(f.Value(i))
		case *array.Int32:
			to.(*array.Int32Builder).Append(f.Value(i))
		case *array.Int8:
			to.(*array.Int8Builder).Append(f.Value(i))
		case *array.Float64:
			to.(*array.Float64Builder).Append(f.Value(i))
		case *array.Timestamp:
			to.(*array.TimestampBuilder).Append(f.Value(i))
		case *array.FixedSizeBinary:
			to.(*array.FixedSizeBinaryBuilder).Append(f.Value(i))
		case *array.List:
			from, until := f.ValueOffsets(i)
			l := to.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int32Builder).AppendValues(f.ListValues().(*array.Int32).Int32Values()[from:until], nil)
		default:
			panic(fmt.Sprintf("store: copy column: no case for %T, though putter made one", from))
		}
	}
}

// moveMessages moves the waiting messages that the file lacks into the builder of raw.message. It is called with mu locked,
// and gives that up while it asks the file if others may add rows meanwhile.
func (r *Recorder) moveMessages(ctx context.Context, others bool) error {
	if len(r.stored) >= rememberedMessages { // before anything is asked about: the file knows them, unless a flush has just failed, after which a text may be there twice
		clear(r.stored)
		r.whole = false
	}
	todo := r.messages
	r.messages = map[string]Message{}
	var ask []string
	for h := range todo {
		if !r.whole && !r.stored[h] {
			ask = append(ask, h)
		}
	}
	has := map[string]bool{} // hash → its text is there too
	if len(ask) > 0 {
		if others {
			r.mu.Unlock()
		}
		err := r.messagesOf(ctx, has, "SELECT sha256, bool_or(content IS NOT NULL) FROM raw.message WHERE list_contains(string_split(?, ','), sha256) GROUP BY sha256", strings.Join(ask, ","))
		if others {
			r.mu.Lock()
		}
		if err != nil {
			for h, m := range todo { // the next flush tries again
				if _, newer := r.messages[h]; !newer {
					r.messages[h] = m
				}
			}
			return explain("record", r.db.path, err)
		}
	}
	s := r.byName[Message{}.table()]
	for h, m := range todo {
		text, there := r.stored[h]
		if !there {
			text, there = has[h]
		}
		if there && (text || m.Content == nil) {
			continue
		}
		r.stored[h] = m.Content != nil
		r.buffered++
		s.append(reflect.ValueOf(&m).Elem())
	}
	return nil
}

// Relieve folds the log into the file if it has grown long: DuckDB keeps in memory what only the log has. It takes about 0.2 s, so call it where nothing
// is being measured. Other transactions may keep it from being done; the next call tries again.
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
		_, _ = r.conn.ExecContext(ctx, "SET memory_limit = '"+keptMemory+"'") // it says so when it could not free as much, and has freed what it could
		_, err = r.conn.ExecContext(ctx, "SET memory_limit = '"+writeMemory+"'")
	}
	return explain("checkpoint", r.db.path, err)
}

// Path is the file's path.
func (r *Recorder) Path() string { return r.db.path }

// SessionEnd is how a session ended.
type SessionEnd struct {
	SessionID int32
	EndedNs   int64 // ns since run start
	Status    string
	// FirstCachedTokens are those of its first prompt that the server had cached; nil: not told.
	FirstCachedTokens *int64
}

// FinishSessions flushes and closes sessions of a run, with the errors of Flush.
func (r *Recorder) FinishSessions(ctx context.Context, id uuid.UUID, ends ...SessionEnd) error {
	if len(ends) == 0 {
		return r.Flush(ctx)
	}
	q := "UPDATE raw.session s SET ended_ns = x.ended_ns, status = x.status, first_cached_tokens = x.first_cached_tokens FROM (VALUES "
	args := []any{}
	for i, e := range ends {
		if i > 0 {
			q += ", "
		}
		q += "(?::INTEGER, ?::BIGINT, ?::VARCHAR, ?::BIGINT)"
		args = append(args, e.SessionID, e.EndedNs, e.Status, e.FirstCachedTokens)
	}
	q += ") AS x(session_id, ended_ns, status, first_cached_tokens) WHERE s.run_id = ?::UUID AND s.session_id = x.session_id"
	if err := r.update(ctx, q, append(args, id.String())...); err != nil {
		return err
	}
	return r.db.Present()
}

// finishRun takes a run's status, the reason ("" for none), its end and its id.
const finishRun = "UPDATE raw.run SET status = $1, error = nullif($2, ''), ended_at = $3, changed_at = $3 WHERE run_id = $4::UUID"

// FinishRun flushes and closes a run with its status ("ok", "failed", "interrupted") and the reason, "" for none.
func (r *Recorder) FinishRun(ctx context.Context, id uuid.UUID, status, reason string, ended time.Time) error {
	return r.update(ctx, finishRun, status, reason, ended.UTC(), id.String())
}

// update flushes, so that the row is there, and changes it.
func (r *Recorder) update(ctx context.Context, q string, args ...any) error {
	if err := r.flush(ctx); err != nil { // a file that was moved away is closed in good order
		return err
	}
	r.flushing.Lock()
	defer r.flushing.Unlock()
	_, err := r.conn.ExecContext(ctx, q, args...)
	return explain("record", r.db.path, err)
}

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
	errs = append(errs, withConn(r.conn, func(dc driver.Conn) error { // the connection goes back into the pool: to its own database, whatever happened
		return exec(context.Background(), dc, "USE "+sqlName(r.catalog)+"; DETACH DATABASE IF EXISTS _stage")
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
		return explain("close", r.db.path, err)
	}
	return nil
}
