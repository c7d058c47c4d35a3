//go:build duckdb_arrow

package queries

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/uuid"

	"wb/data"
	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/store"
)

const phi35 = `{"model_type": "phi3", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
	"hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32064, "tie_word_embeddings": false}`

// phi35Model gives the facts of Phi-3.5-mini in BF16 on one GPU of a run.
func phi35Model(t *testing.T) func(run uuid.UUID, gpu string) store.Model {
	t.Helper()
	f, err := data.ParseModelConfig([]byte(phi35))
	if err != nil {
		t.Fatal(err)
	}
	f.WeightsBytes = 2 * f.Parameters()
	w := f.Work(2)
	return func(run uuid.UUID, gpu string) store.Model {
		return store.Model{RunID: run, Source: "test", Parameters: f.Parameters(), WeightsBytes: f.WeightsBytes,
			PrefillWeightsBytes: w.PrefillWeightsBytes, DecodeWeightsBytes: w.DecodeWeightsBytes,
			LayerParameters: w.LayerParameters, HeadParameters: w.HeadParameters, Layers: f.Layers,
			AttentionWidth: w.AttentionWidth, KVLayerBytes: w.KVLayerBytes, Arithmetic: "bf16", GPUName: &gpu, GPUs: 1}
	}
}

// Phi-3.5-mini on an H200, by hand: 7.44 GB of weights and 393,216 bytes of KV per token of context, over 4.8 TB/s.
// The times per token are those that were measured there, with CUDA graphs and eager.
func TestRoofline(t *testing.T) {
	model := phi35Model(t)
	cases := []struct {
		context              int64
		limit, graphs, eager float64 // ms per token
		mbuGraphs            float64
	}{{991, 1.63, 3.43, 14.2, 0.48}, {7155, 2.14, 4.16, 14.3, 0.51}, {28307, 3.87, 7.01, 16.0, 0.55}, {88451, 8.80, 16.1, 16.0, 0.55}}
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for i, id := range []string{fixture.BaseID, fixture.EarlyID, fixture.LateID} {
			run := uuid.MustParse(id)
			errs = append(errs, store.Add(ctx, r, store.Run{RunID: run, Name: []string{"graphs", "eager", "elsewhere"}[i], Status: "ok"}),
				store.Add(ctx, r, store.Session{RunID: run, SessionID: 1, Conversation: "c", Repeat: 1, Status: "ok"}))
			gpu := []string{"NVIDIA H200", "NVIDIA H200", "NVIDIA Imaginary 1"}[i]
			errs = append(errs, store.Add(ctx, r, model(run, gpu)))
			for k, c := range cases {
				tpot := []float64{c.graphs, c.eager, c.eager}[i] / 1e3
				at := float64(k) * 100
				end := at + 4 + 63*tpot
				errs = append(errs, store.Add(ctx, r, fixture.Turn(run, int32(k+1), 1, int32(k+1), "ok", at, at, at+4, end, end, c.context-32, 0, 64)))
			}
		}
		return errors.Join(errs...)
	})
	tb, err := find(t, "roofline").Run(context.Background(), db, Options{Runs: "graphs"})
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got any, want, by float64) {
		t.Helper()
		v, ok := got.(float64)
		if !ok || math.Abs(v-want) > by {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	cell := func(tb *table.Table, row int, column string) any { return tb.Rows[row][tb.ColumnIndex(column)] }
	for i, c := range cases {
		near("limit", cell(tb, i, "decode_limit_p50_ms"), c.limit, 0.006)
		near("MBU", cell(tb, i, "mbu_p50_ratio"), c.mbuGraphs, 0.0051)
		// prefill by hand: 2 FLOP for each of the 3.624e9 parameters of the layers and token, the head once, 4·3072·32 for each pair of tokens
		n := float64(c.context - 32)
		flop := 2*3623878656*n + 2*98500608 + 4*3072*32*n*(n+1)/2
		prefill := math.Max(flop/989e12, (7444758528+393216*n)/4.8e12) * 1e3
		near("prefill limit", cell(tb, i, "prefill_limit_p50_ms"), prefill, 0.01)
		near("MFU", cell(tb, i, "mfu_p50_ratio"), flop/989e12/4, 0.0001) // in the four seconds that the prefill took
		near("factor", cell(tb, i, "times_limit_p50"), (4000+63*c.graphs)/(prefill+63*c.limit), 0.06*c.graphs)
	}
	b := fmt.Sprint(cell(tb, 0, "limited_by"), ", ", cell(tb, 3, "limited_by"), ", ", cell(tb, 3, "limits_of"))
	if b != "prefill: overhead, prefill: arithmetic, NVIDIA H200" {
		t.Error(b)
	}
	if tb, err = find(t, "roofline").Run(context.Background(), db, Options{Runs: "eager"}); err != nil {
		t.Fatal(err)
	}
	near("eager MBU", cell(tb, 0, "mbu_p50_ratio"), 0.115, 0.0006)
	near("eager MBU at 88K", cell(tb, 3, "mbu_p50_ratio"), 0.55, 0.0006)
	if tb, err = find(t, "roofline").Run(context.Background(), db, Options{Runs: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	if cell(tb, 0, "decode_limit_p50_ms") != nil || cell(tb, 0, "mbu_p50_ratio") != nil || cell(tb, 0, "limited_by") != nil ||
		cell(tb, 0, "limits_of") != "unknown: no peak figures of NVIDIA Imaginary 1" {
		t.Errorf("an unknown GPU: %v", tb.Rows[0])
	}
}

// captured is a turn that vLLM 0.26 answered on an H200 (a model of the shape of Phi-3.5-mini), and the growth of its counters.
type captured struct {
	prompt, cached           int64
	ttft, itl                float64 // ms
	hits, external, accepted float64
}

// Turns of 24 tokens each, once with ngram speculation, and once with the KV cache offloaded to host memory.
var (
	speculation = []captured{{700, 0, 3180.3, 22.612, 0, 0, 16}, {745, 704, 46.516, 1.3675, 704, 0, 20},
		{790, 752, 38.633, 1.4077, 752, 0, 20}, {835, 800, 43.198, 1.5979, 800, 0, 20}}
	offloading = []captured{{5709, 0, 89.507, 5.6238, 0, 0, 0}, {5754, 5728, 47.932, 3.9600, 5728, 0, 0},
		{5709, 5696, 27.425, 3.9964, 2576, 3120, 0}, {5754, 5744, 28.603, 3.9851, 5728, 16, 0}}
)

// addCaptured records turns as a run, with the scrapes before and after each; a server that speculates counts accepted tokens.
func addCaptured(ctx context.Context, r *store.Recorder, run uuid.UUID, turns []captured, speculates bool) error {
	total := map[string]float64{"prefix_cache_queries_total": 1000, "prefix_cache_hits_total": 100,
		"external_prefix_cache_hits_total": 10, "request_queue_time_seconds_count": 1}
	if speculates {
		total["spec_decode_num_accepted_tokens_total"] = 0
	}
	var errs []error
	scrape := func(id, turn int32, phase string) {
		errs = append(errs, store.Add(ctx, r, store.Scrape{RunID: run, ScrapeID: id, TurnID: &turn, Phase: phase}))
		for name, v := range total {
			errs = append(errs, store.Add(ctx, r, store.EngineMetric{RunID: run, ScrapeID: id, Name: "vllm:" + name, Value: v}))
		}
	}
	for k, c := range turns {
		id, at, first := int32(k+1), float64(k)*100, c.ttft/1e3
		scrape(2*id, id, "before")
		total["prefix_cache_queries_total"] += float64(c.prompt)
		total["prefix_cache_hits_total"] += c.hits
		total["external_prefix_cache_hits_total"] += c.external
		total["request_queue_time_seconds_count"]++
		if speculates {
			total["spec_decode_num_accepted_tokens_total"] += c.accepted
		}
		scrape(2*id+1, id, "after")
		end := at + first + 23*c.itl/1e3
		row := fixture.Turn(run, id, 1, id, "ok", at, at, at+first, end, end, c.prompt, c.cached, 24)
		errs = append(errs, store.Add(ctx, r, row))
	}
	return errors.Join(errs...)
}

// A step of speculation reads the weights once for several tokens.
// A load from the host is a hit that the counter of the device does not include.
func TestLimitsOfCaptures(t *testing.T) {
	model := phi35Model(t)
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for i, turns := range [][]captured{speculation, offloading} {
			run := uuid.MustParse([]string{fixture.BaseID, fixture.EarlyID}[i])
			errs = append(errs, store.Add(ctx, r, store.Run{RunID: run, Name: []string{"speculation", "offloading"}[i], Status: "ok"}),
				store.Add(ctx, r, store.Session{RunID: run, SessionID: 1, Conversation: "c", Repeat: 1, Status: "ok"}),
				store.Add(ctx, r, model(run, "NVIDIA H200")), addCaptured(ctx, r, run, turns, i == 0))
		}
		return errors.Join(errs...)
	})
	for name, turns := range map[string][]captured{"speculation": speculation, "offloading": offloading} {
		checkLimits(t, db, name, turns)
		checkCounters(t, db, name, turns)
	}
}

// checkLimits compares the report of limits with what was computed from captured turns by hand.
func checkLimits(t *testing.T, db *store.DB, name string, turns []captured) {
	t.Helper()
	limits, err := find(t, "roofline").Run(context.Background(), db, Options{Runs: name})
	if err != nil {
		t.Fatal(err)
	}
	cell := func(row int, column string) float64 {
		v, ok := limits.Rows[row][limits.ColumnIndex(column)].(float64)
		if !ok {
			t.Errorf("%s turn %d: %s is %v (%v)", name, row+1, column,
				limits.Rows[row][limits.ColumnIndex(column)], limits.Rows[row][limits.ColumnIndex("limits_of")])
		}
		return v
	}
	for i, row := range limits.Rows {
		c := turns[row[limits.ColumnIndex("turn")].(int64)-1]
		steps := 23 / (23 - c.accepted)
		bytes := (7444758528 + 393216*float64(c.prompt+12)) / steps
		if got, want := cell(i, "mbu_p50_ratio"), bytes/4.8e12/(c.itl/1e3); math.Abs(got-want) > 0.005 || got > 1 {
			t.Errorf("%s, prompt of %d: MBU %v, want %v", name, c.prompt, got, want)
		}
		if got := cell(i, "step_p50_tokens"); math.Abs(got-steps) > 0.01 {
			t.Errorf("%s, prompt of %d: %v tokens per step, want %v", name, c.prompt, got, steps)
		}
		if cell(i, "mfu_p50_ratio") > 1.02 || cell(i, "times_limit_p50") < 0.98 {
			t.Errorf("%s: %v", name, row)
		}
	}
}

// checkCounters expects the server's counters to agree with its answers, hits in host memory included.
func checkCounters(t *testing.T, db *store.DB, name string, turns []captured) {
	t.Helper()
	agree, err := find(t, "cache_counters_agree").Run(context.Background(), db, Options{Runs: name})
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range agree.Rows {
		external := fmt.Sprint(row[agree.ColumnIndex("external_hit_tokens")])
		if row[agree.ColumnIndex("agree")] != true || external != fmt.Sprint(turns[i].external) {
			t.Errorf("%s: %v", name, row)
		}
	}
}

// A turn that is faster than its GPU can be has a reason in place of ratios. An event is taken as a step where no counter says otherwise.
func TestRatiosAboveOne(t *testing.T) {
	model := phi35Model(t)
	run := uuid.MustParse(fixture.BaseID)
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		fast := fixture.Turn(run, 1, 1, 1, "ok", 0, 0, 4, 4.023, 4.023, 700, 0, 24) // 1 ms per token, and 1.6 is the limit
		events := fixture.Turn(run, 2, 1, 2, "ok", 10, 10, 14, 14.023, 14.023, 700, 0, 24)
		events.TokenEvents, events.TokenReads = new(int32(7)), new(int32(7)) // 23 tokens in 6
		prefill := fixture.Turn(run, 3, 1, 3, "ok", 20, 20, 20.001, 21, 21, 7000, 0, 24)
		return errors.Join(store.Add(ctx, r, store.Run{RunID: run, Name: "x", Status: "ok"}),
			store.Add(ctx, r, store.Session{RunID: run, SessionID: 1, Conversation: "c", Repeat: 1, Status: "ok"}),
			store.Add(ctx, r, model(run, "NVIDIA H200")),
			store.Add(ctx, r, fast, events, prefill))
	})
	tb, err := find(t, "roofline").Run(context.Background(), db, Options{Runs: "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int64]string{
		1: "<nil> <nil> unknown: tokens came in 0.62 of the time that NVIDIA H200 needs: " +
			"the model's size, the GPU or the tokens per step (1.0) must be wrong",
		2: "0.4198 270.3 NVIDIA H200",
		3: "0.0489 <nil> unknown: prefill took 0.02 of the time that NVIDIA H200 needs: " +
			"the model's size, the GPU or the cached tokens (0) must be wrong",
	}
	for _, row := range tb.Rows {
		get := func(column string) any { return row[tb.ColumnIndex(column)] }
		if got := fmt.Sprint(get("mbu_p50_ratio"), " ", get("times_limit_p50"), " ", get("limits_of")); got != want[get("turn").(int64)] {
			t.Errorf("turn %v: %s", get("turn"), got)
		}
	}
}

// Every row of the table of peaks has a source, plausible figures and a name that no other row has.
func TestPeaks(t *testing.T) {
	db := fixture.History(t)
	tb, err := AdHoc("SELECT gpu_name, memory_bandwidth_bytes_per_s, bf16_flop_per_s, fp8_flop_per_s, source FROM "+
		"gpu_peaks").Run(context.Background(), db, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for _, r := range tb.Rows {
		bw, _ := r[1].(float64)
		flop, known := r[2].(float64)
		fp8, has := r[3].(float64)
		if s, _ := r[4].(string); seen[r[0]] || len(s) < 10 || bw < 1e11 || bw > 1e13 || (known && (flop/bw < 50 || flop/bw > 500)) ||
			(has && math.Abs(fp8/flop-2) > 0.05) {
			t.Errorf("%v", r)
		}
		seen[r[0]] = true
	}
	if len(tb.Rows) < 30 || !seen["NVIDIA H200"] || !seen["NVIDIA H100 80GB HBM3"] {
		t.Errorf("%d GPUs", len(tb.Rows))
	}
}
