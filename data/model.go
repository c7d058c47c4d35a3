package data

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed models.yaml
var modelsYAML []byte

// Model is a model that wb knows by a short name.
type Model struct {
	Name          string `yaml:"name"`
	Repo          string `yaml:"repo"`
	Parameters    string `yaml:"parameters"`
	WeightsBytes  int64  `yaml:"weights_bytes"`
	ContextTokens int64  `yaml:"context_tokens"`
	Quantization  string `yaml:"quantization"` // "" for the 16 bits it was published in
	License       string `yaml:"license"`
	Gated         bool   `yaml:"gated"`       // the hub wants an account that accepted the licence
	Recommended   bool   `yaml:"recommended"` // wb setup chooses among these
	Shape         Shape  `yaml:"shape"`
}

// Shape is what of a model's architecture decides how much memory it takes. KV heads and head size describe one layer's
// share of the KV cache.
type Shape struct {
	Layers       int64 `yaml:"layers"`
	KVHeads      int64 `yaml:"kv_heads"`
	HeadDim      int64 `yaml:"head_dim"`
	Hidden       int64 `yaml:"hidden"`
	Intermediate int64 `yaml:"intermediate"`
	Vocab        int64 `yaml:"vocab"`

	SlidingLayers int64 `yaml:"sliding_layers"` // of Layers: they keep SlidingWindow tokens only
	SlidingWindow int64 `yaml:"sliding_window"`

	KVLoraRank    int64 `yaml:"kv_lora_rank"` // multi-head latent attention: one latent vector and one rotary key a token
	QKRopeHeadDim int64 `yaml:"qk_rope_head_dim"`
}

// KVBytesPerToken is the KV cache of one token in all layers that keep it, bytes; bytesPerValue is 2 for 16-bit caches and
// 1 for fp8. Grouped-query attention: 2·layers·kv_heads·head_dim values (key and value); latent attention (DeepSeek-V2,
// arXiv:2405.04434): layers·(kv_lora_rank + qk_rope_head_dim). Sliding layers are in it.
func (s Shape) KVBytesPerToken(bytesPerValue int64) int64 {
	return s.Layers * s.layerKVBytes(bytesPerValue)
}

func (s Shape) layerKVBytes(bytesPerValue int64) int64 {
	if s.KVLoraRank > 0 {
		return (s.KVLoraRank + s.QKRopeHeadDim) * bytesPerValue
	}
	return 2 * s.KVHeads * s.HeadDim * bytesPerValue
}

// KVBytes is the KV cache of one sequence of so many tokens, bytes: sliding layers stop growing at their window and what
// one step may add to it.
func (s Shape) KVBytes(tokens, stepTokens, bytesPerValue int64) int64 {
	full := s.Layers
	var sliding int64
	if s.SlidingWindow > 0 {
		full -= s.SlidingLayers
		sliding = s.SlidingLayers * min(tokens, s.SlidingWindow+stepTokens)
	}
	return (full*tokens + sliding) * s.layerKVBytes(bytesPerValue)
}

// Models gives the registry, smallest first.
func Models() ([]Model, error) {
	var all []Model
	if err := yaml.UnmarshalWithOptions(modelsYAML, &all, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read models.yaml: %w", err)
	}
	return all, nil
}

// FindModel looks a name up in the registry, letter case aside; the repository's own name will do.
func FindModel(name string) (Model, bool, error) {
	all, err := Models()
	if err != nil {
		return Model{}, false, err
	}
	i := slices.IndexFunc(all, func(m Model) bool { return strings.EqualFold(m.Name, name) || strings.EqualFold(m.Repo, name) })
	if i < 0 {
		return Model{}, false, nil
	}
	return all[i], true, nil
}

// ModelFacts is what a model directory says of itself.
type ModelFacts struct {
	Shape
	Architecture  string
	ModelType     string
	ContextTokens int64 // longest the configuration allows; 0 when it does not say
	Quantization  string
	WeightsBytes  int64 // sum of the files vLLM would load; without any, 16 bits for each parameter of the shape

	parameters int64
}

// maxConfigBytes bounds a config.json; real ones have a few kilobytes.
const maxConfigBytes = 8 << 20

// ErrNoConfig is returned for a directory that holds no config.json.
var ErrNoConfig = errors.New("no config.json there")

// ReadModel reads config.json of a model directory and adds up its weights. It fails when the directory is not there, has
// no config.json, or that is not a transformer's.
func ReadModel(dir string) (*ModelFacts, error) {
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return nil, fmt.Errorf("read model %s: no such directory", dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read model %s: %w", dir, ErrNoConfig)
	}
	if err == nil && len(b) > maxConfigBytes {
		err = errors.New("config.json is too large to be one")
	}
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	f, err := ParseModelConfig(b)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	for _, ext := range []string{".safetensors", ".bin", ".pt"} {
		files, err := filepath.Glob(filepath.Join(dir, "*"+ext))
		if err != nil {
			return nil, fmt.Errorf("read model %s: %w", dir, err)
		}
		for _, p := range files {
			if st, err := os.Stat(p); err == nil && !strings.HasPrefix(filepath.Base(p), "consolidated") {
				f.WeightsBytes += st.Size()
			}
		}
		if f.WeightsBytes > 0 {
			break
		}
	}
	if f.WeightsBytes == 0 { // --load-format dummy, or weights elsewhere
		f.WeightsBytes = 2 * f.parameters
	}
	return f, nil
}

// modelConfig is what wb reads of a config.json; a model of several modalities has its language part under text_config.
type modelConfig struct {
	Architectures []string     `json:"architectures"`
	ModelType     string       `json:"model_type"`
	Layers        *int64       `json:"num_hidden_layers"`
	Heads         *int64       `json:"num_attention_heads"`
	KVHeads       *int64       `json:"num_key_value_heads"`
	HeadDim       *int64       `json:"head_dim"`
	Hidden        *int64       `json:"hidden_size"`
	Intermediate  *int64       `json:"intermediate_size"`
	Vocab         *int64       `json:"vocab_size"`
	Positions     *int64       `json:"max_position_embeddings"`
	Window        *int64       `json:"sliding_window"`
	UseWindow     *bool        `json:"use_sliding_window"`
	LayerTypes    []string     `json:"layer_types"`
	Pattern       *int64       `json:"sliding_window_pattern"`
	KVLoraRank    *int64       `json:"kv_lora_rank"`
	QKRope        *int64       `json:"qk_rope_head_dim"`
	Tied          bool         `json:"tie_word_embeddings"`
	Quant         *modelQuant  `json:"quantization_config"`
	Text          *modelConfig `json:"text_config"`
}

type modelQuant struct {
	Method string `json:"quant_method"`
	Bits   int    `json:"bits"`
}

// ParseModelConfig reads a config.json.
func ParseModelConfig(text []byte) (*ModelFacts, error) {
	var c modelConfig
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	f := &ModelFacts{ModelType: c.ModelType}
	if len(c.Architectures) > 0 {
		f.Architecture = c.Architectures[0]
	}
	quant := c.Quant
	if c.Text != nil && c.Layers == nil {
		c = *c.Text
		if quant == nil {
			quant = c.Quant
		}
	}
	if quant != nil {
		f.Quantization = quant.Method
		if quant.Bits > 0 {
			f.Quantization = fmt.Sprintf("%s %d-bit", quant.Method, quant.Bits)
		}
	}
	val := func(p *int64) int64 {
		if p == nil || *p < 0 || *p > 1<<32 {
			return 0
		}
		return *p
	}
	s := Shape{Layers: val(c.Layers), KVHeads: val(c.KVHeads), HeadDim: val(c.HeadDim), Hidden: val(c.Hidden), Intermediate: val(c.Intermediate), Vocab: val(c.Vocab),
		KVLoraRank: val(c.KVLoraRank), QKRopeHeadDim: val(c.QKRope)}
	heads := val(c.Heads)
	if s.KVHeads == 0 { // multi-head attention: as many as query heads
		s.KVHeads = heads
	}
	if s.HeadDim == 0 && heads > 0 {
		s.HeadDim = s.Hidden / heads
	}
	if s.Layers == 0 || s.KVHeads == 0 || s.HeadDim == 0 || s.Layers > 10_000 || s.KVHeads > 1<<16 || s.HeadDim > 1<<16 {
		return nil, errors.New("config.json: it describes no transformer that wb knows (layers, attention heads and their size)")
	}
	if w := val(c.Window); w > 0 && (c.UseWindow == nil || *c.UseWindow) {
		for _, t := range c.LayerTypes {
			if t == "sliding_attention" {
				s.SlidingLayers++
			}
		}
		switch p := val(c.Pattern); {
		case c.LayerTypes != nil:
		case p > 1: // Gemma-3: one of p layers is global
			s.SlidingLayers = s.Layers - s.Layers/p
		case f.ModelType == "gemma3" || f.ModelType == "gemma3_text":
			s.SlidingLayers = s.Layers - s.Layers/6 // transformers' Gemma3TextConfig: sliding_window_pattern = 6
		default:
			s.SlidingLayers = s.Layers
		}
		s.SlidingLayers = min(s.SlidingLayers, s.Layers)
		if s.SlidingLayers > 0 {
			s.SlidingWindow = w
		}
	}
	f.Shape, f.ContextTokens = s, val(c.Positions)
	f.parameters = s.Vocab*s.Hidden + s.Layers*(2*s.Hidden*heads*s.HeadDim+2*s.Hidden*s.KVHeads*s.HeadDim+3*s.Hidden*s.Intermediate)
	if !c.Tied {
		f.parameters += s.Vocab * s.Hidden
	}
	if s.SlidingLayers == s.Layers && s.SlidingWindow >= f.ContextTokens { // a window as long as the context is none (Phi-3.5: 262,144)
		f.SlidingLayers, f.SlidingWindow = 0, 0
	}
	return f, nil
}
