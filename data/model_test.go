package data

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModels(t *testing.T) {
	t.Setenv("WB_MODELS", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	all, err := Models()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i, m := range all {
		if m.Name == "" || m.Repo == "" || m.License == "" || m.WeightsBytes <= 0 || m.ContextTokens <= 0 || m.Shape.Layers <= 0 ||
			m.Shape.Vocab <= 0 || names[m.Name] {
			t.Errorf("%+v", m)
		}
		names[m.Name] = true
		if i > 0 && all[i-1].WeightsBytes > m.WeightsBytes {
			t.Errorf("%s stands after a larger model", m.Name)
		}
		if byRepo, ok, err := FindModel(m.Repo); err != nil || !ok || byRepo.Name != m.Name {
			t.Errorf("%s is not found by its repository", m.Name)
		}
	}
	for _, n := range []string{"phi-3.5-mini", "phi-3.5-mini-4bit", "phi-4-mini", "llama-3.2-1b", "llama-3.2-3b", "qwen3-0.6b", "qwen3-4b",
		"qwen3-8b", "gemma-3-1b", "gemma-3-4b",
		"smollm2-135m", "smollm2-1.7b", "mistral-7b"} {
		if !names[n] {
			t.Errorf("%s is missing", n)
		}
	}
	if _, ok, err := FindModel("PHI-3.5-mini"); err != nil || !ok {
		t.Error("letter case matters")
	}
	if _, ok, err := FindModel("nope"); err != nil || ok {
		t.Error("nope is known")
	}
}

// Configurations as their publishers wrote them, cut to the keys that matter.
func TestParseModelConfig(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		kvPerToken   int64
		kv16k        int64 // of one sequence of 16,384 tokens, with steps of 512
		context      int64
		quant        string
	}{
		// by hand: 2·32·32·96·2 bytes per token
		{"Phi-3.5-mini", `{"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "num_hidden_layers": 32, "num_attention_heads": 32,
			"num_key_value_heads": 32, "hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32064,
			"max_position_embeddings": 131072, "sliding_window": 262144}`, 393216, 393216 * 16384, 131072, ""},
		{"Llama-3.2-1B",
			`{"model_type": "llama", "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
				"hidden_size": 2048, "max_position_embeddings": 131072}`,
			32768, 32768 * 16384, 131072, ""},
		{"no head_dim, no kv heads", `{"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 768, "max_position_embeddings": 1024}`,
			2 * 12 * 12 * 64 * 2, 2 * 12 * 12 * 64 * 2 * 16384, 1024, ""},
		{"Gemma-3 (under text_config, 5 of 6 layers slide)", `{"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
			"text_config": {"num_hidden_layers": 34, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
			"hidden_size": 2560, "sliding_window": 1024, "max_position_embeddings": 131072}}`,
			2 * 34 * 4 * 256 * 2, 2 * 4 * 256 * 2 * (5*16384 + 29*1536), 131072, ""},
		{"layer types", `{"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 128,
			"max_position_embeddings": 32768,
			"layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]}`,
			2 * 4 * 2 * 8 * 2, 2 * 2 * 8 * 2 * (2*16384 + 2*640), 32768, ""},
		{"a window that is off (Qwen)",
			`{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 128,
				"use_sliding_window": false, "max_position_embeddings": 32768}`,
			2 * 2 * 2 * 8 * 2, 2 * 2 * 2 * 8 * 2 * 16384, 32768, ""},
		{"latent attention (DeepSeek-V2-Lite)",
			`{"num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "hidden_size": 2048, "kv_lora_rank": 512,
				"qk_rope_head_dim": 64, "max_position_embeddings": 163840}`,
			27 * 576 * 2, 27 * 576 * 2 * 16384, 163840, ""},
		{"quantised",
			`{"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "quantization_config": {"quant_method": "gptq", "bits": 4}}`,
			2 * 2 * 4 * 16 * 2, 2 * 2 * 4 * 16 * 2 * 16384, 0, "gptq 4-bit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseModelConfig([]byte(tt.config))
			if err != nil {
				t.Fatal(err)
			}
			if f.KVBytesPerToken(2) != tt.kvPerToken || f.KVBytes(16384, 512, 2) != tt.kv16k || f.ContextTokens != tt.context ||
				f.Quantization != tt.quant {
				t.Errorf("%d per token, %d for 16K, context %d, %q; %+v", f.KVBytesPerToken(2), f.KVBytes(16384, 512, 2), f.ContextTokens,
					f.Quantization, f)
			}
			if f.KVBytesPerToken(1)*2 != tt.kvPerToken {
				t.Error("an 8-bit cache is not half of it")
			}
		})
	}
	for _, bad := range []string{"", "[]", "{}", `{"num_hidden_layers": -1, "num_attention_heads": 2}`,
		`{"num_hidden_layers": 1e9, "num_attention_heads": 2, "hidden_size": 8}`, `{"text_config": {}}`} {
		if f, err := ParseModelConfig([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, f)
		}
	}
}

func TestReadModel(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadModel(dir); !errors.Is(err, ErrNoConfig) {
		t.Errorf("%v", err)
	}
	if _, err := ReadModel(filepath.Join(dir, "nope")); err == nil {
		t.Error("a directory that is not there")
	}
	write := func(name string, size int, text string) {
		t.Helper()
		if text == "" {
			text = string(make([]byte, size))
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", 0, `{"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 10}`)
	f, err := ReadModel(dir)
	if err != nil || f.WeightsBytes != 2*(2*10*8+4*8*8+3*8*16) {
		t.Errorf("without weights: %+v (%v)", f, err)
	}
	write("pytorch_model.bin", 999, "")
	write("model-1.safetensors", 1000, "")
	write("model-2.safetensors", 500, "")
	write("consolidated.safetensors", 1500, "")
	if f, err = ReadModel(dir); err != nil || f.WeightsBytes != 1500 {
		t.Errorf("%+v (%v)", f, err)
	}
}

// Mistral's layout, as the params.json of Mistral Small 3.1 has it.
func TestReadMistral(t *testing.T) {
	dir := t.TempDir()
	params := `{"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32, "n_kv_heads": 8, "rope_theta": 1e9,
		"norm_eps": 1e-05, "vocab_size": 131072, "max_position_embeddings": 131072}`
	for name, text := range map[string]string{"params.json": params, "consolidated.safetensors": "12345", "tekken.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := ReadModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	if f.Layers != 40 || f.KVHeads != 8 || f.HeadDim != 128 || f.Hidden != 5120 || f.Vocab != 131072 || f.ContextTokens != 131072 ||
		f.WeightsBytes != 5 || f.KVBytesPerToken(2) != 40*2*8*128*2 {
		t.Errorf("%+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "params.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadModel(dir); err == nil || !strings.Contains(err.Error(), "params.json: it does not describe a transformer") {
		t.Errorf("got %v", err)
	}
}

func FuzzModelConfig(f *testing.F) {
	f.Add([]byte(`{"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "layer_types": ["sliding_attention"],
		"sliding_window": 4}`))
	f.Add([]byte(`{"model_type": "gemma3", "text_config": {"num_hidden_layers": 34, "num_attention_heads": 8, "head_dim": 256,
		"sliding_window": 1024}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseModelConfig(b)
		if err != nil {
			return
		}
		if m.KVBytesPerToken(2) <= 0 || m.SlidingLayers > m.Layers || m.KVBytes(1000, 512, 2) > m.KVBytesPerToken(2)*1000 {
			t.Errorf("%+v", m)
		}
	})
}
