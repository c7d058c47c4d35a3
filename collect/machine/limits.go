package machine

import (
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
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
		row := modelRow(m.Model.Facts, m.Model.Dir, m.Llama.KVValueBytes())
		row.GPUName, row.OnCPU = offloaded(m.GPUName(), m.Offload())
		return row
	}
	dtype, _ := m.Options.Args.Get("kv-cache-dtype")
	row := modelRow(m.Model.Facts, m.Model.Dir, data.KVValueBytes(dtype))
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
	if row.GPUName != nil || m.Fit.TotalBytes > 0 { // without either, the device's memory could not be read
		row.OnCPU = new(row.GPUName == nil && m.Fit.CPU)
	}
	return row
}

// ServedLimits says what a token of a model costs at least, for a server that wb did not start. It gives nil when the model is not found.
// A simulator names its model. Other models are looked for in a directory, in the hub's cache and in the registry.
// The GPU is the first of this machine, if the server runs on this machine. On a machine without one the processors run the model.
func ServedLimits(c *client.Client, e *engine.Server, h *hub.Client) *store.Model {
	if e.Kind() == engine.KindSimulator {
		m, ok, err := data.FindModel(e.Imitates.Model)
		if err != nil || !ok || !m.Sized() {
			return nil
		}
		row := modelRow(m.Facts(), "registry: "+m.Name, 2)
		row.GPUName, row.OnCPU = plain.OrNil(e.Imitates.GPU), new(false)
		return row
	}
	f, source := findFacts(e, h)
	if f == nil {
		return nil
	}
	kv := data.KVValueBytes(e.CacheConfig["cache_dtype"])
	if e.Kind() == engine.KindLlamaCpp {
		kv = (data.KVValueBytes(e.Flags["cache-type-k"]) + data.KVValueBytes(e.Flags["cache-type-v"])) / 2
	}
	row := modelRow(f, source, kv)
	if _, local := c.Local(); local {
		row.GPUName, row.OnCPU = device(gpu.Open)
		if e.Kind() == engine.KindLlamaCpp {
			row.GPUName, row.OnCPU = offloaded(row.GPUName, servedOffload(e, f, row.OnCPU))
		}
	}
	return row
}

// offloaded says what runs a model of llama.cpp, from what is known of its layers. Where GPU and processors share the layers, or that is
// not known, no single limit is.
func offloaded(gpuName *string, o serve.Offload) (*string, *bool) {
	switch o {
	case serve.OnProcessors:
		return nil, new(true)
	case serve.OnGPUs:
		return gpuName, new(false)
	}
	return nil, nil
}

// servedOffload says where a llama-server that wb did not start computes. onCPU says whether this machine has no NVIDIA GPU; nil: that is
// not known.
func servedOffload(e *engine.Server, f *data.ModelFacts, onCPU *bool) serve.Offload {
	flags := e.Flags
	shared := flags["override-tensor"] != "" || flags["cpu-moe"] == "on" || flags["n-cpu-moe"] != ""
	switch {
	case flags["n-gpu-layers"] == "0" || flags["device"] == "none":
		return serve.OnProcessors
	case onCPU == nil || flags == nil && !*onCPU || shared:
		return serve.OffloadUnknown
	case *onCPU && otherGPU():
		return serve.OffloadUnknown
	case *onCPU:
		return serve.OnProcessors
	}
	if n, err := strconv.ParseInt(flags["n-gpu-layers"], 10, 64); err == nil && n > f.Layers || flags["n-gpu-layers"] == "all" {
		return serve.OnGPUs
	}
	return serve.OffloadUnknown // as many layers as fit
}

// otherGPU says whether the machine may have a GPU that NVML does not see: of another maker, or Apple's.
func otherGPU() bool {
	if runtime.GOOS == "darwin" {
		return true
	}
	entries, err := os.ReadDir("/dev/dri")
	if err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "renderD") }) {
		return true
	}
	_, err = os.Stat("/dev/kfd") // AMD's
	return err == nil
}

// device says what runs the model of a server on this machine: the first GPU, else the processors. A MIG slice has no name.
func device(open func() (*gpu.GPUs, error)) (gpuName *string, onCPU *bool) {
	g, err := open()
	switch {
	case errors.Is(err, gpu.ErrNoGPU):
		return nil, new(true)
	case err != nil:
		return nil, nil
	}
	defer g.Close()
	return g.Product(""), new(false)
}

// findFacts looks for the model of a server, and says where it was found. It gives nil when it was not found.
func findFacts(e *engine.Server, h *hub.Client) (facts *data.ModelFacts, source string) {
	if e.Kind() == engine.KindLlamaCpp { // its name for a model says nothing about the quantisation of its file
		return e.GGUF, e.ModelFile
	}
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

// modelRow makes the row of a model, for one GPU.
func modelRow(f *data.ModelFacts, source string, kvValueBytes float64) *store.Model {
	w := f.Work(1)
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
		KVLayerBytes:        int64(math.Ceil(float64(w.KVLayerBytes) * kvValueBytes)),
		Arithmetic:          "bf16",
		GPUs:                1,
	}
	if strings.Contains(strings.ToLower(f.Quantization), "fp8") { // formats that quantise only the weights compute in 16 bits
		row.Arithmetic = "fp8"
	}
	return row
}
