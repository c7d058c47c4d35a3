package machine

import (
	"testing"

	"wb/collect/client"
	"wb/data"
)

// builtIn gives the models that every installation knows, whatever models file the developer has.
func builtIn(t *testing.T) []data.Model {
	t.Setenv("WB_MODELS", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	all, err := data.Models()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoom(t *testing.T) {
	all := builtIn(t)
	gpu := func(gib int64) Room {
		r := Room{Device: "a GPU"}
		r.Memory.TotalBytes, r.Memory.FreeBytes, r.Memory.Utilization = gib<<30, gib<<30, 0.92
		return r
	}
	cpu := Room{Device: "no GPU"}
	cpu.Memory.CPU, cpu.Memory.TotalBytes, cpu.Memory.FreeBytes = true, 24<<30, 20<<30
	for _, tt := range []struct {
		room Room
		want string
	}{
		{gpu(80), "phi-4-mini"},
		{gpu(12), "phi-4-mini"},
		{gpu(8), "smollm2-1.7b"},
		{gpu(6), "smollm2-1.7b"},
		{gpu(4), "qwen3-0.6b"},
		{cpu, "smollm2-135m"},
	} {
		m, err := tt.room.Recommend()
		if err != nil || m.Name != tt.want {
			t.Errorf("%v: %s, want %s (%v)", tt.room, m.Name, tt.want, err)
		}
	}
	if m, err := gpu(1).Recommend(); err == nil && m.Name != "smollm2-135m" {
		t.Errorf("%s into 1 GiB", m.Name)
	}
	// with more memory, the context that fits is never shorter
	for _, m := range all {
		last := int64(0)
		for _, gib := range []int64{4, 8, 16, 24, 48, 80} {
			_, n := gpu(gib).Fits(m)
			if n < last || n > m.ContextTokens {
				t.Errorf("%s: %d tokens in %d GiB, %d in less", m.Name, n, gib, last)
			}
			last = n
		}
		if last != m.ContextTokens && m.Name != "phi-3.5-mini" {
			t.Errorf("%s: only %d tokens in 80 GiB", m.Name, last)
		}
	}
}

// When no server answers, the remedy does not recommend wb doctor, which is running already.
func TestDiagnoseNoServer(t *testing.T) {
	c, err := client.New("http://127.0.0.1:1", "", func() int64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	found := DiagnoseServer(t.Context(), c, "")
	if len(found) != 1 || found[0].Level != LevelFail || found[0].Remedy != "start it, or check URL, port and model name" {
		t.Errorf("%+v", found)
	}
}

// llama.cpp holds, beside weights and KV cache, the logits of 512 tokens and half a gibibyte.
func TestFitsGGUF(t *testing.T) {
	f := &data.ModelFacts{WeightsBytes: 4 << 30, ContextTokens: 131_072,
		Shape: data.Shape{Layers: 32, KVHeads: 8, HeadDim: 128, Hidden: 4096, Intermediate: 14336, Vocab: 128_256, Heads: 32}}
	gib := func(n float64, cpu bool) Room {
		var r Room
		r.Memory.TotalBytes = int64(n * (1 << 30))
		if r.Memory.CPU = cpu; cpu {
			r.Memory.FreeBytes, r.Memory.TotalBytes = r.Memory.TotalBytes, 1<<40
		}
		return r
	}
	for _, tt := range []struct {
		room   Room
		fits   bool
		tokens int64
	}{
		{gib(80, false), true, 131_072},
		{gib(80, true), true, 131_072},
		// 128 KiB per token: 6 GiB leave 1.8 GiB after 4 GiB of weights and the buffers of a step
		{gib(6, false), true, 14336},
		{gib(6, true), true, 14336},
		{gib(4.5, false), false, 3072},
		{gib(4, false), false, 0},
	} {
		if fits, tokens := tt.room.FitsGGUF(f); fits != tt.fits || tokens != tt.tokens {
			t.Errorf("in %s: %v, %d tokens; want %v, %d", tt.room, fits, tokens, tt.fits, tt.tokens)
		}
	}
}
