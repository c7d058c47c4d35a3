package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/sim"
	"wb/collect/target"
	"wb/data"
	"wb/store"
	"wb/store/storetest"
)

// against starts a simulator and makes a file, a client and the zero of a run's clock.
func against(t testing.TB, o sim.Options) (srv *sim.Server, db *store.DB, c *client.Client, e *engine.Server, start time.Time) {
	t.Helper()
	ctx := context.Background()
	srv, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	url, err := srv.Start(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	if db, err = store.Open(ctx, t.TempDir()+"/a.duckdb"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	start = time.Now()
	if c, err = client.New(url, "", func() int64 { return int64(time.Since(start)) }); err != nil {
		t.Fatal(err)
	}
	if e, err = engine.Probe(ctx, c, "", nil); err != nil {
		t.Fatal(err)
	}
	return srv, db, c, e, start
}

// usersRun plays a job with three conversations against a simulator that takes no time.
func usersRun(t *testing.T, p Job) (*store.DB, *Result, error) {
	t.Helper()
	_, db, c, e, start := against(t, sim.Options{Profile: "instant", MaxNumSeqs: 256})
	p.Start, p.Isolation, p.MaxTokens, p.SampleHz = start, IsolationSalt, 6, 20
	for _, id := range []string{"a", "b", "c"} {
		turns := []data.Turn{{User: "one " + id}, {User: "two"}, {User: "three"}}
		p.Conversations = append(p.Conversations, &data.Conversation{ID: id, Title: id, Turns: turns})
	}
	res, err := Run(context.Background(), db, &target.Target{Client: c, Server: e}, p, Watch{})
	return db, res, err
}

func count(t *testing.T, db *store.DB, q string) (n int64) {
	t.Helper()
	if err := storetest.Scan(db, q, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Every user plays every conversation, at the same time as the others. Every turn is recorded once, with its chunks.
func TestUsers(t *testing.T) {
	db, res, err := usersRun(t, Job{RunSpec: RunSpec{Load: Load{Users: 9, Warmup: 1}},
		Repeats: 2})
	if err != nil || res.Turns != 9*2*3*3 || res.Failed != 0 || res.Status != "ok" {
		t.Fatalf("%+v (%v)", res, err)
	}
	for q, want := range map[string]int64{
		"SELECT count(*) FROM measured_turns":                                                              9 * 2 * 3 * 3,
		"SELECT count(DISTINCT (conversation, repeat, turn)) FROM measured_turns":                          9 * 2 * 3 * 3,
		"SELECT count(DISTINCT client_user) FROM sessions WHERE NOT warmup":                                9,
		"SELECT count(*) FROM sessions WHERE status <> 'ok' OR ended_ns IS NULL OR ended_ns <= started_ns": 0,
		"SELECT count(DISTINCT turn_id) - count(*) FROM raw.turn":                                          0,
		`SELECT count(*) FROM turns t
			WHERE completion_tokens <> (SELECT sum(tokens) FROM chunks c WHERE c.turn_id = t.turn_id)`: 0,
		// each session has a different salt
		"SELECT count(*) FROM turns WHERE turn = 1 AND cached_tokens > 0": 0,
		// only that of the warm-up: when several turns overlap, counters belong to no single one
		"SELECT count(*) FROM turn_counters": 1,
		`SELECT CASE WHEN max(n) > 1 THEN 1 ELSE 0 END FROM (
			SELECT (
				SELECT count(*) FROM raw.session b WHERE NOT b.warmup AND b.started_ns < a.ended_ns AND b.ended_ns > a.started_ns
			) AS n FROM raw.session a WHERE NOT a.warmup)`: 1,
		`SELECT count(*) FROM (
			SELECT client_user FROM raw.session WHERE NOT warmup GROUP BY client_user HAVING count(*) <> 6)`: 0,
	} {
		if got := count(t, db, q); got != want {
			t.Errorf("%s gives %d, want %d", q, got, want)
		}
	}
}

// At a rate sessions begin at the times that the rate gives. A session that finds no free user waits, and ttft_with_wait_ms includes that.
func TestRate(t *testing.T) {
	db, res, err := usersRun(t, Job{RunSpec: RunSpec{Load: Load{Users: 1, Rate: 200, Arrival: "constant"}},
		Repeats: 10})
	if err != nil || res.Turns != 10*3*3 {
		t.Fatalf("%+v (%v)", res, err)
	}
	n := count(t, db, `SELECT count(*) FROM (
		SELECT intended_ns - lag(intended_ns) OVER (ORDER BY intended_ns) AS gap FROM raw.turn WHERE intended_ns IS NOT NULL
	) WHERE gap <> 5000000`)
	if n != 0 {
		t.Errorf("%d gaps are not 5 ms", n)
	}
	for q, want := range map[string]int64{
		"SELECT count(*) FROM raw.turn WHERE (turn = 1) <> (intended_ns IS NOT NULL)":                                            0,
		"SELECT count(*) FROM turns WHERE wait_ms < 0":                                                                           0,
		"SELECT count(*) FROM turns WHERE turn = 1 AND abs(ttft_with_wait_ms - (wait_ms + (first_ns - submit_ns) / 1e6)) > 1e-6": 0,
	} {
		if got := count(t, db, q); got != want {
			t.Errorf("%s gives %d, want %d", q, got, want)
		}
	}
	// Poisson gaps have a standard deviation as large as their mean
	db, _, err = usersRun(t, Job{RunSpec: RunSpec{Load: Load{Rate: 1000, Arrival: "poisson"}, Prompting: Prompting{MaxTurns: 1}},
		Repeats: 60})
	if err != nil {
		t.Fatal(err)
	}
	var mean, deviation float64
	const gaps = `SELECT avg(gap), stddev(gap) FROM (
		SELECT (intended_ns - lag(intended_ns) OVER (ORDER BY intended_ns)) / 1e6 AS gap
		FROM raw.turn WHERE intended_ns IS NOT NULL)`
	if err := storetest.Scan(db, gaps, &mean, &deviation); err != nil {
		t.Fatal(err)
	}
	if mean < 0.8 || mean > 1.2 || deviation < 0.75*mean || deviation > 1.25*mean {
		t.Errorf("gaps of %.2f ± %.2f ms", mean, deviation)
	}
}

// soloRun plays one conversation again and again against a simulator that takes 14 ms per token. After 2.5 s it calls happen.
func soloRun(t *testing.T, users int, happen func(srv *sim.Server, cancel func())) (*store.DB, *Result, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	srv, db, c, e, start := against(t, sim.Options{Profile: "eager", MaxNumSeqs: 64})
	time.AfterFunc(2500*time.Millisecond, func() { happen(srv, cancel) })
	job := Job{
		RunSpec: RunSpec{
			Load:      Load{Users: users, Isolation: IsolationSalt},
			Prompting: Prompting{MaxTokens: 20},
		},
		Repeats:       100,
		Start:         start,
		Conversations: []*data.Conversation{{ID: "a", Title: "a", Turns: []data.Turn{{User: "x"}, {User: "y"}}}},
	}
	res, err := Run(ctx, db, &target.Target{Client: c, Server: e}, job, Watch{})
	if n := count(t, db, "SELECT count(*) FROM raw.session WHERE status = 'running' OR ended_ns IS NULL"); n != 0 {
		t.Errorf("%d sessions have no end", n)
	}
	if n := count(t, db, "SELECT count(*) FROM measured_turns"); n < int64(users) {
		t.Errorf("%d turns were kept", n)
	}
	return db, res, err
}

// When the server is gone, all users stop, and what was finished is recorded.
func TestUsersAndADeadServer(t *testing.T) {
	_, res, err := soloRun(t, 4, func(srv *sim.Server, _ func()) { srv.Close() })
	if !errors.Is(err, engine.ErrUnreachable) || res.Status != "failed" || res.Failed < 1 {
		t.Errorf("%+v (%v)", res, err)
	}
}

// After an interrupt users stop, and their sessions are recorded as interrupted.
func TestUsersInterrupted(t *testing.T) {
	db, res, err := soloRun(t, 5, func(_ *sim.Server, cancel func()) { cancel() })
	if !errors.Is(err, ErrInterrupted) || res.Status != "interrupted" {
		t.Fatalf("%+v (%v)", res, err)
	}
	if n := count(t, db, "SELECT count(*) FROM raw.session WHERE status = 'interrupted'"); n != 5 {
		t.Errorf("%d sessions were interrupted", n)
	}
}
