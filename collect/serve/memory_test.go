package serve

import (
	"os"
	"strings"
	"testing"

	"wb/data"
)

// The estimate made before the start is compared with the pool that vLLM reported.
func TestEstimate(t *testing.T) {
	smol := &data.ModelFacts{Shape: data.Shape{Layers: 30, KVHeads: 3, HeadDim: 64, Hidden: 576, Intermediate: 1536, Vocab: 49152},
		WeightsBytes: 269 << 20, ContextTokens: 8192}
	text, err := os.ReadFile("testdata/logs/vllm-0.32-cpu-ready.log")
	if err != nil {
		t.Fatal(err)
	}
	f := Estimate(smol, Memory{CPU: true, TotalBytes: 24 << 30, FreeBytes: 20 << 30, KVBytes: 1 << 30},
		Settings{MaxModelLen: 8192, BatchedTokens: 512, Seqs: 2})
	within(t, f, VLLM().ReadReport(string(text)))
	if text, _ := f.Problem(); text != "" {
		t.Error(text)
	}

	// two model shapes on an H100 with vLLM 0.26; the free memory is what wb doctor reported
	for _, tt := range []struct {
		log   string
		shape data.Shape
		bytes int64 // of weights, at 16 bits per parameter
		util  float64
		s     Settings
	}{
		{"vllm-0.26-h100-ready-mha_eager.log",
			data.Shape{Layers: 32, KVHeads: 32, HeadDim: 96, Hidden: 3072, Intermediate: 8192, Vocab: 32064},
			7_642_000_000, 0.3, Settings{MaxModelLen: 32768, BatchedTokens: 512, Seqs: 2}},
		{"vllm-0.26-h100-ready-gqa_graphs.log",
			data.Shape{Layers: 36, KVHeads: 8, HeadDim: 128, Hidden: 2560, Intermediate: 9728, Vocab: 32064},
			7_432_000_000, 0.2, Settings{MaxModelLen: 16384, BatchedTokens: 8192, Seqs: 2, Graphs: true}},
	} {
		text, err := os.ReadFile("testdata/logs/" + tt.log)
		if err != nil {
			t.Fatal(err)
		}
		m := &data.ModelFacts{Shape: tt.shape, WeightsBytes: tt.bytes, ContextTokens: 131072}
		f := Estimate(m, Memory{TotalBytes: 81559 << 20, FreeBytes: 80800 << 20, Utilization: tt.util}, tt.s)
		within(t, f, VLLM().ReadReport(string(text)))
	}

	phi := data.ModelFacts{Shape: data.Shape{Layers: 32, KVHeads: 32, HeadDim: 96, Hidden: 3072, Intermediate: 8192, Vocab: 32064},
		WeightsBytes: 7_642_000_000, ContextTokens: 131072}
	for _, tt := range []struct {
		name       string
		mem        Memory
		s          Settings
		text, hint string
		certain    bool
	}{
		{"fits", Memory{TotalBytes: 80 << 30, FreeBytes: 79 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 131072, BatchedTokens: 512, Seqs: 2}, "", "", false},
		{"more than the model", Memory{TotalBytes: 80 << 30, FreeBytes: 79 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 200000, BatchedTokens: 512, Seqs: 2}, "more than the model's 131072", "--max-model-len 131072", true},
		{"context does not fit", Memory{TotalBytes: 24 << 30, FreeBytes: 23 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 131072, BatchedTokens: 512, Seqs: 2}, "needs 48.0 GiB of KV cache", "--max-model-len ", true},
		{"others use it", Memory{TotalBytes: 24 << 30, FreeBytes: 15 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2},
			"15.0 GiB of 24.0 GiB GPU memory are free", "--gpu-memory-utilization 0.62", true},
		{"weights do not fit", Memory{TotalBytes: 6 << 30, FreeBytes: 6 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2}, "leave no KV cache", "4-bit", true},
		{"two GPUs", Memory{TotalBytes: 6 << 30, FreeBytes: 6 << 30, Utilization: 0.9},
			Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2, Parallel: 2}, "", "", false},
		{"cpu", Memory{CPU: true, TotalBytes: 8 << 30, FreeBytes: 6 << 30, KVBytes: 1 << 30},
			Settings{MaxModelLen: 2048, BatchedTokens: 512, Seqs: 2}, "do not fit into 6.0 GiB of free memory", "VLLM_CPU_KVCACHE_SPACE", true},
	} {
		f := Estimate(&phi, tt.mem, tt.s)
		text, hint := f.Problem()
		if !strings.Contains(text, tt.text) || (tt.text == "") != (text == "") || !strings.Contains(hint, tt.hint) ||
			(text != "" && f.Certain() != tt.certain) {
			t.Errorf("%s: %q (%q), certain %v; %+v", tt.name, text, hint, f.Certain(), f)
		}
	}
}

func within(t *testing.T, f Fit, r Report) {
	t.Helper()
	if r.KVCacheTokens == nil {
		t.Fatal("the log does not give the size of the KV cache")
	}
	if got, want := float64(f.KVTokens), float64(*r.KVCacheTokens); got < 0.9*want || got > 1.1*want {
		t.Errorf("estimated %.0f tokens, vLLM reports %.0f", got, want)
	}
}
