package machine

import (
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

// ManagedLimits says what a model's tokens cost at least, and on which GPU.
func ManagedLimits(m *serve.Managed) *store.Model {
	dtype, _ := m.Options.Args.Get("kv-cache-dtype")
	row := modelRow(m.Model.Facts, m.Model.Dir, kvValueBytes(dtype))
	if q, ok := m.Options.Args.Get("quantization"); ok && strings.HasPrefix(q, "fp8") && m.Model.Facts.Quantization == "" { // made when it is loaded: layers take half, the head stays
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

// ServedLimits says the same of a server that wb did not start, as far as its model can be found here: as the simulator says, in a directory or in
// the hub's cache, or in the registry. The GPU is this machine's first when the server runs on this machine.
func ServedLimits(c *client.Client, e *engine.Server, h *hub.Client) *store.Model {
	if e.Kind() == engine.KindSimulator {
		m, ok, err := data.FindModel(e.Imitates.Model)
		if err != nil || !ok {
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

func findFacts(e *engine.Server, h *hub.Client) (*data.ModelFacts, string) {
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
		if m, ok, err := data.FindModel(n); err == nil && ok {
			return m.Facts(), "registry: " + m.Name
		}
	}
	return nil, ""
}

// kvValueBytes is the size of one value in the KV cache by the name of its type.
func kvValueBytes(dtype string) int64 {
	if strings.HasPrefix(dtype, "fp8") {
		return 1
	}
	return 2
}

func modelRow(f *data.ModelFacts, source string, kvValueBytes int64) *store.Model {
	w := f.Work(kvValueBytes)
	row := &store.Model{Source: source, Architecture: plain.OrNil(f.Architecture), Quantization: plain.OrNil(f.Quantization), Parameters: f.Parameters(), WeightsBytes: f.WeightsBytes,
		PrefillWeightsBytes: w.PrefillWeightsBytes, DecodeWeightsBytes: w.DecodeWeightsBytes, LayerParameters: w.LayerParameters, HeadParameters: w.HeadParameters, Layers: f.Layers,
		SlidingLayers: f.SlidingLayers, SlidingWindowTokens: f.SlidingWindow, AttentionWidth: w.AttentionWidth, KVLayerBytes: w.KVLayerBytes, Arithmetic: "bf16", GPUs: 1}
	if strings.Contains(strings.ToLower(f.Quantization), "fp8") { // weight-only formats compute in 16 bits
		row.Arithmetic = "fp8"
	}
	return row
}
