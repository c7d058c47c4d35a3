package machine

import (
	"math"
	"strconv"
	"strings"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/gpu"
	"wb/collect/serve"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
	"wb/store"
)

// ManagedLimits says what a token of a model costs at least, and on which GPU, for a server that wb started.
func ManagedLimits(m *serve.Managed) *store.Model {
	if m.Options.Install.Program.Kind == serve.KindLlamaCpp {
		row := modelRow(m.Model.Facts, m.Model.Dir, 1)
		row.KVLayerBytes = int64(math.Ceil(float64(row.KVLayerBytes) * m.Llama.KVValueBytes()))
		row.GPUName = m.GPUName()
		return row
	}
	dtype, _ := m.Options.Args.Get("kv-cache-dtype")
	row := modelRow(m.Model.Facts, m.Model.Dir, kvValueBytes(dtype))
	q, ok := m.Options.Args.Get("quantization")
	if ok && strings.HasPrefix(q, "fp8") && m.Model.Facts.Quantization == "" {
		// vLLM quantises the model when it loads it: the layers take half the bytes, and the head stays as it is
		layers := func(bytes int64) int64 {
			head := min(2*row.HeadParameters, bytes)
			return head + (bytes-head)/2
		}
		row.Quantization, row.Arithmetic = new(q+" when loaded"), "fp8"
		row.PrefillWeightsBytes, row.DecodeWeightsBytes = layers(row.PrefillWeightsBytes), layers(row.DecodeWeightsBytes)
	}
	parallel, _ := m.Options.Args.Get("tensor-parallel-size")
	if n, err := strconv.ParseInt(parallel, 10, 32); err == nil && n > 1 {
		row.GPUs = int32(n)
	}
	row.GPUName = m.GPUName()
	return row
}

// ServedLimits says what a token of a model costs at least, for a server that wb did not start. It gives nil when the model is not found.
// A simulator names its model. Other models are looked for in a directory, in the hub's cache and in the registry.
// The GPU is the first of this machine, if the server runs on this machine.
func ServedLimits(c *client.Client, e *engine.Server, h *hub.Client) *store.Model {
	if e.Kind() == engine.KindSimulator {
		m, ok, err := data.FindModel(e.Imitates.Model)
		if err != nil || !ok || !m.Sized() {
			return nil
		}
		row := modelRow(m.Facts(), "registry: "+m.Name, 2)
		row.GPUName = plain.OrNil(e.Imitates.GPU)
		return row
	}
	f, source := findFacts(e, h)
	if f == nil {
		return nil
	}
	row := modelRow(f, source, kvValueBytes(e.CacheConfig["cache_dtype"]))
	if _, local := c.Local(); local {
		if g, err := gpu.Open(); err == nil {
			row.GPUName = g.Product("")
			g.Close()
		}
	}
	return row
}

// findFacts looks for the model of a server, and says where it was found. It gives nil when it was not found.
func findFacts(e *engine.Server, h *hub.Client) (facts *data.ModelFacts, source string) {
	names := []string{e.Model}
	if e.ModelRoot != nil {
		names = []string{*e.ModelRoot, e.Model}
	}
	for _, n := range names {
		if m, _, _, err := serve.ResolveModel(h, n); err == nil {
			return m.Facts, m.Dir
		}
	}
	for _, n := range names {
		if m, ok, err := data.FindModel(n); err == nil && ok && m.Sized() {
			return m.Facts(), "registry: " + m.Name
		}
	}
	return nil, ""
}

// kvValueBytes gives the size in bytes of one value in the KV cache, from the name of its type.
func kvValueBytes(dtype string) int64 {
	if strings.HasPrefix(dtype, "fp8") {
		return 1
	}
	return 2
}

// modelRow makes the row of a model, for one GPU.
func modelRow(f *data.ModelFacts, source string, kvValueBytes int64) *store.Model {
	w := f.Work(kvValueBytes)
	row := &store.Model{
		Source:              source,
		Architecture:        plain.OrNil(f.Architecture),
		Quantization:        plain.OrNil(f.Quantization),
		Parameters:          f.Parameters(),
		WeightsBytes:        f.WeightsBytes,
		PrefillWeightsBytes: w.PrefillWeightsBytes,
		DecodeWeightsBytes:  w.DecodeWeightsBytes,
		LayerParameters:     w.LayerParameters,
		HeadParameters:      w.HeadParameters,
		Layers:              f.Layers,
		SlidingLayers:       f.SlidingLayers,
		SlidingWindowTokens: f.SlidingWindow,
		AttentionWidth:      w.AttentionWidth,
		KVLayerBytes:        w.KVLayerBytes,
		Arithmetic:          "bf16",
		GPUs:                1,
	}
	if strings.Contains(strings.ToLower(f.Quantization), "fp8") { // formats that quantise only the weights compute in 16 bits
		row.Arithmetic = "fp8"
	}
	return row
}
