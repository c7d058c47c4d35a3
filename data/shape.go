package data

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

	Heads int64 `yaml:"heads"` // of queries
	Tied  bool  `yaml:"tied"`  // the output head is the embedding table

	Latent
	Mixture
}

// Latent is multi-head latent attention: one latent vector and one rotary key a token. All of it is 0 for other attention.
type Latent struct {
	KVLoraRank    int64 `yaml:"kv_lora_rank"`
	QKRopeHeadDim int64 `yaml:"qk_rope_head_dim"`
	QLoraRank     int64 `yaml:"q_lora_rank"` // 0 when queries are not compressed
	QKNopeHeadDim int64 `yaml:"qk_nope_head_dim"`
	VHeadDim      int64 `yaml:"v_head_dim"`
}

// Mixture is a mixture of experts; all of it is 0 for a dense model.
type Mixture struct {
	Experts            int64 `yaml:"experts"`             // routed ones of a layer
	ExpertsPerToken    int64 `yaml:"experts_per_token"`   // of these, how many a token goes through
	ExpertIntermediate int64 `yaml:"expert_intermediate"` // width of one
	SharedIntermediate int64 `yaml:"shared_intermediate"` // width of those that every token goes through, together
	DenseLayers        int64 `yaml:"dense_layers"`        // of the model's: they have no experts
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

// attentionParameters are those of one layer: the four projections, or those of latent attention (DeepSeek-V2).
func (s Shape) attentionParameters() int64 {
	if s.KVLoraRank > 0 {
		q := s.Hidden * s.Heads * (s.QKNopeHeadDim + s.QKRopeHeadDim)
		if s.QLoraRank > 0 {
			q = s.QLoraRank * (s.Hidden + s.Heads*(s.QKNopeHeadDim+s.QKRopeHeadDim))
		}
		return q + s.Hidden*(s.KVLoraRank+s.QKRopeHeadDim) + s.KVLoraRank*s.Heads*(s.QKNopeHeadDim+s.VHeadDim) + s.Heads*s.VHeadDim*s.Hidden
	}
	return 2*s.Hidden*s.Heads*s.HeadDim + 2*s.Hidden*s.KVHeads*s.HeadDim
}

// Parameters counts the weights of the shape: gated MLPs (three matrices), norms and biases left out, which are less than 0.1 %.
func (s Shape) Parameters() int64 {
	n := s.Vocab*s.Hidden + s.Layers*s.attentionParameters()
	if !s.Tied {
		n += s.Vocab * s.Hidden
	}
	if s.Experts == 0 {
		return n + s.Layers*3*s.Hidden*s.Intermediate
	}
	moe := s.Layers - s.DenseLayers
	return n + s.DenseLayers*3*s.Hidden*s.Intermediate +
		moe*(3*s.Hidden*(s.Experts*s.ExpertIntermediate+s.SharedIntermediate)+s.Hidden*s.Experts)
}
