//go:build duckdb_arrow

package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries"
	"wb/queries/internal/fixture"
	"wb/store"
)

// pairOfRuns records two runs of so many turns, in sessions of ten turns. TTFT of the second run is higher by a factor.
func pairOfRuns(t testing.TB, turns, events int, factor float64) *store.DB {
	t.Helper()
	return fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		rng := rand.New(rand.NewPCG(9, 9))
		for side, id := range []string{fixture.BaseID, fixture.LateID} {
			run := uuid.MustParse(id)
			started := time.Date(2026, 1, 1, side, 0, 0, 0, time.UTC)
			err := errors.Join(
				store.Add(ctx, r, store.Run{RunID: run, Name: []string{"base", "head"}[side], Status: "ok", StartedAt: started}),
				store.Add(ctx, r, store.Setting{RunID: run, Source: "plan", Name: "x", Value: fmt.Sprint(side)}))
			if err != nil {
				return err
			}
			for i := range int32(turns) {
				at := float64(i) * 5
				if i%10 == 0 {
					s := store.Session{RunID: run, SessionID: i/10 + 1, Conversation: fmt.Sprint("c", i/10%5), Variant: "system", Repeat: i/50 + 1,
						StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok"}
					if err := store.Add(ctx, r, s); err != nil {
						return err
					}
				}
				ttft := 0.1 * math.Exp(rng.NormFloat64()*0.02)
				if side == 1 {
					ttft *= factor
				}
				first, n := at+ttft, int64(events)
				t := fixture.Turn(run, i+1, i/10+1, i%10+1, "ok", at, at, first, first+float64(events-1)*0.001, at+4, 1000, 500, n)
				cs := make([]store.Chunk, events)
				for k := range cs {
					cs[k] = store.Chunk{RunID: run, TurnID: i + 1, Seq: int32(k + 1), ReadSeq: int32(k + 1),
						TNs: fixture.Sec(first + float64(k)*0.001), Kind: "content", Tokens: new(int32(1))}
				}
				if err := errors.Join(store.Add(ctx, r, t), store.Add(ctx, r, cs...)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func TestCompare(t *testing.T) {
	db := pairOfRuns(t, 100, 5, 1.1)
	c := Comparison{Base: "base", Head: "head", Metrics: []string{"ttft", "tpot", "hit_ratio"}, Margin: 0.02}
	r, err := Run(context.Background(), db, c)
	if err != nil {
		t.Fatal(err)
	}
	v, tb := r.Verdicts, r.Table()
	if v[0].Outcome != Slower || math.Abs(v[0].Change-0.1) > 0.02 || v[0].Sessions != 10 || v[0].Turns != 100 || !v[0].Paired {
		t.Errorf("%+v", v[0])
	}
	if v[1].Outcome != Equivalent || v[2].Outcome != Equivalent || v[2].Change != 0 {
		t.Errorf("%+v", v[1:])
	}
	notes := strings.Join(tb.Notes, "\n")
	if !strings.Contains(notes, "Settings that differ: plan.x") || len(tb.Rows) != 3 || len(tb.Runs) != 2 || len(tb.Notes) != len(r.Warnings) {
		t.Errorf("%d rows, notes %q", len(tb.Rows), tb.Notes)
	}
	c.Metrics, c.By = []string{"ttft"}, byTurn
	r, err = Run(context.Background(), db, c)
	if err != nil || len(r.Verdicts) != 11 || len(r.Table().Rows) != 11 || r.Verdicts[0].Group != all || r.Verdicts[10].Group != "turn 10" {
		t.Errorf("%d verdicts by turn (%v)", len(r.Verdicts), err)
	}
	for _, c := range []Comparison{
		{Base: "base", Head: "base", Metrics: []string{"ttft"}},
		{Base: "base", Head: "head", Metrics: []string{"nope"}},
		{Base: "base", Head: "head"},
		{Base: "nope", Head: "head", Metrics: []string{"ttft"}},
		{Base: "base", Head: "head", Metrics: []string{"ttft"}, By: "moon"},
	} {
		if _, err := Run(context.Background(), db, c); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
}

// warmthNames are runs whose sessions began cold, some or all of them warm, with a template in the cache, or without a report of it.
var warmthNames = []string{"cold", "mixed", "warm", "template", "untold"}

func warmthID(name string) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(name)) }

// addWarmth records such a run: eight sessions of one turn, each with 1,000 prompt tokens.
func addWarmth(ctx context.Context, r *store.Recorder, name string) error {
	run := warmthID(name)
	errs := []error{store.Add(ctx, r, store.Run{RunID: run, Name: name, Status: "ok"}),
		store.Add(ctx, r, store.Engine{RunID: run, Kind: "openai", Model: "m"})}
	for pass := range 8 {
		cached := int64(0)
		switch {
		case name == "template":
			cached = 40
		case name == "untold":
			cached = -1
		case name == "warm" || name == "mixed" && pass > 0:
			cached = 990
		}
		ttft := 1.0
		if cached > 100 {
			ttft = 0.01
		}
		at, id := float64(pass)*50, int32(pass+1)
		s := store.Session{RunID: run, SessionID: id, Conversation: "c", Repeat: id, Isolation: "none",
			StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok"}
		if name == "cold" && pass == 0 { // known from counters, and not from the usage
			s.FirstCachedTokens, cached = new(int64(0)), -1
		}
		end := at + ttft + 0.63
		errs = append(errs, store.Add(ctx, r, s),
			store.Add(ctx, r, fixture.Turn(run, id, id, 1, "ok", at, at, at+ttft, end, end, 1000, cached, 64)))
	}
	return errors.Join(errs...)
}

// Sessions whose first prompt was in the cache are another experiment: they are not compared with cold ones, and tables say how many there
// are. The start of a prompt that all prompts share, as from a template, does not make a session warm.
func TestWarmSessions(t *testing.T) {
	ctx := context.Background()
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for _, name := range warmthNames {
			errs = append(errs, addWarmth(ctx, r, name))
		}
		return errors.Join(errs...)
	})
	for _, c := range []struct {
		base, head string
		outcome    Outcome
		sessions   int
		note       string
	}{
		{"cold", "template", Equivalent, 8, ""},
		{"cold", "untold", Equivalent, 8, ""},
		{"cold", "mixed", Inconclusive, 1, "7 of 8 sessions of head are left out: they began warm"},
		{"cold", "warm", Inconclusive, 8,
			"0 sessions of base and 8 of head began warm, with their first prompt in the prefix cache, and 8 and 0 cold"},
		{"warm", "mixed", Equivalent, 7, "1 of 8 sessions of head are left out: they began cold, and the others warm"},
		{"mixed", "untold", Slower, 8, ""},
	} {
		r, err := Run(ctx, db, Comparison{Base: c.base, Head: c.head, Metrics: []string{"ttft"}, Margin: 0.02})
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(r.Table().Notes, "\n")
		if r.Verdicts[0].Outcome != c.outcome || r.Verdicts[0].Sessions != c.sessions || !strings.Contains(notes, c.note) ||
			c.note == "" && strings.Contains(notes, "left out: they") {
			t.Errorf("%s and %s: %s of %d sessions\n%s", c.base, c.head, r.Verdicts[0].Outcome, r.Verdicts[0].Sessions, notes)
		}
	}
	checkWarmthReports(t, db)
	half, err := Width(ctx, db, "ttft", []string{warmthID("mixed").String()})
	if err != nil || half > 0.001 { // seven warm sessions, all equal
		t.Errorf("known to ±%v (%v)", half, err)
	}
}

// checkWarmthReports expects the reports to count sessions that began warm, and to have a note where there are any.
func checkWarmthReports(t *testing.T, db *store.DB) {
	t.Helper()
	for _, c := range []struct{ report, column, want string }{
		{"cache_hit_by_turn", "warm_turns", "0 7 8 0 0"}, {"ttft_by_turn", "warm_turns", "0 7 8 0 0"},
		{"conversation_summary", "warm_sessions", "0 7 8 0 0"},
	} {
		var got []string
		q, err := queries.Builtin(c.report)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range warmthNames {
			tb, err := q.Run(context.Background(), db, queries.Options{Runs: name})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(tb.Rows[0][tb.ColumnIndex(c.column)]))
			told := slices.ContainsFunc(tb.Notes, func(n string) bool { return strings.Contains(n, "began warm") })
			if told != (name == "mixed" || name == "warm") {
				t.Errorf("%s of %s: notes %q", c.report, name, tb.Notes)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.report, got, c.want)
		}
	}
}

// Two runs of 1,000 turns and a million events.
func BenchmarkCompare(b *testing.B) {
	db := pairOfRuns(b, 1000, 500, 1.03)
	c := Comparison{Base: "base", Head: "head", Margin: 0.02}
	c.Metrics = []string{"ttft", "itl_p50", "itl_p99", "e2e", "hit_ratio", "tok_s"}
	for b.Loop() {
		if _, err := Run(context.Background(), db, c); err != nil {
			b.Fatal(err)
		}
	}
}
