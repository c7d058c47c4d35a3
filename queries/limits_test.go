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
	"wb/store"
)

const phi35 = `{"model_type": "phi3", "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32064, "tie_word_embeddings": false}`

// Phi-3.5-mini on an H200, by hand: 7.44 GB of weights and 393,216 bytes of KV a token of context, over 4.8 TB/s. The times per token are those
// that were measured there, with CUDA graphs and eager.
func TestRoofline(t *testing.T) {
	f, err := data.ParseModelConfig([]byte(phi35))
	if err != nil {
		t.Fatal(err)
	}
	f.WeightsBytes = 2 * f.Parameters()
	w := f.Work(2)
	cases := []struct {
		context              int64
		limit, graphs, eager float64 // ms a token
		mbuGraphs            float64
	}{{991, 1.63, 3.43, 14.2, 0.48}, {7155, 2.14, 4.16, 14.3, 0.51}, {28307, 3.87, 7.01, 16.0, 0.55}, {88451, 8.80, 16.1, 16.0, 0.55}}
	db := record(t, tempPath(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for i, id := range []string{baseID, earlyID, lateID} {
			run := uuid.MustParse(id)
			errs = append(errs, store.Add(ctx, r, store.Run{RunID: run, Name: []string{"graphs", "eager", "elsewhere"}[i], Status: "ok"}), store.Add(ctx, r, store.Session{RunID: run, SessionID: 1, Conversation: "c", Repeat: 1, Status: "ok"}))
			gpu := []string{"NVIDIA H200", "NVIDIA H200", "NVIDIA Imaginary 1"}[i]
			errs = append(errs, store.Add(ctx, r, store.Model{RunID: run, Source: "test", Parameters: f.Parameters(), WeightsBytes: f.WeightsBytes, PrefillWeightsBytes: w.PrefillWeightsBytes, DecodeWeightsBytes: w.DecodeWeightsBytes,
				LayerParameters: w.LayerParameters, HeadParameters: w.HeadParameters, Layers: f.Layers, AttentionWidth: w.AttentionWidth, KVLayerBytes: w.KVLayerBytes, Arithmetic: "bf16", GPUName: &gpu, GPUs: 1}))
			for k, c := range cases {
				tpot := []float64{c.graphs, c.eager, c.eager}[i] / 1e3
				at := float64(k) * 100
				errs = append(errs, store.Add(ctx, r, turn(run, int32(k+1), 1, int32(k+1), "ok", at, at, at+1, at+1+63*tpot, at+1+63*tpot, c.context-32, 0, 64)))
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
	cell := func(tb *Table, row int, column string) any { return tb.Rows[row][tb.ColumnIndex(column)] }
	for i, c := range cases {
		near("limit", cell(tb, i, "decode_limit_ms"), c.limit, 0.006)
		near("MBU", cell(tb, i, "mbu_ratio"), c.mbuGraphs, 0.0051)
		// prefill by hand: 2 FLOP for each of the 3.624e9 parameters of the layers and token, the head once, 4·3072·32 for each pair of tokens
		n := float64(c.context - 32)
		flop := 2*3623878656*n + 2*98500608 + 4*3072*32*n*(n+1)/2
		near("prefill limit", cell(tb, i, "prefill_limit_ms"), math.Max(flop/989e12, (7444758528+393216*n)/4.8e12)*1e3, 0.01)
		near("MFU", cell(tb, i, "mfu_ratio"), flop/989e12, 0.0001) // in the second that the prefill took
		near("factor", cell(tb, i, "times_limit"), (1000+63*c.graphs)/(math.Max(flop/989e12, (7444758528+393216*n)/4.8e12)*1e3+63*c.limit), 0.06*c.graphs)
	}
	if b := fmt.Sprint(cell(tb, 0, "bound"), ", ", cell(tb, 3, "bound"), ", ", cell(tb, 3, "limits_of")); b != "prefill: overhead, decode: memory bandwidth, NVIDIA H200" {
		t.Error(b)
	}
	if tb, err = find(t, "roofline").Run(context.Background(), db, Options{Runs: "eager"}); err != nil {
		t.Fatal(err)
	}
	near("eager MBU", cell(tb, 0, "mbu_ratio"), 0.115, 0.0006)
	near("eager MBU at 88K", cell(tb, 3, "mbu_ratio"), 0.55, 0.0006)
	if tb, err = find(t, "roofline").Run(context.Background(), db, Options{Runs: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	if cell(tb, 0, "decode_limit_ms") != nil || cell(tb, 0, "mbu_ratio") != nil || cell(tb, 0, "bound") != nil || cell(tb, 0, "limits_of") != "unknown: no peak figures of NVIDIA Imaginary 1" {
		t.Errorf("an unknown GPU: %v", tb.Rows[0])
	}
}

// Every row of the table of peaks has a source, plausible figures and a name of its own.
func TestPeaks(t *testing.T) {
	db := history(t)
	tb, err := AdHoc("SELECT gpu_name, memory_bandwidth_bytes_per_s, bf16_flop_per_s, fp8_flop_per_s, source FROM gpu_peaks").Run(context.Background(), db, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for _, r := range tb.Rows {
		bw, _ := r[1].(float64)
		flop, known := r[2].(float64)
		fp8, has := r[3].(float64)
		if s, _ := r[4].(string); seen[r[0]] || len(s) < 10 || bw < 1e11 || bw > 1e13 || (known && (flop/bw < 50 || flop/bw > 500)) || (has && math.Abs(fp8/flop-2) > 0.05) {
			t.Errorf("%v", r)
		}
		seen[r[0]] = true
	}
	if len(tb.Rows) < 30 || !seen["NVIDIA H200"] || !seen["NVIDIA H100 80GB HBM3"] {
		t.Errorf("%d GPUs", len(tb.Rows))
	}
}
