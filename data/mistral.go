package data

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// mistralParams is the params.json of Mistral's layout (mistral-inference, args.py: TransformerArgs). vLLM reads it too.
type mistralParams struct {
	Dim           *int64 `json:"dim"`
	Layers        *int64 `json:"n_layers"`
	HeadDim       *int64 `json:"head_dim"`
	Hidden        *int64 `json:"hidden_dim"`
	Heads         *int64 `json:"n_heads"`
	KVHeads       *int64 `json:"n_kv_heads"`
	Vocab         *int64 `json:"vocab_size"`
	Tied          *bool  `json:"tied_embeddings"`
	MaxSeqLen     *int64 `json:"max_seq_len"`
	MaxPositions  *int64 `json:"max_position_embeddings"`
	SlidingWindow *int64 `json:"sliding_window"`
	MoE           *struct {
		Experts  *int64 `json:"num_experts"`
		PerToken *int64 `json:"num_experts_per_tok"`
	} `json:"moe"`
}

// parseMistral reads a params.json. It translates the names into those of a config.json.
func parseMistral(text []byte) (*ModelFacts, error) {
	var p mistralParams
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("params.json: %w", err)
	}
	c := modelConfig{Architectures: []string{"MistralForCausalLM"}, ModelType: "mistral",
		Layers: p.Layers, Heads: p.Heads, KVHeads: p.KVHeads, HeadDim: p.HeadDim, Hidden: p.Dim,
		Intermediate: p.Hidden, Vocab: p.Vocab, Positions: cmp.Or(p.MaxPositions, p.MaxSeqLen), Window: p.SlidingWindow, Tied: p.Tied}
	if p.MoE != nil {
		c.LocalExperts, c.PerToken = p.MoE.Experts, p.MoE.PerToken
	}
	same, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("params.json: %w", err)
	}
	f, err := ParseModelConfig(same)
	if err != nil {
		return nil, errors.New(strings.Replace(err.Error(), "config.json", "params.json", 1))
	}
	return f, nil
}
