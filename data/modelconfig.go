package data

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// modelConfig is the part of a config.json that wb reads. A model for text and images has its language part under text_config.
//
// wide: one field per key of config.json
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
	Tied          *bool        `json:"tie_word_embeddings"`
	QLoraRank     *int64       `json:"q_lora_rank"`
	QKNope        *int64       `json:"qk_nope_head_dim"`
	VHeadDim      *int64       `json:"v_head_dim"`
	Experts       *int64       `json:"num_experts"`       // Qwen
	LocalExperts  *int64       `json:"num_local_experts"` // Mixtral, gpt-oss, Llama 4
	RoutedExperts *int64       `json:"n_routed_experts"`  // DeepSeek
	PerToken      *int64       `json:"num_experts_per_tok"`
	ExpertWidth   *int64       `json:"moe_intermediate_size"`
	SharedExperts *int64       `json:"n_shared_experts"`
	SharedWidth   *int64       `json:"shared_expert_intermediate_size"`
	FirstDense    *int64       `json:"first_k_dense_replace"`
	DenseOnly     []int64      `json:"mlp_only_layers"`
	Quant         *modelQuant  `json:"quantization_config"`
	Text          *modelConfig `json:"text_config"`
}

type modelQuant struct {
	Method string `json:"quant_method"`
	Bits   int    `json:"bits"`
	Groups map[string]struct {
		Weights struct {
			Bits int    `json:"num_bits"`
			Type string `json:"type"`
		} `json:"weights"`
		Activations json.RawMessage `json:"input_activations"`
	} `json:"config_groups"`
}

// ParseModelConfig reads the text of a config.json. It fails when that does not describe a transformer.
func ParseModelConfig(text []byte) (*ModelFacts, error) {
	var whole modelConfig
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	f := &ModelFacts{ModelType: whole.ModelType}
	if len(whole.Architectures) > 0 {
		f.Architecture = whole.Architectures[0]
	}
	c := &whole
	if c.Text != nil && c.Layers == nil {
		c = c.Text
	}
	if quant := cmp.Or(whole.Quant, c.Quant); quant != nil {
		f.Quantization = quant.words()
	}
	s := c.dimensions()
	if s.Layers == 0 || s.KVHeads == 0 || s.HeadDim == 0 || s.Layers > 10_000 || s.KVHeads > 1<<16 || s.HeadDim > 1<<16 {
		return nil, errors.New("config.json: it does not describe a transformer that wb knows (layers, attention heads and their size)")
	}
	s.Tied = tiedTables(&whole, c)
	s.Mixture = c.mixture(s)
	s.SlidingLayers, s.SlidingWindow = c.sliding(f.ModelType, s.Layers)
	f.Shape, f.ContextTokens = s, plausible(c.Positions)
	if s.SlidingLayers == s.Layers && s.SlidingWindow >= f.ContextTokens { // a window longer than the context hides nothing (Phi-3.5: 262,144)
		f.SlidingLayers, f.SlidingWindow = 0, 0
	}
	return f, nil
}

// plausible returns a size of a configuration, or 0 when it is missing or cannot be right.
func plausible(p *int64) int64 {
	if p == nil || *p < 0 || *p > 1<<32 {
		return 0
	}
	return *p
}

// words describes how the weights are stored.
func (q *modelQuant) words() string {
	if q.Bits > 0 {
		return fmt.Sprintf("%s %d-bit", q.Method, q.Bits)
	}
	for _, g := range q.Groups { // compressed-tensors: 8-bit floats on both sides of a product
		if g.Weights.Type == "float" && g.Weights.Bits == 8 && g.Activations != nil {
			return q.Method + " fp8"
		}
	}
	return q.Method
}

// tiedTables reports whether the output head of the language part is its embedding table. A configuration may leave this out. Then the
// default of its class in transformers holds, and the classes listed here tie the two.
func tiedTables(whole, language *modelConfig) bool {
	if language.Tied != nil {
		return *language.Tied
	}
	if whole.Tied != nil && *whole.Tied {
		return true
	}
	classes := []string{"gemma", "opt", "cohere", "gpt2", "bloom", "falcon", "starcoder2", "mpt"}
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(language.ModelType, class) })
}

// dimensions returns the sizes of layers, heads and tables.
func (c *modelConfig) dimensions() Shape {
	s := Shape{
		Layers: plausible(c.Layers), KVHeads: plausible(c.KVHeads), HeadDim: plausible(c.HeadDim), Hidden: plausible(c.Hidden),
		Intermediate: plausible(c.Intermediate), Vocab: plausible(c.Vocab), Heads: plausible(c.Heads),
		Latent: Latent{KVLoraRank: plausible(c.KVLoraRank), QKRopeHeadDim: plausible(c.QKRope), QLoraRank: plausible(c.QLoraRank),
			QKNopeHeadDim: plausible(c.QKNope), VHeadDim: plausible(c.VHeadDim)},
	}
	if s.KVHeads == 0 { // multi-head attention: as many KV heads as query heads
		s.KVHeads = s.Heads
	}
	if s.HeadDim == 0 && s.Heads > 0 {
		s.HeadDim = s.Hidden / s.Heads
	}
	return s
}

// mixture returns the experts of a model with these dimensions.
func (c *modelConfig) mixture(s Shape) Mixture {
	m := Mixture{Experts: max(plausible(c.Experts), plausible(c.LocalExperts), plausible(c.RoutedExperts))}
	if m.Experts == 0 {
		return m
	}
	m.ExpertsPerToken = min(max(plausible(c.PerToken), 1), m.Experts)
	m.ExpertIntermediate = plausible(c.ExpertWidth)
	if m.ExpertIntermediate == 0 { // Mixtral has one width for all
		m.ExpertIntermediate = s.Intermediate
	}
	m.SharedIntermediate = plausible(c.SharedWidth) + plausible(c.SharedExperts)*m.ExpertIntermediate
	m.DenseLayers = min(plausible(c.FirstDense)+int64(len(c.DenseOnly)), s.Layers)
	return m
}

// sliding returns how many layers attend only to a window, and the length of the window in tokens. modelType is that of the whole model.
func (c *modelConfig) sliding(modelType string, layers int64) (count, window int64) {
	window = plausible(c.Window)
	if window == 0 || c.UseWindow != nil && !*c.UseWindow {
		return 0, 0
	}
	switch p := plausible(c.Pattern); {
	case c.LayerTypes != nil:
		for _, t := range c.LayerTypes {
			if t == "sliding_attention" {
				count++
			}
		}
	case p > 1: // Gemma-3: one of p layers is global
		count = layers - layers/p
	case modelType == "gemma3" || modelType == "gemma3_text":
		count = layers - layers/6 // transformers' Gemma3TextConfig: sliding_window_pattern = 6
	default:
		count = layers
	}
	if count = min(count, layers); count == 0 {
		return 0, 0
	}
	return count, window
}
