//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
)

func tempDB(t testing.TB) *DB {
	t.Helper()
	d, err := Open(context.Background(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func recorder(t testing.TB, d *DB) *Recorder {
	t.Helper()
	r, err := d.NewRecorder(context.Background(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func one[T any](t testing.TB, d *DB, q string) T {
	t.Helper()
	var v T
	if err := d.SQL().QueryRow(q).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

// lines gives the only column of a query's rows.
func lines(t testing.TB, d *DB, q string) (out []string) {
	t.Helper()
	rows, err := d.db.Query(q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDuckDBVersion(t *testing.T) {
	if got := one[string](t, tempDB(t), "SELECT version()"); got != DuckDBVersion() {
		t.Errorf("engine is %s, DuckDBVersion says %s", got, DuckDBVersion())
	}
}

func sampleTurn(run uuid.UUID, i int) Turn {
	return Turn{RunID: run, TurnID: int32(i), SessionID: 1, Turn: int32(i), Status: "ok", SubmitNs: int64(i) * 1000, WrittenNs: new(int64(i)*1000 + 1), DoneNs: int64(i)*1000 + 9,
		FinishReason: new("stop"), PromptTokens: new(int64(100 + i)), CompletionTokens: new(int64(5)), ConnectionReused: new(i%2 == 0), PromptSHA256: "x"}
}

// Every row type goes through Arrow and comes back as it was, NULLs included.
func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r := recorder(t, d)
	run := uuid.New()
	started := time.Date(2026, 3, 4, 5, 6, 7, 891_000, time.UTC)
	for _, err := range []error{
		Add(ctx, r, Run{RunID: run, Name: "näme 'x'", Status: "running", StartedAt: started, Simulated: true, Seed: -7, PID: 1}),
		Add(ctx, r, Session{RunID: run, SessionID: 1, Conversation: "c", Status: "ok"}),
		Add(ctx, r, sampleTurn(run, 1), sampleTurn(run, 2)),
		Add(ctx, r, Chunk{RunID: run, TurnID: 1, Seq: 1, TNs: 5, Kind: "content", Tokens: new(int32(3))}, Chunk{RunID: run, TurnID: 1, Seq: 2, TNs: 9, Kind: "role"}),
		r.Flush(ctx),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var id, name string
	var at time.Time
	var ended sql.NullTime
	var simulated bool
	var seed int64
	if err := d.SQL().QueryRow("SELECT run_id::VARCHAR, name, started_at, ended_at, simulated, seed FROM raw.run").Scan(&id, &name, &at, &ended, &simulated, &seed); err != nil {
		t.Fatal(err)
	}
	if id != run.String() || name != "näme 'x'" || !at.Equal(started) || ended.Valid || !simulated || seed != -7 {
		t.Errorf("run came back as %s %q %v %v %v %d", id, name, at, ended, simulated, seed)
	}
	if got := one[string](t, d, "SELECT string_agg(coalesce(tokens::VARCHAR, 'NULL'), ' ' ORDER BY seq) FROM raw.chunk"); got != "3 NULL" {
		t.Errorf("tokens came back as %q", got)
	}
	if got := one[string](t, d, "SELECT string_agg(connection_reused::VARCHAR, ' ' ORDER BY turn_id) FROM raw.turn"); got != "false true" {
		t.Errorf("connection_reused came back as %q", got)
	}
	// nothing of the inserting is left in the user's file
	if n := one[int](t, d, "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'in\\_%' ESCAPE '\\' AND database_name <> '_stage'"); n != 0 {
		t.Errorf("%d Arrow views lie in the user's file", n)
	}
}

func addMessages(t *testing.T, r *Recorder, ms ...Message) {
	t.Helper()
	var x Together
	x.PutMessages(ms...)
	if err := r.AddTogether(context.Background(), &x); err != nil {
		t.Fatal(err)
	}
}

// A message is stored once, and its text is added when it was stored without.
func TestMessagesOnce(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	count := func() (n int, texts int) {
		return one[int](t, d, "SELECT count(*) FROM raw.message"), one[int](t, d, "SELECT count(content) FROM messages")
	}
	for i, step := range []struct {
		m           Message
		rows, texts int
	}{
		{Message{SHA256: "a", Role: "user"}, 1, 0},
		{Message{SHA256: "a", Role: "user"}, 1, 0},
		{Message{SHA256: "a", Role: "user", Content: new("hi")}, 2, 1},
		{Message{SHA256: "a", Role: "user", Content: new("hi")}, 2, 1},
		{Message{SHA256: "a", Role: "user"}, 2, 1},
		{Message{SHA256: "b", Role: "user", Content: new("ho")}, 3, 2},
	} {
		r, err := d.NewRecorder(ctx, 0, nil) // each step as another run would see it
		if err != nil {
			t.Fatal(err)
		}
		addMessages(t, r, step.m, step.m)
		if err := errors.Join(r.Flush(ctx), r.Flush(ctx), r.Close()); err != nil {
			t.Fatal(err)
		}
		if rows, texts := count(); rows != step.rows || texts != step.texts {
			t.Errorf("step %d: %d rows with %d texts, want %d and %d", i, rows, texts, step.rows, step.texts)
		}
	}
}

// A full buffer is written and told of; no row is dropped. Several goroutines add at once.
func TestBackPressure(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	fulls := 0
	var mu sync.Mutex
	r, err := d.NewRecorder(ctx, 100, func() { mu.Lock(); fulls++; mu.Unlock() })
	if err != nil {
		t.Fatal(err)
	}
	run := uuid.New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 250 {
				if err := Add(ctx, r, Chunk{RunID: run, TurnID: int32(g), Seq: int32(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(r.Flush(ctx), r.Close()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, d, "SELECT count(*) FROM (SELECT DISTINCT turn_id, seq FROM raw.chunk)"); n != 1000 {
		t.Errorf("%d of 1000 rows arrived", n)
	}
	if fulls < 5 {
		t.Errorf("the buffer of 100 ran full %d times for 1000 rows", fulls)
	}
}

// Rows that belong together are there together, whenever somebody looks, whatever flushes come between.
func TestTogether(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r, err := d.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.whole = false // so that each flush asks the file which messages it has, and lets others add meanwhile
	run := uuid.New()
	var adding sync.WaitGroup
	for g := range 3 {
		adding.Go(func() {
			for i := range 60 {
				id := int32(g*1000 + i)
				h := fmt.Sprint("h", id)
				var x Together
				x.PutMessages(Message{SHA256: h, Role: "user", Content: new("text")})
				Put(&x, TurnMessage{RunID: run, TurnID: id, Position: 1, SHA256: h})
				for seq := range 5 {
					Put(&x, Chunk{RunID: run, TurnID: id, Seq: int32(seq)})
				}
				if err := r.AddTogether(ctx, &x); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { adding.Wait(); close(ended) }()
	torn := func() int {
		return one[int](t, d, `SELECT count(*) FROM raw.turn_message m WHERE NOT EXISTS (FROM raw.message x WHERE x.sha256 = m.sha256)
			OR (SELECT count(*) FROM raw.chunk c WHERE c.run_id = m.run_id AND c.turn_id = m.turn_id) <> 5`)
	}
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		if err := r.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if n := torn(); n != 0 {
			t.Fatalf("%d turns are there in part", n)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, d, "SELECT count(*) FROM raw.chunk"); n != 900 {
		t.Errorf("%d of 900 chunks", n)
	}
}

// When a flush fails, everything stays buffered and the next flush writes it, in order, once.
func TestFlushFailureKeepsRows(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r := recorder(t, d)
	run := uuid.New()
	add := func(from, to int) {
		for i := from; i < to; i++ {
			if err := errors.Join(Add(ctx, r, sampleTurn(run, i)), Add(ctx, r, Chunk{RunID: run, TurnID: int32(i), Kind: "x", Tokens: new(int32(1))})); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(0, 3)
	rename := func(from, to string) {
		if _, err := d.SQL().Exec("ALTER TABLE raw." + from + " RENAME TO " + to); err != nil {
			t.Fatal(err)
		}
	}
	rename("chunk", "away")
	if err := r.Flush(ctx); err == nil {
		t.Fatal("a flush without its table went through")
	}
	rename("away", "chunk")
	add(3, 5)
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(turn_id::VARCHAR || ':' || prompt_tokens, ' ' ORDER BY rowid) FROM raw.turn"); got != "0:100 1:101 2:102 3:103 4:104" {
		t.Errorf("turns are %q", got)
	}
	if n := one[int](t, d, "SELECT count(*) FROM raw.chunk"); n != 5 {
		t.Errorf("%d chunks, want 5", n)
	}
}

type wrongColumn struct {
	RunID  uuid.UUID `db:"run_id"`
	Absent int64     `db:"absent_ns"`
}

func (wrongColumn) table() string { return "turn" }

// A struct that does not fit its table is refused when the recorder opens, and the message says where.
func TestRowMustFitTable(t *testing.T) {
	d := tempDB(t)
	conn, err := d.SQL().Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = withConn(conn, func(dc driver.Conn) error {
		a, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		_, err = newSink(context.Background(), a, wrongColumn{})
		return err
	})
	if err == nil || err.Error() != "wrongColumn.Absent: table raw.turn has no column absent_ns" {
		t.Errorf("got %v", err)
	}
}

// The one statement that docs/storage.md allows over an Arrow view is right; this pins that others are not, so that nobody
// "simplifies" the inserts. When it fails, DuckDB or the driver has been mended and the rule can be looked at again.
func TestArrowViewsAreOnlyForSelectStar(t *testing.T) {
	ctx := context.Background()
	c, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	db := sql.OpenDB(c)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.PrimitiveTypes.Int64}}, nil)
	bld := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer bld.Release()
	rd := &refill{schema: schema}
	push := func() {
		for i := range int64(10) {
			bld.Field(0).(*array.Int64Builder).Append(i)
			bld.Field(1).(*array.Int64Builder).Append(1000 + i)
		}
		rd.queue = append(rd.queue, bld.NewRecordBatch())
	}
	err = withConn(conn, func(dc driver.Conn) error {
		a, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		release, err := a.RegisterView(rd, "v")
		if err != nil {
			return err
		}
		t.Cleanup(release)
		return exec(ctx, dc, "CREATE TABLE t (a BIGINT, b BIGINT)")
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := func(q string) (n int64) {
		push()
		if err := conn.QueryRowContext(ctx, q).Scan(&n); err != nil {
			t.Fatal(err)
		}
		rd.drop()
		return n
	}
	push()
	if _, err := conn.ExecContext(ctx, "INSERT INTO t BY NAME SELECT * FROM v"); err != nil {
		t.Fatal(err)
	}
	var a, b int64
	if err := conn.QueryRowContext(ctx, "SELECT sum(a)::BIGINT, sum(b)::BIGINT FROM t").Scan(&a, &b); err != nil || a != 45 || b != 10045 {
		t.Errorf("INSERT … SELECT * gave sums %d and %d (%v), want 45 and 10045", a, b, err)
	}
	if got := sum("SELECT sum(b)::BIGINT FROM v"); got == 10045 {
		t.Errorf("a projection over an Arrow view is right now (%d): the rule in docs/storage.md may be lifted", got)
	}
}

// New files have small blocks: each column that is appended to has its last one in memory.
func TestBlockSize(t *testing.T) {
	d, err := Open(context.Background(), filepath.Join(t.TempDir(), "new.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	var size string
	if err := d.SQL().QueryRow("SELECT block_size FROM pragma_database_size()").Scan(&size); err != nil || size != blockSize {
		t.Errorf("blocks of %s bytes, want %s (%v)", size, blockSize, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenProblems(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	newerPath := filepath.Join(dir, "newer.duckdb")
	d, err := Open(ctx, newerPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SQL().Exec("INSERT INTO raw.migration VALUES (9999, 'x', 'y', now())"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, c := range []struct {
		path string
		want error
		text string
	}{
		{write("empty", ""), ErrNotDuckDB, "it is empty"},
		{write("text", "not a database at all, but long enough"), ErrNotDuckDB, "not a DuckDB file"},
		{write("lite", "SQLite format 3\x00 and so on"), ErrNotDuckDB, "it is a SQLite file"},
		{dir, nil, "is a directory"},
		{filepath.Join(dir, "a?b.duckdb"), nil, "not a name DuckDB can use here"},
		{filepath.Join(dir, "raw.duckdb"), nil, "not a name DuckDB can use here"},
		{newerPath, ErrNewer, "written by a newer wb: its schema is number 9999"},
	} {
		for name, open := range map[string]func(context.Context, string) (*DB, error){"Open": Open, "OpenRead": OpenRead} {
			_, err := open(ctx, c.path)
			var se *Error
			if !errors.As(err, &se) || !strings.Contains(err.Error(), c.text) || (c.want != nil && !errors.Is(err, c.want)) || se.Hint() == "" {
				t.Errorf("%s(%s): %v", name, c.path, err)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%s(%s): more than one line: %v", name, c.path, err)
			}
		}
	}
	if _, err := OpenRead(ctx, filepath.Join(dir, "absent")); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := Open(ctx, filepath.Join(dir, "no", "such", "dir.duckdb")); err == nil || !strings.Contains(err.Error(), "is no directory") {
		t.Errorf("absent folder: %v", err)
	}
}

// What strangers' SQL may not do on a read connection.
func TestReadConnectionIsLocked(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, err := Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	r, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, q := range []string{"SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/other.duckdb'", "COPY raw.run TO '/tmp/wb-out.csv'", "INSTALL httpfs", "LOAD httpfs",
		"SET memory_limit = '8GB'", "RESET threads", "DROP TABLE raw.run", "INSERT INTO raw.run_tag VALUES (NULL, 'a', 'b')", "CREATE TABLE main.x (i INT)", "EXPORT DATABASE '/tmp/wb-out'"} {
		if _, err := r.SQL().ExecContext(ctx, q); err == nil {
			t.Errorf("%s went through", q)
		}
	}
	if _, err := r.SQL().ExecContext(ctx, "SET VARIABLE x = 1"); err != nil {
		t.Errorf("variables do not work: %v", err)
	}
}

// A file of an older wb is migrated when it is opened for reading, and views that changed are renewed.
func TestStaleFileIsRenewed(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, err := Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"UPDATE raw.migration SET sha256 = 'old' WHERE version = 0", "DROP VIEW messages"} {
		if _, err := d.SQL().Exec(q); err != nil && !strings.Contains(err.Error(), "depend") {
			t.Fatal(err)
		}
	}
	d.Close()
	r, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := one[int](t, r, "SELECT count(*) FROM messages"); n != 0 {
		t.Errorf("messages has %d rows", n)
	}
}

func TestDeadRunsAreFailed(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	d, r := recordingInto(t, p)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	gone := endedPID(t)
	self := ProcessStart(int64(os.Getpid()))
	old := self.Add(-time.Hour)
	for _, run := range []Run{
		{Name: "alive", PID: int64(os.Getpid()), ProcessStartedAt: self},
		{Name: "gone", PID: gone},
		{Name: "reused", PID: int64(os.Getpid()), ProcessStartedAt: &old},
	} {
		run.RunID, run.Status, run.Hostname, run.StartedAt = uuid.New(), "running", &host, time.Now()
		if err := Add(ctx, r, run); err != nil {
			t.Fatal(err)
		}
	}
	other := "another-machine"
	if err := errors.Join(Add(ctx, r, Run{RunID: uuid.New(), Name: "elsewhere", Status: "running", PID: gone, Hostname: &other, StartedAt: time.Now()}), r.Flush(ctx), r.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	rd, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if got := one[string](t, rd, "SELECT string_agg(name || ' ' || status, ', ' ORDER BY name) FROM raw.run"); got != "alive running, elsewhere running, gone failed, reused failed" {
		t.Errorf("runs are %q", got)
	}
}

// endedPID is the pid of a process that is no more.
func endedPID(t *testing.T) int64 {
	t.Helper()
	cmd := osexec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return int64(cmd.Process.Pid)
}

func TestDeleteRuns(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r := recorder(t, d)
	a, b := uuid.New(), uuid.New()
	for i, run := range []uuid.UUID{a, b} {
		own := fmt.Sprint("own", i)
		addMessages(t, r, Message{SHA256: own, Content: new("x")}, Message{SHA256: "shared", Content: new("x")})
		if err := errors.Join(Add(ctx, r, Run{RunID: run, Name: own, StartedAt: time.Now()}), Add(ctx, r, sampleTurn(run, 1)),
			Add(ctx, r, TurnMessage{run, 1, 1, own}, TurnMessage{run, 1, 2, "shared"})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.Flush(ctx), d.TagRun(ctx, a.String(), "k", "v"), d.TagRun(ctx, a.String(), "k", "w"), d.TagRun(ctx, b.String(), "k", "v"), d.TagRun(ctx, b.String(), "k", "")); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(key || value, ' ') FROM raw.run_tag"); got != "kw" {
		t.Errorf("tags are %q", got)
	}
	if err := d.DeleteRuns(ctx, []string{a.String()}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(sha256, ' ' ORDER BY sha256) FROM raw.message"); got != "own1 shared" {
		t.Errorf("messages left are %q", got)
	}
	if n := one[int](t, d, "SELECT (SELECT count(*) FROM raw.run) + (SELECT count(*) FROM raw.turn) + (SELECT count(*) FROM raw.run_tag)"); n != 2 {
		t.Errorf("%d rows left, want the other run and its turn", n)
	}
}

// A closed recorder and file leave nothing open: the path opens again at once.
func TestReopen(t *testing.T) {
	ctx := context.Background()
	p := filepath.Join(t.TempDir(), "a.duckdb")
	for range 3 {
		d, err := Open(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.NewRecorder(ctx, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(Add(ctx, r, sampleTurn(uuid.New(), 1)), r.Flush(ctx), r.Close(), d.Checkpoint(ctx), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if n := one[int](t, d, "SELECT count(*) FROM raw.turn"); n != 3 {
		t.Errorf("%d turns, want 3", n)
	}
}

func samples(n int) []HostSample {
	rng := rand.New(rand.NewPCG(1, 2))
	run := uuid.New()
	out := make([]HostSample, n)
	for i := range out {
		out[i] = HostSample{RunID: run, TNs: int64(i) * 1e8, CostNs: 1000 + rng.Int64N(500), CPURatio: new(rng.Float64()), CPUBusiestRatio: new(rng.Float64()), Load1: new(rng.Float64()),
			MemoryUsedBytes: new(rng.Int64N(1 << 34)), MemoryAvailableBytes: new(rng.Int64N(1 << 34)), SwapUsedBytes: new(int64(0)), DiskReadBytes: new(int64(i) * 4096),
			DiskWriteBytes: new(int64(i) * 8192), NetReceivedBytes: new(int64(i) * 100), NetSentBytes: new(int64(i) * 50)}
	}
	return out
}

// The recorder's whole path (rows in Go to committed rows) against DuckDB's own bulk insert, its appender, over the same
// rows in the same run. The ratio is what counts: machines are noisy.
func BenchmarkInsert(b *testing.B) {
	const n = 200_000
	rows := samples(n)
	ctx := context.Background()
	times := map[string]time.Duration{}
	measure := func(name string, insert func(d *DB, r *Recorder) error) {
		best := time.Duration(1 << 62)
		for range 5 {
			d := tempDB(b)
			r, err := d.NewRecorder(ctx, n+1, nil)
			if err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			t0 := time.Now()
			if err := insert(d, r); err != nil {
				b.Fatal(err)
			}
			best = min(best, time.Since(t0))
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
			if got := one[int](b, d, "SELECT count(*) FROM raw.host_sample"); got != n {
				b.Fatalf("%s: %d rows", name, got)
			}
		}
		times[name] = best
		b.ReportMetric(n/best.Seconds(), name+"_rows/s")
	}
	for range b.N {
		measure("arrow", func(_ *DB, r *Recorder) error { return errors.Join(Add(ctx, r, rows...), r.Flush(ctx)) })
		measure("appender", func(d *DB, _ *Recorder) error {
			conn, err := d.SQL().Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return withConn(conn, func(dc driver.Conn) error {
				a, err := duckdb.NewAppenderFromConn(dc, "raw", "host_sample")
				if err != nil {
					return err
				}
				for i := range rows {
					x := &rows[i]
					if err := a.AppendRow(duckdb.UUID(x.RunID), x.TNs, x.CostNs, x.LateNs, *x.CPURatio, *x.CPUBusiestRatio, *x.Load1, *x.MemoryUsedBytes, *x.MemoryAvailableBytes,
						*x.SwapUsedBytes, *x.DiskReadBytes, *x.DiskWriteBytes, *x.NetReceivedBytes, *x.NetSentBytes); err != nil {
						return err
					}
				}
				return a.Close()
			})
		})
	}
	b.ReportMetric(times["appender"].Seconds()/times["arrow"].Seconds(), "arrow/appender")
}

// Ctrl-C at any moment of preparing and writing: nothing is there twice, nothing is lost that a later flush had, and the file goes on to work.
func TestInterruptedRecording(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, filepath.Join(t.TempDir(), "x.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	soon := func(limit time.Duration) context.Context {
		c, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Duration(rng.Int64N(int64(limit))), cancel)
		return c
	}
	made := 0
	for i := range 60 {
		rec, err := db.NewRecorder(soon(30*time.Millisecond), 0, nil)
		if errors.Is(err, ErrInterrupted) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made++
		for j := range 10 {
			if err := Add(ctx, rec, Run{RunID: uuid.New(), Name: fmt.Sprint(i, j), Status: "ok", StartedAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
			if err := rec.Flush(soon(3 * time.Millisecond)); err != nil {
				t.Logf("flush: %v", err)
			}
		}
		if err := errors.Join(rec.Flush(ctx), rec.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var rows, runs int
	if err := db.SQL().QueryRow("SELECT count(*), count(DISTINCT run_id) FROM raw.run").Scan(&rows, &runs); err != nil || rows != 10*made || runs != rows || made == 0 {
		t.Errorf("%d rows of %d runs, want %d (%v)", rows, runs, 10*made, err)
	}
}

func TestTurnTokens(t *testing.T) {
	for n, want := range map[int][]int{0: {0}, 1: {1}, 64: {64}, 65: {64, 1}, 200: {64, 64, 64, 8}} {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(i)
		}
		var got []int
		var all []int32
		for i, r := range TurnTokens(TurnToken{TurnID: 3, Kind: "prompt", SharedTurnID: new(int32(2)), SharedTokens: 100}, ids) {
			if r.TurnID != 3 || r.Kind != "prompt" || *r.Part != int32(i) || (r.SharedTurnID != nil) != (i == 0) || (r.SharedTokens == 100) != (i == 0) {
				t.Errorf("%d ids, row %d: %+v", n, i, r)
			}
			got, all = append(got, len(r.Tokens)), append(all, r.Tokens...)
		}
		if !slices.Equal(got, want) || !slices.Equal(all, ids) {
			t.Errorf("%d ids: parts of %v, want %v; together %d", n, got, want, len(all))
		}
	}
}
