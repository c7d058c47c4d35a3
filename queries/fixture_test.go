//go:build duckdb_arrow

package queries

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/store"
)

// The history of these tests: three runs, an hour apart. The figures the tests expect are worked out from these rows by hand.
//
//	base   simulated, ok; one turn
//	tuned  failed; its only turn failed, though with figures
//	tuned  ok; the one most facts are of: warm-up, three sessions, a stall, a failed turn, a restarted server
const (
	baseID  = "11111111-0000-4000-8000-000000000001"
	earlyID = "aaaa0000-0000-4000-8000-000000000002"
	lateID  = "aaaa1111-0000-4000-8000-000000000003"
	early   = "tuned aaaa0000"
	late    = "tuned aaaa1111"
)

func sec(s float64) int64 { return int64(s*1e6+0.5) * 1000 }

// turn gives a row from its times in seconds; cached below 0 is NULL.
func turn(run uuid.UUID, id, session, n int32, status string, submit, written, first, last, done float64, prompt, cached, completion int64) store.Turn {
	t := store.Turn{RunID: run, TurnID: id, SessionID: session, Turn: n, Status: status, SubmitNs: sec(submit), WrittenNs: new(sec(written)), FirstNs: new(sec(first)),
		LastNs: new(sec(last)), DoneNs: sec(done), PromptTokens: &prompt, CachedTokens: &cached, CompletionTokens: &completion, Messages: 2 * n, PromptSHA256: "x"}
	if cached < 0 {
		t.CachedTokens = nil
	}
	// a token an event, and an event a read
	t.TokenEvents, t.TokenReads, t.FirstReadEvents = new(int32(completion)), new(int32(completion)), new(int32(1))
	t.StreamedTokens, t.FirstReadTokens = &completion, new(int64(1))
	return t
}

type event struct {
	at     float64
	tokens int32 // below 0: not told
	kind   string
}

func chunks(run uuid.UUID, turn int32, events ...event) (out []store.Chunk) {
	for i, e := range events {
		c := store.Chunk{RunID: run, TurnID: turn, Seq: int32(i + 1), ReadSeq: int32(i + 1), TNs: sec(e.at), Kind: e.kind, Tokens: &events[i].tokens}
		if e.tokens < 0 {
			c.Tokens = nil
		}
		if c.Kind == "" {
			c.Kind = "content"
		}
		out = append(out, c)
	}
	return out
}

func tempPath(t testing.TB) string { return filepath.Join(t.TempDir(), "a.duckdb") }

// record writes a file and opens it for reading.
func record(t testing.TB, p string, fill func(ctx context.Context, r *store.Recorder) error) *store.DB {
	t.Helper()
	ctx := context.Background()
	d, err := store.Open(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fill(ctx, r), r.Flush(ctx), r.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	rd, err := store.OpenRead(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rd.Close() })
	return rd
}

func history(t testing.TB) *store.DB {
	t.Helper()
	return record(t, tempPath(t), fillHistory)
}

func ids(from, to int32) (out []int32) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func fillHistory(ctx context.Context, r *store.Recorder) error {
	a, b, c := uuid.MustParse(baseID), uuid.MustParse(earlyID), uuid.MustParse(lateID)
	day := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	after := func(h int, s int) time.Time {
		return day.Add(time.Duration(h)*time.Hour + time.Duration(s)*time.Second)
	}
	scrape := func(id, turn int32, phase string, values map[string]float64) error {
		errs := []error{store.Add(ctx, r, store.Scrape{RunID: c, ScrapeID: id, TurnID: &turn, Phase: phase})}
		for name, v := range values {
			errs = append(errs, store.Add(ctx, r, store.EngineMetric{RunID: c, ScrapeID: id, Name: "vllm:" + name, Value: v}))
		}
		return errors.Join(errs...)
	}
	counters := func(queries, hits, requests, prefill, preemptions float64) map[string]float64 {
		return map[string]float64{"prefix_cache_queries_total": queries, "prefix_cache_hits_total": hits, "request_queue_time_seconds_count": requests,
			"request_prefill_time_seconds_sum": prefill, "num_preemptions_total": preemptions, "request_queue_time_seconds_sum": prefill / 10, "time_to_first_token_seconds_sum": prefill * 1.2,
			"gpu_prefix_cache_queries_total": queries, "gpu_prefix_cache_hits_total": hits} // 0.10 gives the old names beside the new ones
	}
	errs := []error{
		// the order of the rows is not the order of the runs
		store.Add(ctx, r,
			store.Run{RunID: c, Name: "tuned", Status: "ok", StartedAt: after(2, 0), EndedAt: new(after(2, 10))},
			store.Run{RunID: a, Name: "base", Status: "ok", StartedAt: after(0, 0), EndedAt: new(after(0, 60)), Simulated: true},
			store.Run{RunID: b, Name: "tuned", Status: "failed", Error: new("the server died"), StartedAt: after(1, 0), EndedAt: new(after(1, 5))}),
		store.Add(ctx, r, store.RunTag{RunID: a, Key: "host", Value: "lab"}, store.RunTag{RunID: a, Key: "note", Value: "x=y"},
			store.RunTag{RunID: c, Key: "host", Value: "lab"}, store.RunTag{RunID: b, Key: "host", Value: "attic"}),
		store.Add(ctx, r,
			store.Engine{RunID: a, Kind: "simulator", Version: new("0.1"), Model: "m"}, store.Engine{RunID: b, Kind: "vllm", Version: new("0.2"), Model: "m"},
			store.Engine{RunID: c, Kind: "vllm", Version: new("0.3"), Model: "m", MaxModelLenTokens: new(int64(1000))}),
		store.Add(ctx, r,
			store.Setting{RunID: a, Source: "plan", Name: "repeats", Value: "1"}, store.Setting{RunID: b, Source: "plan", Name: "repeats", Value: "2"},
			store.Setting{RunID: c, Source: "plan", Name: "repeats", Value: "1"}, store.Setting{RunID: c, Source: "plan", Name: "only", Value: "x"},
			store.Setting{RunID: a, Source: "engine", Name: "version", Value: "0.1"}, store.Setting{RunID: b, Source: "engine", Name: "version", Value: "0.2"},
			store.Setting{RunID: c, Source: "engine", Name: "version", Value: "0.3"}, store.Setting{RunID: a, Source: "cache_config", Name: "block_size", Value: "16"},
			store.Setting{RunID: b, Source: "cache_config", Name: "block_size", Value: "16"}, store.Setting{RunID: c, Source: "cache_config", Name: "block_size", Value: "16"}),
		store.Add(ctx, r, store.Host{RunID: c, Hostname: new("h")}),
		store.Add(ctx, r, store.GPU{RunID: c, GPU: 0, Name: new("G")}),
		store.Add(ctx, r,
			store.Session{RunID: a, SessionID: 1, Conversation: "qa", Variant: "file", Repeat: 1, StartedNs: 0, EndedNs: new(sec(2)), Status: "ok"},
			store.Session{RunID: b, SessionID: 1, Conversation: "qa", Variant: "file", Repeat: 1, StartedNs: 0, EndedNs: new(sec(2)), Status: "failed"},
			store.Session{RunID: c, SessionID: 1, Conversation: "qa", Variant: "file", Warmup: true, StartID: new(int32(1)), StartedNs: 0, EndedNs: new(sec(1)), Status: "ok"},
			store.Session{RunID: c, SessionID: 2, Conversation: "qa", Variant: "file", Repeat: 1, StartID: new(int32(1)), StartedNs: sec(1), EndedNs: new(sec(3)), Status: "ok"},
			store.Session{RunID: c, SessionID: 3, Conversation: "qa", Variant: "file", Repeat: 2, StartedNs: sec(3), EndedNs: new(sec(5)), Status: "failed"},
			store.Session{RunID: c, SessionID: 4, Conversation: "rag", Variant: "file", Repeat: 1, StartID: new(int32(2)), StartedNs: sec(6), EndedNs: new(sec(7.5)), Status: "ok"}),
	}
	for i, starts := range [][]struct {
		phase string
		at    int64
	}{{{"spawned", -5000}, {"importing", -4000}, {"loading", -3000}, {"ready", -1000}, {"stopping", 5000}, {"exited", 5250}, {"released", 5500}}, {{"spawned", 5500}, {"ready", 5750}}} {
		errs = append(errs, store.Add(ctx, r, store.EngineStart{RunID: c, StartID: int32(i + 1), Status: "ready", Command: "vllm serve m", KVCacheSizeTokens: new(int64(4096))}))
		for _, p := range starts {
			errs = append(errs, store.Add(ctx, r, store.EnginePhase{RunID: c, StartID: int32(i + 1), Phase: p.phase, TNs: p.at * 1e6}))
		}
	}
	noWritten := turn(c, 4, 3, 1, "ok", 3, 3, 3.3, 3.3, 3.31, 120, -1, 1)
	noWritten.WrittenNs = nil // then TTFT counts from submit
	failed := turn(c, 5, 3, 2, "cut", 3.4, 3.4, 4.9, 4.99, 4.99, 9999, 9999, 99)
	failed.Error = new("the stream ended early")
	documents := turn(c, 6, 4, 1, "ok", 6, 6, 6.2, 6.6, 6.6, 500, -1, 9)
	documents.Documents = 2
	first := turn(c, 2, 2, 1, "ok", 0.999, 1, 1.1, 1.5, 1.51, 100, 0, 11)
	first.RequestID = new("r2")
	errs = append(errs,
		store.Add(ctx, r, store.Truth{RunID: c, RequestID: "r2", TNs: 5e6}, store.Truth{RunID: c, RequestID: "r2", Seq: 1, TNs: 100e6}, store.Truth{RunID: c, RequestID: "r2", Seq: 2, TNs: 100e6, Tokens: 1},
			store.Truth{RunID: c, RequestID: "r2", Seq: 3, TNs: 150e6, Tokens: 1}, store.Truth{RunID: c, RequestID: "r2", Seq: 4, TNs: 200e6, Tokens: 1}),
		store.Add(ctx, r,
			turn(a, 1, 1, 1, "ok", 0, 0, 0.4, 0.6, 0.6, 100, 50, 3),
			turn(b, 1, 1, 1, "http_error", 0, 0, 1, 2, 2, 7777, 7777, 77),
			turn(c, 1, 1, 1, "ok", 0, 0, 0.9, 0.99, 0.99, 8888, 8888, 88), // warm-up
			first,
			turn(c, 3, 2, 2, "ok", 1.999, 2, 2.05, 2.25, 2.26, 200, 128, 5),
			noWritten, failed, documents),
		store.Add(ctx, r, chunks(c, 1, event{0.2, 1, ""}, event{0.21, 1, ""}, event{0.22, 1, ""}, event{0.9, 1, ""})...),
		store.Add(ctx, r, chunks(c, 2, event{1.1, -1, "role"}, event{1.1, 1, ""}, event{1.12, 1, ""}, event{1.14, 1, ""}, event{1.16, 1, ""}, event{1.18, 1, ""}, event{1.2, 1, ""},
			event{1.44, 1, ""}, event{1.5, 4, ""}, event{1.51, 0, "usage"})...),
		store.Add(ctx, r, chunks(c, 3, event{2.05, 1, ""}, event{2.1, 1, ""}, event{2.15, 1, ""}, event{2.2, 1, "reasoning"}, event{2.25, 1, ""})...),
		store.Add(ctx, r, chunks(c, 5, event{3.5, 1, ""}, event{3.51, 1, ""}, event{3.52, 1, ""}, event{4.9, 1, ""})...),
		store.Add(ctx, r, chunks(c, 6, event{6.2, -1, ""}, event{6.4, -1, ""}, event{6.6, -1, ""})...),
		scrape(1, 2, "before", counters(1000, 500, 3, 2, 0)), scrape(2, 2, "after", counters(1100, 500, 4, 2.25, 2)),
		scrape(3, 3, "before", counters(1100, 500, 4, 2.25, 2)), scrape(4, 3, "after", counters(1300, 640, 5, 2.5, 2)),
		scrape(5, 4, "before", counters(1300, 640, 5, 2.5, 2)), scrape(6, 4, "after", counters(120, 0, 1, 0.1, 0)), // the server was restarted
		scrape(7, 6, "before", counters(120, 0, 1, 0.1, 0)), scrape(8, 6, "after", counters(620, 0, 3, 0.3, 0)), // somebody else asked too
		scrape(9, 6, "tick", map[string]float64{"kv_cache_usage_perc": 0.5}), scrape(10, 6, "tick", map[string]float64{"kv_cache_usage_perc": 0.25}),
		store.Add(ctx, r,
			store.GPUSample{RunID: c, TNs: sec(0.1), SampleGroup: "fast", PowerW: new(60.0), GPUUtilRatio: new(0.5), SMClockMHz: new(int64(1000)), MemoryUsedBytes: new(int64(10)), ThrottleReasons: new(int64(1))},
			store.GPUSample{RunID: c, TNs: sec(0.2), SampleGroup: "fast", PowerW: new(80.0), GPUUtilRatio: new(1.0), SMClockMHz: new(int64(1201)), MemoryUsedBytes: new(int64(20)), ThrottleReasons: new(int64(4)), TemperatureC: new(55.0)},
			store.GPUSample{RunID: c, TNs: sec(1.3), SampleGroup: "fast", PowerW: new(111.0), PowerInstantW: new(250.0), GPUUtilRatio: new(0.1), SMClockMHz: new(int64(900)), ThrottleReasons: new(int64(8))},
			store.GPUSample{RunID: c, GPU: 1, TNs: sec(0.1), SampleGroup: "fast", MemoryUsedBytes: new(int64(7)), DRAMActiveRatio: new(0.25)}),
		store.Add(ctx, r,
			store.HostSample{RunID: c, TNs: sec(0.5), CPURatio: new(0.2), MemoryUsedBytes: new(int64(3000))},
			store.HostSample{RunID: c, TNs: sec(1.5), LateNs: sec(0.25), CPURatio: new(0.9), MemoryUsedBytes: new(int64(1000))}),
		store.Add(ctx, r,
			store.ProcessSample{RunID: c, TNs: sec(1), PID: 1, Role: "wb", RSSBytes: new(int64(700))}, store.ProcessSample{RunID: c, TNs: sec(2), PID: 1, Role: "wb", RSSBytes: new(int64(500))},
			store.ProcessSample{RunID: c, TNs: sec(1), PID: 10, Role: "engine", RSSBytes: new(int64(5000))}, store.ProcessSample{RunID: c, TNs: sec(2), PID: 10, Role: "engine", RSSBytes: new(int64(6000))},
			store.ProcessSample{RunID: c, TNs: sec(2), PID: 11, Role: "engine", RSSBytes: new(int64(1000))}),
		store.Add(ctx, r,
			store.Event{RunID: c, TNs: sec(1.6), Kind: "frozen", Source: "sampler", Message: "wb stood still for 250 ms"},
			store.Event{RunID: c, TNs: sec(5), Kind: "clock_step", Source: "sampler", Message: "the wall clock moved"}))
	errs = append(errs,
		store.Add(ctx, r,
			store.CacheTurn{RunID: c, TurnID: 2, BlockSizeTokens: 16, TextIdealTokens: 0},
			store.CacheTurn{RunID: c, TurnID: 3, BlockSizeTokens: 16, CommonTokens: 140, BlockIdealTokens: 128, TextIdealTokens: 140, PredictedTokens: 128, DivergenceMessage: new(int32(0)), DivergenceRole: new("system"),
				DivergenceCharacter: new(int64(5)), DivergenceToken: new(int64(140)), DivergenceReference: new("turn"), DivergenceBefore: new("It is Monday"), DivergenceNow: new("It is Tuesday")},
			store.CacheTurn{RunID: c, TurnID: 6, BlockSizeTokens: 16}),
		store.Add(ctx, r, store.CacheMiss{RunID: c, TurnID: 2, Cause: "new_text", Tokens: 100}, store.CacheMiss{RunID: c, TurnID: 3, Cause: "new_text", Tokens: 20},
			store.CacheMiss{RunID: c, TurnID: 3, Cause: "changed_text", Tokens: 40}, store.CacheMiss{RunID: c, TurnID: 3, Cause: "block_rounding", Tokens: 12}, store.CacheMiss{RunID: c, TurnID: 6, Cause: "new_text", Tokens: 500}),
		store.Add(ctx, r, store.TurnTokens(store.TurnToken{RunID: c, TurnID: 2, Kind: "prompt"}, ids(0, 100))...), // as an older wb left the others
		store.Add(ctx, r, store.TurnToken{RunID: c, TurnID: 2, Kind: "output", Tokens: ids(100, 111)},
			store.TurnToken{RunID: c, TurnID: 3, Kind: "prompt", SharedTurnID: new(int32(2)), SharedTokens: 100, Tokens: ids(100, 200)}))
	// the energy counter, once a second; between the readings these are the watts
	total := int64(40_000)
	for s, watts := range []int64{50, 100, 200, 100, 100, 60, 300, 100, 0} {
		errs = append(errs, store.Add(ctx, r, store.GPUSample{RunID: c, TNs: sec(float64(s)), SampleGroup: "slow", EnergyMJ: new(total)}))
		total += watts * 1000
	}
	return errors.Join(errs...)
}

// Prompts and replies are put together from their parts, and from rows of an older wb, which hold them whole.
func TestReadTokens(t *testing.T) {
	ctx := context.Background()
	conn, err := history(t).SQL().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	turns, err := readTokens(ctx, conn, lateID)
	if err != nil {
		t.Fatal(err)
	}
	if len(turns) != 2 || !slices.Equal(turns[0].prompt, ids(0, 100)) || !slices.Equal(turns[0].output, ids(100, 111)) || !slices.Equal(turns[1].prompt, ids(0, 200)) {
		t.Errorf("%v", turns)
	}
}
