package serve

import (
	"fmt"
	"math"

	"wb/data"
	"wb/data/plain"
)

// LlamaSettings are the settings of llama-server that decide how much memory it needs.
type LlamaSettings struct {
	Context     int64 // tokens of one request
	Slots       int64
	Unified     bool    // all slots share one cache of Context tokens
	Step        int64   // tokens of one step (--ubatch-size)
	KeyBytes    float64 // size of one value of a key in the cache
	ValueBytes  float64 // size of one value of a value in the cache
	WholeWindow bool    // sliding layers keep all tokens (--swa-full)
	NoFlash     bool    // flash attention is off
}

// LlamaFit says how much memory a model needs with llama-server, and how much is free.
type LlamaFit struct {
	LlamaSettings
	ModelContext int64 // the longest context that the model allows, tokens; 0: unknown
	Layers       int64
	WeightsBytes int64
	KVBytes      int64
	ComputeBytes int64 // an estimate

	HostFree    int64 // memory of the machine
	DeviceFree  int64 // memory of the GPUs
	GPULayers   int64 // layers on GPUs; -1: as many as fit
	LongContext bool  // the user stretches the model's context
}

// EstimateLlama works out how much memory a model needs. Weights and KV cache are exact to about 1 %. The rest was measured on build 10434
// with two models; docs/reference/serving.md has the readings. One step holds three vectors of the feed-forward width and four of the
// hidden width for each of its tokens, in 32 bits. It also holds the mask of the attention in 16 bits, and the logits of each slot.
// Without flash attention it holds the scores of all heads of one layer in 32 bits.
func EstimateLlama(m *data.ModelFacts, s LlamaSettings) LlamaFit {
	f := LlamaFit{LlamaSettings: s, ModelContext: m.ContextTokens, Layers: m.Layers, WeightsBytes: m.WeightsBytes, GPULayers: -1}
	cells := (s.Context + 255) / 256 * 256
	sequences, window := s.Slots, s.Step
	if s.Unified {
		sequences, window = 1, m.SlidingWindow*(s.Slots-1)+s.Step
	}
	if s.WholeWindow {
		window = cells
	}
	values := float64(sequences * m.KVBytes(cells, window, 1))
	f.KVBytes = int64(math.Ceil(values * s.KVValueBytes()))
	step := min(s.Step, s.Context)
	width := m.Intermediate
	if m.Experts > 0 {
		width = max(width, m.ExpertsPerToken*m.ExpertIntermediate+m.SharedIntermediate)
	}
	f.ComputeBytes = step*(3*width+4*m.Hidden)*4 + cells*step*2 + s.Slots*m.Vocab*4
	if s.NoFlash {
		f.ComputeBytes += m.Heads * cells * step * 4
	}
	return f
}

// KVValueBytes is the mean size in bytes of a value in the KV cache: keys and values may have other types.
func (s LlamaSettings) KVValueBytes() float64 { return (s.KeyBytes + s.ValueBytes) / 2 }

// NeededBytes is all the memory that the server takes, without its prompt cache.
func (f LlamaFit) NeededBytes() int64 { return f.WeightsBytes + f.KVBytes + f.ComputeBytes }

// deviceMargin is what a GPU should have left beside the server, as llama-server leaves with --fit.
const deviceMargin = 1 << 30

// shares splits the weights and the KV cache between GPUs and the machine. The output layer counts as one layer.
func (f LlamaFit) shares() (device, host int64) {
	all := f.WeightsBytes + f.KVBytes
	switch {
	case f.DeviceFree == 0 || f.GPULayers == 0:
		return 0, all
	case f.GPULayers < 0:
		device = min(all, max(f.DeviceFree-deviceMargin, 0))
	default:
		device = int64(float64(all) * math.Min(1, float64(f.GPULayers)/float64(f.Layers+1)))
	}
	return device, all - device
}

// Problem says in one line why llama-server would not start, and what to change. Both are "" when the model fits. certain says whether the
// problem is there even if the estimate is somewhat wrong.
func (f LlamaFit) Problem() (text, hint string, certain bool) {
	device, host := f.shares()
	smaller := "a smaller quantisation or a smaller model"
	switch {
	case f.ModelContext > 0 && f.Context > f.ModelContext && !f.LongContext:
		return fmt.Sprintf("a context of %d tokens is more than the model's %d", f.Context, f.ModelContext),
			fmt.Sprintf("use --max-model-len %d or less", f.ModelContext), true
	case f.WeightsBytes > f.HostFree+f.DeviceFree:
		return fmt.Sprintf("%s of weights do not fit into %s", plain.InGiB(f.WeightsBytes), f.free()), "choose " + smaller, true
	case device > f.DeviceFree:
		layers := int64(float64(f.Layers+1) * float64(max(f.DeviceFree-deviceMargin, 0)) / float64(f.WeightsBytes+f.KVBytes))
		return fmt.Sprintf("%d layers need %s of GPU memory, and %s are free", f.GPULayers, plain.InGiB(device), plain.InGiB(f.DeviceFree)),
			fmt.Sprintf("use -- -ngl %d or less, or leave it out; or use a smaller --max-model-len, or %s", layers, smaller), true
	case host > f.HostFree:
		hint = "use a smaller --max-model-len, fewer slots (-- -np N), -- -ctk q8_0 -ctv q8_0, or " + smaller
		if f.GPULayers >= 0 && f.DeviceFree > 0 {
			hint += "; or put more layers on the GPU (-- -ngl N)"
		}
		return fmt.Sprintf("%s of weights and %s of KV cache (%s) do not fit into %s", plain.InGiB(f.WeightsBytes),
			plain.InGiB(f.KVBytes), f.cells(), f.free()), hint, true
	case f.NeededBytes() > f.HostFree+f.DeviceFree:
		return fmt.Sprintf("%s of weights, %s of KV cache and about %s for computing may not fit into %s", plain.InGiB(f.WeightsBytes),
			plain.InGiB(f.KVBytes), plain.InGiB(f.ComputeBytes), f.free()), "use a smaller --max-model-len, or " + smaller, false
	}
	return "", "", false
}

// cells describes the KV cache.
func (f LlamaFit) cells() string {
	if f.Unified {
		return fmt.Sprintf("%d tokens for %s", f.Context, plain.Count(int(f.Slots), "slot"))
	}
	return fmt.Sprintf("%s of %d tokens", plain.Count(int(f.Slots), "slot"), f.Context)
}

// free describes the memory that is free.
func (f LlamaFit) free() string {
	if f.DeviceFree > 0 && f.GPULayers != 0 {
		return fmt.Sprintf("%s of free GPU memory and %s of the machine's", plain.InGiB(f.DeviceFree), plain.InGiB(f.HostFree))
	}
	return plain.InGiB(f.HostFree) + " of free memory"
}

// Summary describes in one line a model that fits.
func (f LlamaFit) Summary() string {
	return fmt.Sprintf("%s of weights, %s of KV cache (%s), about %s for computing; %s", plain.InGiB(f.WeightsBytes), plain.InGiB(f.KVBytes),
		f.cells(), plain.InGiB(f.ComputeBytes), f.free())
}
