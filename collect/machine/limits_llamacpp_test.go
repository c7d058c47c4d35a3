package machine

import (
	"testing"

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
