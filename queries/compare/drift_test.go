//go:build duckdb_arrow

package compare

import (
	"context"
	"errors"
	"maps"
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

// drifting records runs of 12 sessions of 5 turns. TTFT grows with the turn, and is multiplied by level(pass, turn) and 0.5 % of jitter.
func drifting(t *testing.T, level map[string]func(pass, turn int) float64) *store.DB {
	t.Helper()
	return fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(level)) {
			factor, rng := level[name], rand.New(rand.NewPCG(4, 2))
			run := uuid.NewSHA1(uuid.Nil, []byte(name))
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			errs = append(errs,
				store.Add(ctx, r, store.Run{RunID: run, Name: name, Status: "ok", StartedAt: start}),
				store.Add(ctx, r, store.Engine{RunID: run, Kind: "vllm", Model: "m"}))
			for pass := range 12 {
				at := float64(pass) * 50
				errs = append(errs, store.Add(ctx, r, store.Session{
					RunID: run, SessionID: int32(pass + 1), Conversation: "c", Repeat: int32(pass + 1),
					StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok",
				}))
				for k := range 5 {
					at := at + float64(k)*10
					ttft := 0.1 * float64(k+1) * factor(pass, k) * math.Exp(rng.NormFloat64()*0.005)
					clock := int64(2000)
					if name == "slowing" {
						clock -= int64(pass*5+k) * 10
					}
					id, end := int32(pass*5+k+1), at+ttft+0.63
					t := fixture.Turn(run, id, int32(pass+1), int32(k+1), "ok", at, at, at+ttft, end, end, 1000, min(int64(k)*500, 500), 64)
					sample := store.GPUSample{RunID: run, TNs: fixture.Sec(at + 0.05), SampleGroup: "fast", TemperatureC: new(60.0)}
					sample.SMClockMHz = &clock
					errs = append(errs, store.Add(ctx, r, t), store.Add(ctx, r, sample))
				}
			}
		}
		return errors.Join(errs...)
	})
}

// A steady run has no remark; one that slows, one that was cold and one whose turns are correlated have their remark, and no other.
func TestDrift(t *testing.T) {
	wave := 0.0
	rng := rand.New(rand.NewPCG(4, 3))
	db := drifting(t, map[string]func(pass, turn int) float64{
		"steady":  func(int, int) float64 { return 1 },
		"slowing": func(pass, turn int) float64 { return 1 + 0.1*float64(pass*5+turn)/59 },
		"cold": func(pass, _ int) float64 {
			if pass == 0 {
				return 1.3
			}
			return 1
		},
		"hanging": func(int, int) float64 {
			wave = 0.8*wave + rng.NormFloat64()*0.01
			return math.Exp(wave)
		},
	})
	drift, err := queries.Builtin("drift")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"steady": "", "slowing": "it got ", "cold": "the first session was", "hanging": "neighbouring turns are correlated",
	} {
		tb, err := drift.Run(context.Background(), db, queries.Options{Runs: name})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, row := range tb.Rows {
			if row[1] == "ttft" {
				got, _ = row[tb.ColumnIndex("remark")].(string)
			} else if row[tb.ColumnIndex("remark")] != nil {
				t.Errorf("%s: a remark on TPOT, which did not change: %v", name, row)
			}
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: remark %q, want %q\n%s", name, got, want, fixture.Text(t, tb))
		}
		if name == "slowing" && !strings.Contains(got, "slower from the first turn to the last, as the GPU's clock moved") {
			t.Error(got)
		}
	}
	// a comparison has the remark as a note
	r, err := Run(context.Background(), db, Comparison{Base: "steady", Head: "slowing", Metrics: []string{"ttft"}, Margin: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(r.Table().Notes, "\n")
	for _, want := range []string{"ttft of run slowing: it got ", "All sessions are of c"} {
		if !strings.Contains(notes, want) || strings.Contains(notes, "run steady") {
			t.Errorf("no %q, or one of run steady: %s", want, notes)
		}
	}
}
