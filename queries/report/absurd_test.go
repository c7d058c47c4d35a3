//go:build duckdb_arrow

package report

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries"
	"wb/queries/compare"
	"wb/queries/internal/fixture"
	"wb/store"
	elsewhere "wb/store/history"
)

// absurdID is the run of a server that reports impossible token counts.
var absurdID = uuid.MustParse("bbbb0000-0000-4000-8000-000000000009")

// addAbsurd records such a run, as an older wb did.
func addAbsurd(ctx context.Context, r *store.Recorder) error {
	at := time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)
	errs := []error{
		store.Add(ctx, r, store.Run{RunID: absurdID, Name: "absurd", Status: "ok", StartedAt: at, EndedAt: new(at.Add(time.Minute))}),
		store.Add(ctx, r, store.Engine{
			RunID: absurdID, Kind: "openai", Model: "m", MaxModelLenTokens: new(int64(math.MaxInt64)), BlockSizeTokens: new(int64(-1)),
		}),
		store.Add(ctx, r, store.Session{
			RunID: absurdID, SessionID: 1, Conversation: "qa", Variant: "system", Repeat: 1, EndedNs: new(fixture.Sec(50)), Status: "ok",
		}),
	}
	for i, n := range []int64{math.MaxInt64, -1, math.MinInt64, 0, 1 << 40} {
		errs = append(errs, addAbsurdTurn(ctx, r, i, n), addAbsurdCounters(ctx, r, i))
	}
	return errors.Join(errs...)
}

// addAbsurdTurn records a turn whose counts are all n.
func addAbsurdTurn(ctx context.Context, r *store.Recorder, i int, n int64) error {
	id, at := int32(i+1), float64(i)
	x := fixture.Turn(absurdID, id, 1, id, "ok", at, at, at+0.1, at+0.5, at+0.6, n, n, n)
	x.ReasoningTokens, x.TokenEvents, x.StreamedTokens, x.FirstReadTokens = &n, nil, nil, nil
	events := fixture.Chunks(absurdID, id, fixture.At(at+0.1, 1), fixture.At(at+0.5, math.MaxInt32))
	cache := store.CacheTurn{RunID: absurdID, TurnID: id, BlockSizeTokens: 16}
	return errors.Join(store.Add(ctx, r, x), store.Add(ctx, r, events...), store.Add(ctx, r, cache, cache),
		store.Add(ctx, r, store.CacheMiss{RunID: absurdID, TurnID: id, Cause: "new_text", Tokens: n}))
}

// addAbsurdCounters records scrapes of a turn with values that are not finite numbers.
func addAbsurdCounters(ctx context.Context, r *store.Recorder, i int) error {
	s, id := int32(2*i+1), int32(i+1)
	errs := []error{store.Add(ctx, r,
		store.Scrape{RunID: absurdID, ScrapeID: s, TurnID: &id, Phase: "before"},
		store.Scrape{RunID: absurdID, ScrapeID: s + 1, TurnID: &id, Phase: "after"},
		store.Scrape{RunID: absurdID, ScrapeID: 100 + s, Phase: "tick"})}
	for k, v := range []float64{math.NaN(), math.Inf(1)} {
		for _, name := range []string{
			"vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total", "vllm:request_queue_time_seconds_count",
			"vllm:num_preemptions_total", "vllm:kv_cache_usage_perc",
		} {
			after := s + int32(k)
			errs = append(errs, store.Add(ctx, r,
				store.EngineMetric{RunID: absurdID, ScrapeID: after, Name: name, Value: v},
				store.EngineMetric{RunID: absurdID, ScrapeID: after, Name: name, Labels: "x", Value: float64(k) * 1e300},
				store.EngineMetric{RunID: absurdID, ScrapeID: 100 + s, Name: name, Value: v}))
		}
	}
	return errors.Join(errs...)
}

// An older wb recorded whatever token counts a server reported. Such a run breaks no report over the whole history, and its counts are not
// in any figure.
func TestAbsurdCounts(t *testing.T) {
	ctx := context.Background()
	from := fixture.Path(t)
	db := fixture.Record(t, from, func(ctx context.Context, r *store.Recorder) error {
		return errors.Join(fixture.Fill(ctx, r), addAbsurd(ctx, r))
	})
	checkAbsurd(t, db)
	imported := fixture.Path(t)
	to, err := store.Open(ctx, imported)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { to.Close() }()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Import(ctx, to, from, nil); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if to, err = store.OpenRead(ctx, imported); err != nil {
		t.Fatal(err)
	}
	checkAbsurd(t, to)
}

// checkAbsurd runs everything over a history with that run in it.
func checkAbsurd(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := context.Background()
	names, err := queries.Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		q, err := queries.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, runs := range []string{"all", "absurd", "absurd,base"} {
			if _, err := q.Run(ctx, db, queries.Options{Runs: runs}); err != nil {
				t.Errorf("%s over %s: %v", name, runs, err)
			}
		}
	}
	if _, _, err := Tables(ctx, db, "all", ""); err != nil {
		t.Errorf("report: %v", err)
	}
	c := compare.Comparison{Base: "base", Head: "absurd", Metrics: []string{"ttft", "tpot", "itl_p50", "hit_ratio", "tok_s"}, Margin: 0.02}
	if _, err := compare.Run(ctx, db, c); err != nil {
		t.Errorf("compare: %v", err)
	}
	tb, err := queries.AdHoc(`SELECT count(prompt_tokens), count(cached_tokens),
			count(completion_tokens) FILTER (WHERE completion_tokens <> 0),
			count(reasoning_tokens) FILTER (WHERE reasoning_tokens <> 0), count(hit_ratio), count(tpot_ms), count(ttft_ms)
		FROM turns WHERE run = 'absurd'`).
		Run(ctx, db, queries.Options{})
	if err != nil || fixture.Text(t, tb) != "0 0 0 0 0 0 5" {
		t.Errorf("figures %v (%v)", tb, err)
	}
}
