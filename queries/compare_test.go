//go:build duckdb_arrow

package queries

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

	"wb/store"
)

// synthetic gives the turns of some passes through three conversations: TTFT grows with the prompt, a session has its own
// level, a turn its own jitter, and factor is what the side is slower by.
func synthetic(rng *rand.Rand, side string, passes int, factor float64) (out []observation) {
	for i, conv := range []string{"a", "b", "c"} { // in order: the same seed gives the same figures
		turns := []int{5, 8, 6}[i]
		for pass := range passes {
			level := math.Exp(rng.NormFloat64() * 0.01)
			for turn := range turns {
				ttft := float64(40+10*turn) * factor * level * math.Exp(rng.NormFloat64()*0.02)
				out = append(out, observation{session: fmt.Sprint(side, conv, pass), key: fmt.Sprint(conv, "/system/", pass, "/", turn+1), group: "all", prompt: int64(100 * turn), output: 64, values: []float64{ttft}})
			}
		}
	}
	return out
}

func verdictOf(base, head []observation, margin float64) Verdict {
	v, _, _ := judge(base, head, []Metric{{"ttft", "ttft_ms", false, false}}, Comparison{Margin: margin})
	return v[0]
}

// Where nothing differs, a difference is called in at most 5 of 100 comparisons; one of 3 % in at least 95 of 100 within 10
// repeats; one of 0.5 % is of no account.
func TestVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	const trials = 100 // and twice as many of equals
	false_, found, same := 0, 0, 0
	for i := range 2 * trials {
		base := synthetic(rng, "b", 10, 1)
		if v := verdictOf(base, synthetic(rng, "h", 10, 1), 0.001); v.Verdict == VerdictFaster || v.Verdict == VerdictSlower { // a margin that excuses nothing
			false_++
		}
		if i >= trials {
			continue
		}
		if v := verdictOf(base, synthetic(rng, "h", 10, 1.03), 0.02); v.Verdict == VerdictSlower {
			found++
		}
		if v := verdictOf(base, synthetic(rng, "h", 10, 1.005), 0.02); v.Verdict == VerdictEquivalent {
			same++
		}
	}
	// 5 % of 200 are 10; with three standard deviations of chance 19
	if false_ > 19 {
		t.Errorf("%d of %d comparisons of equals call a difference", false_, 2*trials)
	}
	if found < trials*95/100 {
		t.Errorf("3 %% are called in %d of %d", found, trials)
	}
	if same < trials*95/100 {
		t.Errorf("0.5 %% are called equivalent in %d of %d", same, trials)
	}
}

// served gives sessions that server processes of one side served, so many passes each; a process has a level of its own, 2 % apart.
func served(rng *rand.Rand, side string, processes, passes int, factor float64) (out []observation) {
	pass := 0
	for p := range processes {
		level := math.Exp(rng.NormFloat64() * 0.02)
		for range passes {
			for _, conv := range []string{"a", "b"} {
				session := math.Exp(rng.NormFloat64() * 0.003)
				for turn := range 3 {
					itl := float64(10+turn) * factor * level * session * math.Exp(rng.NormFloat64()*0.003)
					out = append(out, observation{session: fmt.Sprint(side, conv, pass), key: fmt.Sprint(conv, "/system/", pass, "/", turn+1), process: fmt.Sprint(side, p), group: "all", prompt: int64(100 * turn), output: 64, values: []float64{itl}})
				}
			}
			pass++
		}
	}
	return out
}

// Sessions of one server process are no evidence apart: with the process as the unit, a difference between equals is called in at most 5 of
// 100 comparisons, though there are 16 sessions a side, and with sessions in far more.
func TestVerdictsOfProcesses(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 3))
	apart := func(os []observation) (out []observation) {
		for _, o := range os {
			o.process = ""
			out = append(out, o)
		}
		return out
	}
	different := func(v Verdict) bool { return v.Verdict == VerdictFaster || v.Verdict == VerdictSlower }
	const trials = 200
	false_, naive, found := 0, 0, 0
	for range trials {
		base, head := served(rng, "b", 4, 2, 1), served(rng, "h", 4, 2, 1)
		v := verdictOf(base, head, 0.001)
		if v.Processes != 4 || v.Sessions != 16 || v.Turns != 48 {
			t.Fatalf("%+v", v)
		}
		if different(v) {
			false_++
		}
		if different(verdictOf(apart(base), apart(head), 0.001)) {
			naive++
		}
		if verdictOf(base, served(rng, "h", 4, 2, 1.1), 0.02).Verdict == VerdictSlower {
			found++
		}
	}
	if false_ > 19 || naive < 50 || found < trials*95/100 {
		t.Errorf("of %d: equals called different %d times, %d by session; 10 %% called %d times", trials, false_, naive, found)
	}
	// amounts that differ from pass to pass, and not between the sides, are no reason to leave any pass out
	uneven := func(os []observation) []observation {
		for i := range os {
			os[i].output += int64(strings.Count(os[i].key, "/1/") + strings.Count(os[i].key, "/3/"))
		}
		return os
	}
	if v := verdictOf(uneven(served(rng, "b", 6, 2, 1)), uneven(served(rng, "h", 6, 2, 1.2)), 0.02); v.Verdict != VerdictSlower || v.Processes != 6 || v.Sessions != 24 || v.Turns != 72 {
		t.Errorf("uneven passes: %+v", v)
	}
	base := served(rng, "b", 3, 4, 1)
	if v := verdictOf(base, served(rng, "h", 3, 4, 2), 0.02); v.Verdict != VerdictInconclusive || v.More != 8 || !math.IsNaN(v.Low) {
		t.Errorf("three processes a side: %+v", v)
	}
	one, other := served(rng, "b", 1, 4, 1), served(rng, "h", 1, 4, 1)
	if got := clusters(one, other); got != unitOneEach {
		t.Errorf("one process a side: %d", got)
	}
	for i := range other { // the process of both sides
		other[i].process = one[0].process
	}
	if got := clusters(one, other); got != unitSession {
		t.Errorf("one process for both sides: %d", got)
	}
	if got := clusters(served(rng, "b", 8, 1, 1)[:3], served(rng, "h", 8, 1, 1)[:3]); got != unitSession {
		t.Errorf("a process for each session: %d", got)
	}
}

func TestVerdictEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	if v := verdictOf(synthetic(rng, "b", 1, 1), synthetic(rng, "h", 1, 2), 0.02); v.Verdict != VerdictInconclusive || v.More != 3 {
		t.Errorf("three sessions: %+v", v)
	}
	if v := verdictOf(synthetic(rng, "b", 3, 1), synthetic(rng, "h", 3, 1.012), 0.005); v.Verdict != VerdictInconclusive || v.More < 1 {
		t.Errorf("2 %% in nine sessions: %+v", v)
	}
	// prompts that differ are not paired, and the answer is the same, less sharp
	head := synthetic(rng, "h", 10, 1.2)
	for i := range head {
		head[i].prompt++
	}
	v, paired, agree := judge(synthetic(rng, "b", 10, 1), head, []Metric{{"ttft", "ttft_ms", false, false}}, Comparison{Margin: 0.02})
	if paired || agree != 0 || v[0].Paired || v[0].Change < 0.1 {
		t.Errorf("unpaired: %+v", v[0])
	}
	// more is better for some
	up := synthetic(rng, "h", 10, 1.2)
	w, _, _ := judge(synthetic(rng, "b", 10, 1), up, []Metric{{"tok_s", "", false, true}}, Comparison{Margin: 0.02})
	if w[0].Verdict != VerdictFaster {
		t.Errorf("more tokens a second are %s", w[0].Verdict)
	}
	if n := noise(synthetic(rng, "b", 10, 1), 0, Metric{}, "all"); math.IsNaN(n) || n <= 0 || n > 0.02 {
		t.Errorf("noise %v", n)
	}
}

func TestGate(t *testing.T) {
	gates, err := ParseGate("ttft<=+3%, hit_ratio>=-1pp,tok_s>=-2.5%")
	if err != nil || len(gates) != 3 || gates[0].Limit != 0.03 || !gates[0].AtMost || gates[1].Limit != -0.01 || gates[2].Limit != -0.025 {
		t.Fatalf("%+v (%v)", gates, err)
	}
	for _, bad := range []string{"", "ttft", "ttft<3%", "nope<=3%", "ttft<=3", "ttft<=3pp", "hit_ratio>=1%", "ttft<=x%", "ttft<=NaN%", "ttft<=3%%"} {
		if g, err := ParseGate(bad); err == nil {
			t.Errorf("%q is %+v", bad, g)
		}
	}
	rng := rand.New(rand.NewPCG(6, 9))
	of := func(passes int, factor float64) []Verdict {
		return []Verdict{verdictOf(synthetic(rng, "b", passes, 1), synthetic(rng, "h", passes, factor), 0.02)}
	}
	foreign := of(10, 1.2)
	foreign[0].Foreign = true
	for name, tt := range map[string]struct {
		v    []Verdict
		want string
	}{
		"above": {of(10, 1.06), GateBreached}, "at": {of(10, 1.03), GateOpen}, "below": {of(10, 1.01), GateHolds}, "few": {of(1, 1.2), GateOpen},
		"nothing": {nil, GateUnknown}, "no figures": {[]Verdict{{Metric: Metrics()[0], Group: "all"}}, GateUnknown}, "foreign": {foreign, GateForeign},
	} {
		if got := CheckGates(gates[:1], tt.v); got[0] != tt.want {
			t.Errorf("%s: %s, want %s: %+v", name, got[0], tt.want, tt.v)
		}
	}
	// the exact test of six sessions reaches p = 0.03: enough for one limit, not for one of two
	six := of(2, 1.3)
	if one, two := CheckGates(gates[:1], six)[0], CheckGates(append([]Gate{{Metric: "ttft", AtMost: true, Limit: 0.29}}, gates[0]), six)[1]; one != GateBreached || two != GateOpen {
		t.Errorf("one of one limit is %s, one of two %s", one, two)
	}
	// at the limit itself a breach is called in at most 2.5 of 100
	called := 0
	for range 300 {
		if CheckGates(gates[:1], of(3, 1.03))[0] == GateBreached {
			called++
		}
	}
	if called > 16 { // 7.5, and three standard deviations
		t.Errorf("%d of 300 are called breached at the limit itself", called)
	}
}

func FuzzGate(f *testing.F) {
	f.Add("ttft<=+3%,hit_ratio>=-1pp")
	f.Fuzz(func(t *testing.T, s string) {
		gates, err := ParseGate(s)
		for _, g := range gates {
			if err == nil && (math.IsNaN(g.Limit) || math.IsInf(g.Limit, 0)) {
				t.Errorf("%q gives %v", s, g.Limit)
			}
		}
	})
}

// pairOfRuns records two runs of so many turns in sessions of ten, the second slower by a factor in TTFT.
func pairOfRuns(t testing.TB, turns, events int, factor float64) *store.DB {
	t.Helper()
	return record(t, tempPath(t), func(ctx context.Context, r *store.Recorder) error {
		rng := rand.New(rand.NewPCG(9, 9))
		for side, id := range []string{baseID, lateID} {
			run := uuid.MustParse(id)
			if err := store.Add(ctx, r, store.Run{RunID: run, Name: []string{"base", "head"}[side], Status: "ok", StartedAt: time.Date(2026, 1, 1, side, 0, 0, 0, time.UTC)}); err != nil {
				return err
			}
			if err := store.Add(ctx, r, store.Setting{RunID: run, Source: "plan", Name: "x", Value: fmt.Sprint(side)}); err != nil {
				return err
			}
			for i := range int32(turns) {
				at := float64(i) * 5
				if i%10 == 0 {
					if err := store.Add(ctx, r, store.Session{RunID: run, SessionID: i/10 + 1, Conversation: fmt.Sprint("c", i/10%5), Variant: "system", Repeat: i/50 + 1, StartedNs: sec(at), EndedNs: new(sec(at + 50)), Status: "ok"}); err != nil {
						return err
					}
				}
				ttft := 0.1 * math.Exp(rng.NormFloat64()*0.02)
				if side == 1 {
					ttft *= factor
				}
				if err := store.Add(ctx, r, turn(run, i+1, i/10+1, i%10+1, "ok", at, at, at+ttft, at+ttft+float64(events-1)*0.001, at+4, 1000, 500, int64(events))); err != nil {
					return err
				}
				cs := make([]store.Chunk, events)
				for k := range cs {
					cs[k] = store.Chunk{RunID: run, TurnID: i + 1, Seq: int32(k + 1), ReadSeq: int32(k + 1), TNs: sec(at + ttft + float64(k)*0.001), Kind: "content", Tokens: new(int32(1))}
				}
				if err := store.Add(ctx, r, cs...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func TestCompare(t *testing.T) {
	db := pairOfRuns(t, 100, 5, 1.1)
	tb, v, err := Compare(context.Background(), db, Comparison{Base: "base", Head: "head", Metrics: []string{"ttft", "tpot", "hit_ratio"}, Margin: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	if v[0].Verdict != VerdictSlower || math.Abs(v[0].Change-0.1) > 0.02 || v[0].Sessions != 10 || v[0].Turns != 100 || !v[0].Paired || v[1].Verdict != VerdictEquivalent || v[2].Verdict != VerdictEquivalent || v[2].Change != 0 {
		t.Errorf("%+v", v)
	}
	if notes := strings.Join(tb.Notes, "\n"); !strings.Contains(notes, "Settings that differ: plan.x") || len(tb.Rows) != 3 || len(tb.Runs) != 2 {
		t.Errorf("%d rows, notes %q", len(tb.Rows), tb.Notes)
	}
	tb, v, err = Compare(context.Background(), db, Comparison{Base: "base", Head: "head", Metrics: []string{"ttft"}, By: "turn", Margin: 0.02})
	if err != nil || len(v) != 11 || len(tb.Rows) != 11 || v[0].Group != "all" || v[10].Group != "turn 10" {
		t.Errorf("%d verdicts by turn (%v)", len(v), err)
	}
	for _, c := range []Comparison{{Base: "base", Head: "base", Metrics: []string{"ttft"}}, {Base: "base", Head: "head", Metrics: []string{"nope"}}, {Base: "nope", Head: "head", Metrics: []string{"ttft"}}, {Base: "base", Head: "head", Metrics: []string{"ttft"}, By: "moon"}} {
		if _, _, err := Compare(context.Background(), db, c); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
}

// Sessions whose first prompt was in the cache are another experiment: they are paired with none, told of in tables, and a side that has no
// others is not compared with cold ones. A prompt's beginning that all share, as a template has it, does not make it warm.
func TestWarmSessions(t *testing.T) {
	ctx := context.Background()
	names := []string{"cold", "mixed", "warm", "template", "untold"}
	db := record(t, tempPath(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for i, name := range names {
			run := uuid.NewSHA1(uuid.Nil, []byte(name))
			errs = append(errs, store.Add(ctx, r, store.Run{RunID: run, Name: name, Status: "ok"}),
				store.Add(ctx, r, store.Engine{RunID: run, Kind: "openai", Model: "m"}))
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
					StartedNs: sec(at), EndedNs: new(sec(at + 50)), Status: "ok"}
				if i == 0 && pass == 0 { // which counters told, and not the usage
					s.FirstCachedTokens, cached = new(int64(0)), -1
				}
				end := at + ttft + 0.63
				errs = append(errs, store.Add(ctx, r, s),
					store.Add(ctx, r, turn(run, id, id, 1, "ok", at, at, at+ttft, end, end, 1000, cached, 64)))
			}
		}
		return errors.Join(errs...)
	})
	for _, c := range []struct {
		base, head, verdict string
		sessions            int
		note                string
	}{
		{"cold", "template", VerdictEquivalent, 8, ""},
		{"cold", "untold", VerdictEquivalent, 8, ""},
		{"cold", "mixed", VerdictInconclusive, 1, "7 of 8 sessions of head are left out: they began warm"},
		{"cold", "warm", VerdictInconclusive, 8,
			"0 sessions of base and 8 of head began warm, with their first prompt in the prefix cache, and 8 and 0 cold"},
		{"warm", "mixed", VerdictEquivalent, 7, "1 of 8 sessions of head are left out: they began cold, and others warm"},
		{"mixed", "untold", VerdictSlower, 8, ""},
	} {
		tb, v, err := Compare(ctx, db, Comparison{Base: c.base, Head: c.head, Metrics: []string{"ttft"}, Margin: 0.02})
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(tb.Notes, "\n")
		if v[0].Verdict != c.verdict || v[0].Sessions != c.sessions || !strings.Contains(notes, c.note) ||
			c.note == "" && strings.Contains(notes, "left out: they") {
			t.Errorf("%s and %s: %s of %d sessions\n%s", c.base, c.head, v[0].Verdict, v[0].Sessions, notes)
		}
	}
	for _, c := range []struct{ report, column, want string }{
		{"cache_hit_by_turn", "warm_turns", "0 7 8 0 0"}, {"ttft_by_turn", "warm_turns", "0 7 8 0 0"},
		{"conversation_summary", "warm_sessions", "0 7 8 0 0"},
	} {
		var got []string
		for _, name := range names {
			tb, err := find(t, c.report).Run(ctx, db, Options{Runs: name})
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
	half, err := Width(ctx, db, "ttft", []string{uuid.NewSHA1(uuid.Nil, []byte("mixed")).String()})
	if err != nil || half > 0.001 { // seven warm ones, all alike
		t.Errorf("known to ±%v (%v)", half, err)
	}
}

// Two runs of 1,000 turns and a million events.
func BenchmarkCompare(b *testing.B) {
	db := pairOfRuns(b, 1000, 500, 1.03)
	for b.Loop() {
		if _, _, err := Compare(context.Background(), db, Comparison{Base: "base", Head: "head", Metrics: []string{"ttft", "itl_p50", "itl_p99", "e2e", "hit_ratio", "tok_s"}, Margin: 0.02}); err != nil {
			b.Fatal(err)
		}
	}
}
