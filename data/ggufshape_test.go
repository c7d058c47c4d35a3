package data

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withTensors adds the tables and one matrix per layer, so that a file is a model.
func withTensors(g *gguf, layers int) *gguf {
	g.tensor("token_embd.weight", 0, 64, 8)
	for i := range layers {
		g.tensor(fmt.Sprintf("blk.%d.ffn_down.weight", i), 0, 64, 64)
	}
	return g
}

// The KV bytes of one token over all layers, in 16 bits, and how many layers look back only so far, as llama.cpp allocates them.
func TestGGUFShapes(t *testing.T) {
	heads := func(more map[string]any) map[string]any {
		m := map[string]any{"attention.head_count": 8, "attention.head_count_kv": 2, "attention.key_length": 16,
			"attention.value_length": 16, "context_length": 4096}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	const layer = 2 * 2 * 16 * 2 // keys and values of two heads of 16 values, 2 bytes each
	window := map[string]any{"attention.sliding_window": 512}
	for _, tt := range []struct {
		arch      string
		layers    int
		more      map[string]any
		kv        int64 // bytes per token
		sliding   int64
		window    int64
		recurrent bool
	}{
		{"llama", 6, nil, 6 * layer, 0, 0, false},
		{"qwen2", 6, window, 6 * layer, 0, 0, false}, // llama.cpp does not read its window
		{"phi3", 6, window, 6 * layer, 0, 0, false},  // nor does it use this one
		{"gemma2", 6, nil, 6 * layer, 3, 4096, false},
		{"gemma2", 6, window, 6 * layer, 3, 512, false},
		{"gemma3", 26, window, 26 * layer, 22, 512, false},
		{"gemma3", 26, nil, 26 * layer, 0, 0, false},
		{"gemma3", 6, map[string]any{"attention.sliding_window": 512, "attention.sliding_window_pattern": 3}, 6 * layer, 4, 512, false},
		{"gemma3", 4, map[string]any{"attention.sliding_window": 512,
			"attention.sliding_window_pattern": []bool{true, false, false, true}}, 4 * layer, 2, 512, false},
		{"gemma3n", 30, window, 20 * layer, 24, 512, false}, // the last ten layers use the cache of others
		{"gpt-oss", 24, map[string]any{"attention.sliding_window": 128}, 24 * layer, 12, 128, false},
		{"cohere2", 8, window, 8 * layer, 6, 512, false},
		{"cohere2moe", 9, window, 9 * layer, 6, 512, false}, // layers 0, 4 and 8 are full
		{"llama4", 8, nil, 8 * layer, 6, 8192, false},
		{"llama4", 8, map[string]any{"attention.sliding_window": 0}, 8 * layer, 0, 0, false},
		{"exaone4", 30, window, 30 * layer, 0, 0, false},
		{"exaone4", 64, window, 64 * layer, 48, 512, false},
		{"smallthinker", 8, window, 8 * layer, 6, 4096, false},
		// sliding layers with heads of another size: 4 full ones of 2·(16+16), 2 sliding ones of 4·(8+8) values
		{"gemma4", 6, map[string]any{"attention.sliding_window": 512, "attention.key_length_swa": 8, "attention.value_length_swa": 8,
			"attention.sliding_window_pattern": []bool{true, false, false, true, false, false},
			"attention.head_count_kv":          []int32{4, 2, 2, 4, 2, 2}}, 4*layer + 2*4*16*2, 2, 512, false},
		{"openelm", 3, map[string]any{"attention.head_count_kv": []int32{3, 4, 5}}, 12 * 32 * 2, 0, 0, false},
		{"mimo", 4, map[string]any{"attention.key_length": 24}, 4 * 2 * (24 + 16) * 2, 0, 0, false},
		// layers with a state: those without KV heads, or all but every fourth, or all
		{"jamba", 4, map[string]any{"attention.head_count_kv": []int32{0, 0, 2, 0}, "ssm.state_size": 16}, layer, 0, 0, true},
		{"qwen3next", 8, map[string]any{"ssm.state_size": 16}, 2 * layer, 0, 0, true},
		{"qwen3next", 8, map[string]any{"full_attention_interval": 2}, 4 * layer, 0, 0, true},
		{"falcon-h1", 4, map[string]any{"ssm.state_size": 16}, 4 * layer, 0, 0, true}, // both in every layer
		{"mamba", 4, map[string]any{"attention.head_count": 0, "attention.head_count_kv": 0}, 0, 0, 0, true},
		{"rwkv7", 4, map[string]any{"wkv.head_size": 64}, 0, 0, 0, true},
		{"new-arch", 4, map[string]any{"wkv.head_size": 64}, 4 * layer, 0, 0, true},
		// latent attention: 512 values and 64 of the rotary key; old files keep whole keys and values
		{"deepseek2", 4, map[string]any{"attention.kv_lora_rank": 512, "rope.dimension_count": 64, "attention.head_count_kv": 1,
			"attention.key_length": 576, "attention.value_length": 512, "attention.key_length_mla": 192,
			"attention.value_length_mla": 128}, 4 * 576 * 2, 0, 0, false},
		{"deepseek2", 4, map[string]any{"attention.kv_lora_rank": 512, "rope.dimension_count": 64, "attention.head_count_kv": 8,
			"attention.key_length": 192, "attention.value_length": 128}, 4 * 8 * 320 * 2, 0, 0, false},
	} {
		f := readFacts(t, withTensors(sizes(tt.arch, tt.layers, heads(tt.more)), tt.layers))
		got := f.KVBytesPerToken(2)
		if got != tt.kv || f.SlidingLayers != tt.sliding || f.SlidingWindow != tt.window || f.Recurrent != tt.recurrent {
			t.Errorf("%s %v: %d bytes per token, %d layers with a window of %d, recurrent %v; want %d, %d, %d, %v", tt.arch, tt.more,
				got, f.SlidingLayers, f.SlidingWindow, f.Recurrent, tt.kv, tt.sliding, tt.window, tt.recurrent)
		}
		if w := f.Work(2); w.KVLayerBytes != tt.kv/int64(tt.layers) || w.LayerParameters != int64(tt.layers)*64*64 {
			t.Errorf("%s: %+v", tt.arch, w)
		}
	}
}

// A sliding layer stops growing at its window, with another size of a head.
func TestUnevenKV(t *testing.T) {
	s := Shape{Layers: 4, SlidingLayers: 3, SlidingWindow: 100, Uneven: Uneven{FullKVValues: 64, SlidingKVValues: 300}}
	if n := s.KVBytes(1000, 28, 2); n != (64*1000+300*128)*2 {
		t.Errorf("%d bytes", n)
	}
}

func TestGGUFMixture(t *testing.T) {
	g := sizes("deepseek2", 3, map[string]any{"attention.head_count": 4, "feed_forward_length": 128, "expert_count": 8, "expert_used_count": 2,
		"expert_feed_forward_length": 32, "expert_shared_count": 2, "leading_dense_block_count": 1, "nextn_predict_layers": 1})
	g.set("tokenizer.ggml.tokens", []string{"a", "b", "c"})
	g.tensor("token_embd.weight", 1, 64, 8).tensor("output.weight", 1, 64, 8).tensor("blk.0.ffn_down.weight", 0, 64, 64)
	g.tensor("blk.1.ffn_down_exps.weight", 8, 64, 32, 8).tensor("blk.1.ffn_down_shexp.weight", 0, 64, 32)
	g.tensor("blk.1.exp_probs_b.bias", 0, 8)
	g.tensor("blk.2.ffn_down.weight", 0, 64, 64) // predicts a second token
	f := readFacts(t, g)
	want := Mixture{Experts: 8, ExpertsPerToken: 2, ExpertIntermediate: 32, SharedIntermediate: 64, DenseLayers: 1}
	if f.Mixture != want || f.Layers != 2 || f.Vocab != 3 || f.Tied || f.Quantization != "F32" {
		t.Errorf("%+v", f)
	}
	table, experts, rest := int64(64*8*2), int64(64*32*8/32*34), int64(64*64*4+64*32*4+8*4)
	if f.WeightsBytes != 2*table+experts+rest+64*64*4 || f.Parameters() != 2*64*8+64*32*8+64*64+64*32+8+64*64 {
		t.Errorf("%d bytes, %d parameters", f.WeightsBytes, f.Parameters())
	}
	w := f.Work(2)
	if w.PrefillWeightsBytes != table+experts+rest || w.DecodeWeightsBytes != table+experts/4+rest ||
		w.LayerParameters != 64*64+64*32+64*32*8/4 {
		t.Errorf("%+v", w)
	}
}

// Types without a file type: the one that holds most bytes.
func TestGGUFQuantization(t *testing.T) {
	base := func() *gguf { return sizes("llama", 1, map[string]any{"attention.head_count": 4}) }
	for want, g := range map[string]*gguf{
		"MXFP4":     base().tensor("token_embd.weight", 0, 64, 2).tensor("blk.0.ffn_up.weight", 39, 64, 512),
		"Q4_K":      base().tensor("token_embd.weight", 0, 64, 2).tensor("blk.0.ffn_up.weight", 12, 256, 512),
		"MXFP4_MOE": base().set("general.file_type", 38).tensor("token_embd.weight", 0, 64, 2),
		"IQ4_XS":    base().set("general.file_type", 1024+30).tensor("token_embd.weight", 0, 64, 2),
		"F16":       base().set("general.file_type", 999).tensor("token_embd.weight", 1, 64, 2),
	} {
		if f := readFacts(t, g); f.Quantization != want {
			t.Errorf("quantization is %s, want %s", f.Quantization, want)
		}
	}
}

func TestGGUFParts(t *testing.T) {
	dir := t.TempDir()
	part := func(name string, no, count int) string {
		g := &gguf{version: 3}
		if no == 0 {
			g = sizes("llama", 3, map[string]any{"attention.head_count": 4}).tensor("token_embd.weight", 0, 64, 2)
		}
		g.set("split.no", uint16(no)).set("split.count", uint16(count)).tensor(fmt.Sprintf("blk.%d.ffn_up.weight", no), 0, 64, 64)
		return g.save(t, filepath.Join(dir, name))
	}
	fails := func(path, want string) {
		t.Helper()
		if _, err := ReadGGUF(path); err == nil || err.Error() != "read "+path+": "+want {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	first := part("m-00001-of-00003.gguf", 0, 3)
	second := part("m-00002-of-00003.gguf", 1, 3)
	fails(first, "part m-00003-of-00003.gguf is missing")
	fails(second, "it is part 2 of 3, and a model is named by its first part")
	third := part("m-00003-of-00003.gguf", 2, 3)
	f, err := ReadGGUF(first)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(64*2*4 + 3*64*64*4); f.WeightsBytes != want || f.Parameters() != want/4 {
		t.Errorf("%d bytes, %d parameters", f.WeightsBytes, f.Parameters())
	}
	if err := os.Truncate(third, 300); err != nil {
		t.Fatal(err)
	}
	fails(first, "part m-00003-of-00003.gguf: it is shorter than its tensors: 300 bytes of 16.5 kB")
	part("m-00003-of-00003.gguf", 1, 3)
	fails(first, "part m-00003-of-00003.gguf belongs to another model")
	fails(part("renamed.gguf", 0, 3), "it is the first of 3 parts, and its name does not end in -00001-of-00003.gguf")
	if got := strings.Join(GGUFParts("a/m-00002-of-00002.gguf"), " "); got != "a/m-00001-of-00002.gguf a/m-00002-of-00002.gguf" {
		t.Errorf("parts are %s", got)
	}
}

// Whatever the bytes are, reading ends with facts or with one line, and facts of a model are those of the bytes that are there.
func FuzzReadGGUF(f *testing.F) {
	f.Add(withTensors(sizes("gemma3", 2, map[string]any{"attention.head_count": 4, "attention.sliding_window": 3}), 2).file())
	f.Add(withTensors(sizes("jamba", 2, map[string]any{"attention.head_count": 4, "attention.head_count_kv": []int32{0, 2}}), 2).file())
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseGGUF(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			var facts *ModelFacts
			if facts, err = h.facts(); err == nil {
				facts.Work(2)
				facts.KVBytes(8192, 512, 2)
				for _, x := range h.tensors {
					if x.bytes > int64(len(b)) {
						t.Fatalf("a tensor has %d of %d bytes", x.bytes, len(b))
					}
				}
				return
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Fatalf("an error of several lines: %q", err)
		}
	})
}
