//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func sampleTurn(run uuid.UUID, i int) Turn {
	return Turn{RunID: run, TurnID: int32(i), SessionID: 1, Turn: int32(i), Status: "ok", SubmitNs: int64(i) * 1000,
		WrittenNs: new(int64(i)*1000 + 1), DoneNs: int64(i)*1000 + 9,
		FinishReason: new("stop"), PromptTokens: new(int64(100 + i)), CompletionTokens: new(int64(5)), ConnectionReused: new(i%2 == 0),
		PromptSHA256: "x"}
}

// Every type of row passes through Arrow unchanged, NULLs included.
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
		Add(ctx, r, Chunk{RunID: run, TurnID: 1, Seq: 1, TNs: 5, Kind: "content", Tokens: new(int32(3))},
			Chunk{RunID: run, TurnID: 1, Seq: 2, TNs: 9, Kind: "role"}),
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
	if err := d.db.QueryRow("SELECT run_id::VARCHAR, name, started_at, ended_at, simulated, seed FROM raw.run").Scan(&id, &name, &at,
		&ended, &simulated, &seed); err != nil {
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
	// the views for inserting are not left in the user's file
	if n := one[int](t, d, "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'in\\_%' ESCAPE '\\' AND database_name <> "+
		"'_stage'"); n != 0 {
		t.Errorf("%d Arrow views are left in the user's file", n)
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

// A message is stored once. If it was stored without its text, the text is added later.
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
		r, err := d.NewRecorder(ctx, 0, nil) // a new recorder for each step, as for another run
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

// When the buffer is full, it is written and full is called. No row is dropped. Several goroutines add at once.
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

// Rows that belong together appear together, at whatever moment the file is read or flushed.
func TestTogether(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r, err := d.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.storedAll = false // so that each flush asks the file which messages it has, and others may add rows meanwhile
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
			t.Fatalf("%d turns are incomplete", n)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, d, "SELECT count(*) FROM raw.chunk"); n != 900 {
		t.Errorf("%d of 900 chunks", n)
	}
}

// When a flush fails, everything stays buffered. The next flush writes it once and in order.
func TestFlushFailureKeepsRows(t *testing.T) {
	ctx := context.Background()
	d := tempDB(t)
	r := recorder(t, d)
	run := uuid.New()
	add := func(from, to int) {
		for i := from; i < to; i++ {
			if err := errors.Join(Add(ctx, r, sampleTurn(run, i)),
				Add(ctx, r, Chunk{RunID: run, TurnID: int32(i), Kind: "x", Tokens: new(int32(1))})); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(0, 3)
	rename := func(from, to string) {
		if _, err := d.db.Exec("ALTER TABLE raw." + from + " RENAME TO " + to); err != nil {
			t.Fatal(err)
		}
	}
	rename("chunk", "away")
	if err := r.Flush(ctx); err == nil {
		t.Fatal("a flush succeeded although its table is missing")
	}
	rename("away", "chunk")
	add(3, 5)
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, d, "SELECT string_agg(turn_id::VARCHAR || ':' || prompt_tokens, ' ' ORDER BY rowid) FROM "+
		"raw.turn"); got != "0:100 1:101 2:102 3:103 4:104" {
		t.Errorf("turns are %q", got)
	}
	if n := one[int](t, d, "SELECT count(*) FROM raw.chunk"); n != 5 {
		t.Errorf("%d chunks, want 5", n)
	}
}

// Ctrl-C may come at any moment while a recorder is made or writes. Nothing is written twice, no row of a later flush is lost, and the
// file still works.
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
	if err := db.db.QueryRow("SELECT count(*), count(DISTINCT run_id) FROM raw.run").Scan(&rows, &runs); err != nil || rows != 10*made ||
		runs != rows || made == 0 {
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
			if r.TurnID != 3 || r.Kind != "prompt" || *r.Part != int32(i) || (r.SharedTurnID != nil) != (i == 0) ||
				(r.SharedTokens == 100) != (i == 0) {
				t.Errorf("%d ids, row %d: %+v", n, i, r)
			}
			got, all = append(got, len(r.Tokens)), append(all, r.Tokens...)
		}
		if !slices.Equal(got, want) || !slices.Equal(all, ids) {
			t.Errorf("%d ids: parts of %v, want %v; together %d", n, got, want, len(all))
		}
	}
}
