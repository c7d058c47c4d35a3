package machine

import (
	"testing"

	"wb/collect/engine"
	"wb/collect/serve"
	"wb/data"
)

// The KV cache of llama-server has types of fractional bytes, and keys and values may differ.
func TestManagedLimitsOfLlama(t *testing.T) {
	facts := &data.ModelFacts{Shape: data.Shape{Layers: 30, KVHeads: 3, HeadDim: 64, Heads: 9, Hidden: 576, Intermediate: 1536, Vocab: 49152},
		WeightsBytes: 97 << 20, ContextTokens: 8192, Quantization: "Q4_1", Architecture: "llama"}
	for name, tt := range map[string]struct {
		key, value float64
		want       int64
	}{
		"f16":           {2, 2, 768},
		"q8_0":          {34. / 32, 34. / 32, 408},
		"q8_0 and q4_0": {34. / 32, 18. / 32, 312},
		"q5_0 and f16":  {22. / 32, 2, 516},
	} {
		m := &serve.Managed{Options: &serve.Options{Install: &serve.Install{Program: serve.LlamaServer()}},
			Model: &serve.ResolvedModel{Dir: "/m.gguf", Facts: facts},
			Llama: serve.LlamaFit{LlamaSettings: serve.LlamaSettings{KeyBytes: tt.key, ValueBytes: tt.value}}}
		row := ManagedLimits(m)
		if row.KVLayerBytes != tt.want || row.Source != "/m.gguf" || *row.Quantization != "Q4_1" || row.GPUs != 1 || row.GPUName != nil {
			t.Errorf("%s: %d bytes, want %d; %+v", name, row.KVLayerBytes, tt.want, row)
		}
	}
}

// Where a llama-server that wb did not start computes is said only when it is certain.
func TestServedOffload(t *testing.T) {
	f := &data.ModelFacts{Shape: data.Shape{Layers: 30}}
	gpu, other := new(false), []serve.Offload{serve.OnProcessors, serve.OffloadUnknown}
	onCPU := other[0]
	if otherGPU() { // then a machine without NVIDIA's GPUs is not certain either
		onCPU = other[1]
	}
	for _, c := range []struct {
		flags map[string]string
		onCPU *bool
		want  serve.Offload
	}{
		{nil, new(true), onCPU},
		{map[string]string{}, new(true), onCPU},
		{map[string]string{"n-gpu-layers": "0"}, gpu, serve.OnProcessors},
		{map[string]string{"device": "none"}, gpu, serve.OnProcessors},
		{map[string]string{"n-gpu-layers": "99"}, gpu, serve.OnGPUs},
		{map[string]string{"n-gpu-layers": "all"}, gpu, serve.OnGPUs},
		{map[string]string{"n-gpu-layers": "30"}, gpu, serve.OffloadUnknown}, // the output is one layer more
		{map[string]string{"n-gpu-layers": "99", "cpu-moe": "on"}, gpu, serve.OffloadUnknown},
		{map[string]string{"n-gpu-layers": "99", "override-tensor": "exps=CPU"}, gpu, serve.OffloadUnknown},
		{map[string]string{}, gpu, serve.OffloadUnknown},
		{nil, gpu, serve.OffloadUnknown},
		{map[string]string{"n-gpu-layers": "99"}, nil, serve.OffloadUnknown},
	} {
		e := &engine.Server{Facts: engine.Facts{SlotFacts: engine.SlotFacts{Flags: c.flags}}}
		if got := servedOffload(e, f, c.onCPU); got != c.want {
			t.Errorf("%v: %d, want %d", c.flags, got, c.want)
		}
	}
	name := "NVIDIA H200"
	if n, cpu := offloaded(&name, serve.OnGPUs); *n != name || *cpu {
		t.Errorf("on GPUs: %v %v", n, cpu)
	}
	if n, cpu := offloaded(nil, serve.OnGPUs); n != nil || *cpu { // a MIG slice has no name
		t.Errorf("on a GPU without a name: %v %v", n, *cpu)
	}
	if n, cpu := offloaded(&name, serve.OffloadUnknown); n != nil || cpu != nil {
		t.Errorf("not known: %v %v", n, cpu)
	}
}
