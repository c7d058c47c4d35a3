package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gguf writes GGUF files.
type gguf struct {
	bytes.Buffer
	entries, tensors int
	infos            bytes.Buffer
	offset           int64
	version          uint32
	alignment        int64
}

func (g *gguf) put(v any) { _ = binary.Write(&g.Buffer, binary.LittleEndian, v) }

func (g *gguf) text(s string) {
	g.put(uint64(len(s)))
	g.WriteString(s)
}

// set adds an entry: a text, a number, a bool, or a list of texts, bools or numbers.
func (g *gguf) set(name string, value any) *gguf {
	g.entries++
	g.text(name)
	switch v := value.(type) {
	case string:
		g.put(uint32(8))
		g.text(v)
	case int:
		g.put(uint32(4))
		g.put(uint32(v))
	case uint16:
		g.put(uint32(2))
		g.put(v)
	case bool:
		g.put(uint32(7))
		g.put(v)
	case float32:
		g.put(uint32(6))
		g.put(v)
	case []int32:
		g.put([]uint32{9, 5})
		g.put(uint64(len(v)))
		g.put(v)
	case []bool:
		g.put([]uint32{9, 7})
		g.put(uint64(len(v)))
		g.put(v)
	case []string:
		g.put([]uint32{9, 8})
		g.put(uint64(len(v)))
		for _, s := range v {
			g.text(s)
		}
	default:
		panic(fmt.Sprintf("%T", value))
	}
	return g
}

// tensor adds a tensor of a type of ggml.
func (g *gguf) tensor(name string, kind uint32, dims ...uint64) *gguf {
	g.tensors++
	w := func(v any) { _ = binary.Write(&g.infos, binary.LittleEndian, v) }
	w(uint64(len(name)))
	g.infos.WriteString(name)
	w(uint32(len(dims)))
	w(dims)
	w(kind)
	w(uint64(g.offset))
	n := int64(1)
	for _, d := range dims {
		n *= int64(d)
	}
	a := max(g.alignment, 32)
	g.offset += (n/ggmlTypes[kind].values*ggmlTypes[kind].size + a - 1) / a * a
	return g
}

// file gives the bytes of the file.
func (g *gguf) file() []byte {
	var out bytes.Buffer
	out.WriteString("GGUF")
	_ = binary.Write(&out, binary.LittleEndian, max(g.version, 2))
	_ = binary.Write(&out, binary.LittleEndian, []uint64{uint64(g.tensors), uint64(g.entries)})
	out.Write(g.Bytes())
	out.Write(g.infos.Bytes())
	a := int(max(g.alignment, 32))
	out.Write(make([]byte, (a-out.Len()%a)%a+int(g.offset)))
	return out.Bytes()
}

func (g *gguf) save(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, g.file(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sizes starts a file with an architecture and its sizes.
func sizes(arch string, layers int, more map[string]any) *gguf {
	g := &gguf{version: 3}
	g.set("general.architecture", arch).set(arch+".block_count", layers).set(arch+".embedding_length", 64)
	for name, v := range more {
		g.set(arch+"."+name, v)
	}
	return g
}

func readFacts(t *testing.T, g *gguf) *ModelFacts {
	t.Helper()
	f, err := ReadGGUF(g.save(t, filepath.Join(t.TempDir(), "m.gguf")))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The sizes of SmolLM2-135M as llama.cpp writes them, with all of its tensors.
func smolLM2() *gguf {
	g := sizes("llama", 30, map[string]any{"context_length": 8192, "feed_forward_length": 1536, "attention.head_count": 9,
		"attention.head_count_kv": 3, "rope.freq_base": float32(100000), "vocab_size": 49152})
	g.set("llama.embedding_length", 576).set("general.file_type", 3).set("tokenizer.chat_template", "{{ messages }}")
	g.set("tokenizer.ggml.tokens", []string{"a", "b"})
	g.tensor("token_embd.weight", 8, 576, 49152)
	for i := range 30 {
		b := fmt.Sprintf("blk.%d.", i)
		g.tensor(b+"attn_norm.weight", 0, 576).tensor(b+"ffn_down.weight", 3, 1536, 576).tensor(b+"ffn_gate.weight", 3, 576, 1536)
		g.tensor(b+"ffn_up.weight", 3, 576, 1536).tensor(b+"ffn_norm.weight", 0, 576).tensor(b+"attn_k.weight", 3, 576, 192)
		g.tensor(b+"attn_output.weight", 3, 576, 576).tensor(b+"attn_q.weight", 3, 576, 576).tensor(b+"attn_v.weight", 3, 576, 192)
	}
	return g.tensor("output_norm.weight", 0, 576)
}

func checkSmolLM2(t *testing.T, f *ModelFacts) {
	t.Helper()
	// llama-server says of this file: n_params 134515008, size 96576768
	if f.Parameters() != 134515008 || f.WeightsBytes != 96576768 || f.Quantization != "Q4_1" || f.Architecture != "llama" ||
		f.ContextTokens != 8192 || f.Recurrent || f.ChatTemplate == "" {
		t.Errorf("facts are %+v", f)
	}
	want := Shape{Layers: 30, KVHeads: 3, HeadDim: 64, Hidden: 576, Intermediate: 1536, Vocab: 49152, Heads: 9, Tied: true}
	if f.Shape != want {
		t.Errorf("shape is %+v, want %+v", f.Shape, want)
	}
	// by hand: 30·(2·576² + 2·576·192 + 3·576·1536) = 106,168,320 parameters in layers, 49152·576 in the table that is also the head.
	// A token reads all bytes: the table as head (8-bit blocks, 34 bytes of 32 values), the layers (20 bytes of 32), the norms (4 of 1).
	w := f.Work(2)
	reads := int64(49152*576/32*34 + 106168320/32*20 + 61*576*4)
	if w.DecodeWeightsBytes != reads || w.PrefillWeightsBytes != reads || reads != 96576768 || w.LayerParameters != 106168320 ||
		w.HeadParameters != 28311552 || w.AttentionWidth != 576 || w.KVLayerBytes != 768 {
		t.Errorf("work is %+v", w)
	}
	if n := f.KVBytes(1000, 512, 2); n != 1000*30*2*3*64*2 {
		t.Errorf("the KV cache of 1000 tokens has %d bytes", n)
	}
}

func TestReadGGUF(t *testing.T) {
	checkSmolLM2(t, readFacts(t, smolLM2()))
	old := smolLM2()
	old.version = 2
	checkSmolLM2(t, readFacts(t, old))
	wide := smolLM2()
	wide.infos.Reset()
	wide.tensors, wide.offset, wide.alignment = 0, 0, 4096
	wide.set("general.alignment", 4096).tensor("token_embd.weight", 0, 3).tensor("output.weight", 0, 3)
	if f := readFacts(t, wide); f.WeightsBytes != 24 || f.Tied {
		t.Errorf("with another alignment: %+v", f)
	}
}

// The figures of real files, as llama-server tells them.
func TestRealGGUF(t *testing.T) {
	dir := os.Getenv("WB_ENGINE")
	read := func(t *testing.T, name string) *ModelFacts {
		t.Helper()
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); dir == "" || err != nil {
			t.Skipf("there is no %s in WB_ENGINE; make e2e brings it", name)
		}
		f, err := ReadGGUF(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("smollm2", func(t *testing.T) { checkSmolLM2(t, read(t, "smollm2-135m.gguf")) })
	t.Run("gemma3", func(t *testing.T) {
		f := read(t, "gemma3-270m.gguf")
		want := Shape{Layers: 18, KVHeads: 1, HeadDim: 256, Hidden: 640, Intermediate: 2048, Vocab: 262144, Heads: 4, Tied: true,
			SlidingLayers: 15, SlidingWindow: 512}
		if f.Shape != want || f.Quantization != "Q4_K_M" || f.ContextTokens != 32768 || f.ChatTemplate != "" {
			t.Errorf("%+v", f)
		}
	})
}

func TestGGUFErrors(t *testing.T) {
	whole := smolLM2().file()
	header := func(b ...any) []byte {
		var out bytes.Buffer
		out.WriteString("GGUF")
		for _, v := range b {
			if s, ok := v.(string); ok {
				_ = binary.Write(&out, binary.LittleEndian, uint64(len(s)))
				v = []byte(s)
			}
			_ = binary.Write(&out, binary.LittleEndian, v)
		}
		return out.Bytes()
	}
	one := func(g *gguf) []byte { return g.tensor("token_embd.weight", 0, 4).file() }
	llama := map[string]any{"attention.head_count": 4}
	huge := uint64(1) << 62
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "it is empty"},
		{"a web page", []byte("<html>"), `it is not a GGUF file (it begins with "<htm")`},
		{"a pointer of git", []byte("version https://git-lfs"), `it is not a GGUF file (it begins with "vers")`},
		{"two letters", []byte("GG"), `it is not a GGUF file (it begins with "GG")`},
		{"no version", []byte("GGUF\x03"), "it ends inside its header"},
		{"version 1", header(uint32(1), huge, huge), "its format is version 1, and wb reads versions 2 and 3"},
		{"big endian", header(uint32(3 << 24)), "it is for machines that store the high byte first (big endian)"},
		{"inside the header", whole[:1000], "it ends inside its header"},
		{"half of the tensors", whole[:len(whole)/8], "it is shorter than its tensors: 12.1 of 96.6 MB"},
		{"one byte short", whole[:len(whole)-1], "it is shorter than its tensors: "},
		{"too many tensors", header(uint32(3), huge, uint64(1)), "it says that it has 4611686018427387904 tensors, and no model has so many"},
		{"too many entries", header(uint32(3), uint64(1), huge), "it says that its header has 4611686018427387904 entries"},
		{"a long name", header(uint32(3), uint64(1), uint64(1), huge), "it ends inside its header"},
		{"a name of impossible length", header(uint32(3), uint64(1), uint64(1), ^uint64(0)), "it ends inside its header"},
		{"a long text", header(uint32(3), uint64(1), uint64(1), "general.architecture", uint32(8), huge), "it ends inside its header"},
		{"a long list", header(uint32(3), uint64(1), uint64(1), "llama.feed_forward_length", []uint32{9, 4}, huge), "it ends inside its header"},
		{"a long list of texts", header(uint32(3), uint64(1), uint64(1), "a", []uint32{9, 8}, huge), "it ends inside its header"},
		{"a list of lists", header(uint32(3), uint64(1), uint64(1), "a", []uint32{9, 9}, huge), "an array of its header has the unknown type 9"},
		{"an unknown type", header(uint32(3), uint64(1), uint64(1), "a", uint32(13)), "an entry of its header has the unknown type 13"},
		{"five dimensions", header(uint32(3), uint64(1), uint64(0), "a", uint32(5)), `tensor "a" has 5 dimensions`},
		{"a huge tensor", header(uint32(3), uint64(1), uint64(0), "a", uint32(2), huge, huge), `tensor "a" is too large`},
		{"a removed type", header(uint32(3), uint64(1), uint64(0), "a", uint32(1), uint64(32), uint32(4), uint64(0)),
			`tensor "a" has the unknown type 4`},
		{"part of a block", header(uint32(3), uint64(1), uint64(0), "a", uint32(1), uint64(33), uint32(8), uint64(0)),
			`tensor "a" has rows of 33 values, and Q8_0 needs a multiple of 32`},
		{"an odd place", header(uint32(3), uint64(1), uint64(0), "a", uint32(1), uint64(32), uint32(8), uint64(5)),
			`tensor "a" lies at byte 5, which is not a multiple of 32`},
		{"an odd alignment", one(sizes("llama", 2, llama).set("general.alignment", 24)), "its alignment is 24, and it must be a power of two"},
		{"no architecture", one(&gguf{}), "it does not name the architecture of its model"},
		{"no sizes", one((&gguf{}).set("general.architecture", "llama")), "its header does not describe a language model that wb knows"},
		{"impossible sizes", one(sizes("llama", 1<<20, llama)), "its header describes a model of impossible size"},
		{"no tensors", sizes("llama", 2, llama).file(), "it has no tensors"},
		{"eyes", one((&gguf{}).set("general.architecture", "clip")), "it is the part of a model for images or sound, not a language model"},
		{"an adapter", one(sizes("llama", 2, llama).set("general.type", "adapter")), "it is an adapter for another model"},
	} {
		path := filepath.Join(t.TempDir(), "model.gguf")
		if err := os.WriteFile(path, tt.file, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadGGUF(path)
		if err == nil || !strings.HasPrefix(err.Error(), "read "+path+": "+tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := ReadGGUF(filepath.Join(t.TempDir(), "a.gguf")); err == nil || !strings.HasSuffix(err.Error(), "a.gguf: no such file") {
		t.Errorf("without a file the error is %v", err)
	}
	if _, err := ReadGGUF(t.TempDir()); err == nil || !strings.HasSuffix(err.Error(), "it is not a file") {
		t.Errorf("of a directory the error is %v", err)
	}
}

func TestCheckGGUF(t *testing.T) {
	strange := (&gguf{}).set("general.architecture", "unheard").tensor("a", 0, 4).file()
	path := filepath.Join(t.TempDir(), "strange.gguf")
	if err := os.WriteFile(path, strange, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckGGUF(path); err != nil {
		t.Errorf("a whole file of an unknown architecture is not whole: %v", err)
	}
	if err := os.Truncate(path, int64(len(strange)-20)); err != nil {
		t.Fatal(err)
	}
	if err := CheckGGUF(path); err == nil || !strings.Contains(err.Error(), "it is shorter than its tensors: ") {
		t.Errorf("of a cut file the error is %v", err)
	}
}
