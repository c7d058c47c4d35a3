package data

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

const phi35 = `{"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "num_hidden_layers": 32, "num_attention_heads": 32,
	"num_key_value_heads": 32, "hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32064, "max_position_embeddings": 131072,
	"sliding_window": 262144, "tie_word_embeddings": false}`

func parse(t *testing.T, config string) *ModelFacts {
	t.Helper()
	f, err := ParseModelConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	f.WeightsBytes = 2 * f.Parameters()
	return f
}

// Total and active parameters as the publishers state them (model cards and papers), in billions. The active ones include the
// embedding table.
func TestParameters(t *testing.T) {
	for _, tt := range []struct {
		name, config  string
		total, active float64
	}{
		{"Phi-3.5-mini", phi35, 3.82, 3.82},
		{"Mixtral 8x7B (arXiv:2401.04088)", `{"model_type": "mixtral", "num_hidden_layers": 32, "num_attention_heads": 32,
			"num_key_value_heads": 8, "hidden_size": 4096, "intermediate_size": 14336, "vocab_size": 32000,
			"num_local_experts": 8, "num_experts_per_tok": 2, "tie_word_embeddings": false}`, 46.7, 12.9},
		{"Qwen3-30B-A3B", `{"model_type": "qwen3_moe", "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
			"head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144, "vocab_size": 151936,
			"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "mlp_only_layers": [],
			"tie_word_embeddings": false}`, 30.5, 3.3},
		{"DeepSeek-V2-Lite (arXiv:2405.04434)", `{"model_type": "deepseek_v2", "num_hidden_layers": 27, "num_attention_heads": 16,
			"num_key_value_heads": 16, "hidden_size": 2048, "intermediate_size": 10944, "vocab_size": 102400,
			"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128, "q_lora_rank": null, "n_routed_experts": 64,
			"n_shared_experts": 2, "num_experts_per_tok": 6,
			"moe_intermediate_size": 1408, "first_k_dense_replace": 1, "tie_word_embeddings": false}`, 15.7, 2.7},
		{"Llama-3.2-1B, tied",
			`{"model_type": "llama", "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
				"hidden_size": 2048, "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": true}`, 1.24, 1.24},
		{"Gemma-3-1B, tied by its class",
			`{"model_type": "gemma3_text", "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
				"hidden_size": 1152, "intermediate_size": 6912, "vocab_size": 262144, "sliding_window": 512}`, 1.0, 1.0},
	} {
		f := parse(t, tt.config)
		w := f.Work(2)
		embedding := f.Vocab * f.Hidden
		if f.Tied {
			embedding = 0
		}
		if total := float64(f.Parameters()) / 1e9; math.Abs(total-tt.total) > 0.01*tt.total {
			t.Errorf("%s has %.2f billion parameters, want %.2f", tt.name, total, tt.total)
		}
		if active := float64(w.LayerParameters+w.HeadParameters+embedding) / 1e9; math.Abs(active-tt.active) > 0.02*tt.active {
			t.Errorf("%s has %.2f billion active parameters, want %.2f", tt.name, active, tt.active)
		}
		if got, want := float64(w.DecodeWeightsBytes), 2*float64(w.LayerParameters+w.HeadParameters); math.Abs(got-want) > 0.001*want {
			t.Errorf("%s: a token reads %.4g bytes of weights, want %.4g", tt.name, got, want)
		}
	}
}

func TestWork(t *testing.T) {
	w := parse(t, phi35).Work(2)
	// computed by hand: 32·(4·3072² + 3·3072·8192) + 32064·3072 parameters, 16 bits each; 2·32·96·2 bytes per layer and token
	if w.DecodeWeightsBytes != 7444758528 || w.PrefillWeightsBytes != w.DecodeWeightsBytes || w.AttentionWidth != 3072 ||
		w.KVLayerBytes*32 != 393216 {
		t.Errorf("%+v", w)
	}
	if k := parse(t, phi35).Work(1).KVLayerBytes; k*64 != 393216 {
		t.Errorf("an 8-bit cache has %d bytes per layer", k)
	}
	m, _, err := FindModel("phi-3.5-mini")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Facts().Work(2).DecodeWeightsBytes; math.Abs(float64(got)-7.445e9) > 1e6 {
		t.Errorf("the registry's reads %d", got)
	}
}

func TestSharedTables(t *testing.T) {
	// the tables are tied, and the files hold the table twice: it is read once
	m, _, err := FindModel("qwen3-0.6b")
	if err != nil {
		t.Fatal(err)
	}
	if w, f := m.Facts().Work(2), m.Facts(); w.DecodeWeightsBytes != 2*f.Parameters() {
		t.Errorf("%d of %d bytes", w.DecodeWeightsBytes, 2*f.Parameters())
	}
	f := &ModelFacts{Shape: Shape{Layers: 1, Tied: true}, tensors: tensorBytes{total: 300, embedding: 100, head: 100}}
	if w := f.Work(2); w.DecodeWeightsBytes != 200 {
		t.Errorf("tied, both there: %+v", w)
	}
	f.Tied, f.tensors = false, tensorBytes{total: 200, embedding: 100}
	if w := f.Work(2); w.DecodeWeightsBytes != 200 {
		t.Errorf("no head in the files: %+v", w)
	}
	for config, want := range map[string]string{
		`{"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "quantization_config": {"quant_method": "compressed-tensors",
			"config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"},
			"input_activations": {"num_bits": 8}}}}}`: "compressed-tensors fp8",
		`{"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "quantization_config": {"quant_method": "compressed-tensors",
			"config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"},
			"input_activations": null}}}}`: "compressed-tensors",
	} {
		if f := parse(t, config); f.Quantization != want {
			t.Errorf("%q, want %q", f.Quantization, want)
		}
	}
	if f := parse(t, `{"model_type": "opt", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}`); !f.Tied {
		t.Error("OPT ties its tables by default")
	}
}

func safetensors(header string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
}

// The headers tell the weights apart. Only rows of the embedding table are read, two of four experts, and no weights for images.
func TestSafetensors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json",
		`{"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "num_local_experts": 4, "num_experts_per_tok": 2,
			"intermediate_size": 128, "vocab_size": 100}`)
	write("a.safetensors",
		string(safetensors(`{"__metadata__": {"format": "pt"}, "model.embed_tokens.weight": {"dtype": "BF16", "shape": [10, 5],
			"data_offsets": [0, 100]}, "model.layers.0.experts.0.w": {"dtype": "F8", "shape": [1], "data_offsets": [100, 500]}}`)))
	write("b.safetensors",
		string(safetensors(`{"lm_head.weight": {"data_offsets": [0, 100]}, "model.layers.0.self_attn.q": {"data_offsets": [100, 107]},
			"vision_tower.x": {"data_offsets": [107, 1000]}}`)))
	write("c.safetensors", string(safetensors(`{"left.over": {"data_offsets": [0, 5000]}}`)))
	write("model.safetensors.index.json",
		`{"weight_map": {"model.embed_tokens.weight": "a.safetensors", "model.layers.0.experts.0.w": "a.safetensors",
			"lm_head.weight": "b.safetensors"}}`)
	f, err := ReadModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	if w := f.Work(2); w.PrefillWeightsBytes != 507 || w.DecodeWeightsBytes != 307 {
		t.Errorf("%+v", w)
	}
	write("b.safetensors", string(safetensors(`{"lm_head.weight": {"data_offsets": [9, 1]}}`)))
	if f, err = ReadModel(dir); err != nil || f.tensors.total != 0 || f.Work(2).PrefillWeightsBytes <= 0 {
		t.Errorf("a damaged header: %+v (%v)", f, err)
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(`{"a": {"data_offsets": [0, 8]}}`)
	f.Fuzz(func(t *testing.T, header string) {
		var b tensorBytes
		if err := b.add([]byte(header)); err == nil && (b.embedding < 0 || b.routed < 0 || b.embedding+b.routed > b.total) {
			t.Errorf("%+v", b)
		}
		if err := b.read(os.DevNull); err == nil {
			t.Error("an empty file has a header")
		}
	})
}
