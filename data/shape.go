package data

// Shape holds those parts of a model's architecture that decide how much memory it takes. KV heads and head size describe the KV
// cache of one layer.
type Shape struct {
	Layers       int64 `yaml:"layers"`
	KVHeads      int64 `yaml:"kv_heads"`
	HeadDim      int64 `yaml:"head_dim"`
	Hidden       int64 `yaml:"hidden"`
	Intermediate int64 `yaml:"intermediate"`
	Vocab        int64 `yaml:"vocab"`

	SlidingLayers int64 `yaml:"sliding_layers"` // how many of Layers keep only SlidingWindow tokens
	SlidingWindow int64 `yaml:"sliding_window"`

	Heads int64 `yaml:"heads"` // query heads
	Tied  bool  `yaml:"tied"`  // the output head is also the embedding table

	Latent
	Mixture
	Uneven `yaml:"-"`
}

// Latent describes multi-head latent attention: one latent vector and one rotary key per token. All fields are 0 for other attention.
type Latent struct {
	KVLoraRank    int64 `yaml:"kv_lora_rank"`
	QKRopeHeadDim int64 `yaml:"qk_rope_head_dim"`
	QLoraRank     int64 `yaml:"q_lora_rank"` // 0 when queries are not compressed
	QKNopeHeadDim int64 `yaml:"qk_nope_head_dim"`
	VHeadDim      int64 `yaml:"v_head_dim"`
}

// Mixture describes a mixture of experts. All fields are 0 for a dense model.
type Mixture struct {
	Experts            int64 `yaml:"experts"`             // routed experts of one layer
	ExpertsPerToken    int64 `yaml:"experts_per_token"`   // how many of them a token uses
	ExpertIntermediate int64 `yaml:"expert_intermediate"` // width of one expert
	SharedIntermediate int64 `yaml:"shared_intermediate"` // width of the shared experts together, which every token uses
	DenseLayers        int64 `yaml:"dense_layers"`        // how many of the model's layers have no experts
}

// Uneven describes a KV cache whose layers differ. Both fields are 0 when each layer keeps the same: keys and values of KVHeads, or a
// latent vector.
type Uneven struct {
	FullKVValues    int64 // values that all layers with the whole context keep of one token, together
	SlidingKVValues int64 // values that all sliding layers keep of one token, together
}

// KVBytesPerToken returns the size of one token in the KV cache, in bytes over all layers, sliding ones included. bytesPerValue is 2
// for a 16-bit cache and 1 for fp8. Grouped-query attention keeps 2·layers·kv_heads·head_dim values (key and value). Latent
// attention keeps layers·(kv_lora_rank + qk_rope_head_dim) (DeepSeek-V2, arXiv:2405.04434).
func (s Shape) KVBytesPerToken(bytesPerValue int64) int64 {
	full, sliding := s.kvValues()
	return (full + sliding) * bytesPerValue
}

// kvValues returns how many values of one token the layers with the whole context keep together, and how many the sliding ones do.
func (s Shape) kvValues() (full, sliding int64) {
	if s.FullKVValues > 0 || s.SlidingKVValues > 0 {
		return s.FullKVValues, s.SlidingKVValues
	}
	layer := 2 * s.KVHeads * s.HeadDim
	if s.KVLoraRank > 0 {
		layer = s.KVLoraRank + s.QKRopeHeadDim
	}
	if s.SlidingWindow > 0 {
		sliding = s.SlidingLayers
	}
	return (s.Layers - sliding) * layer, sliding * layer
}

// layerKVBytes is the size of one token in one layer, the mean where layers differ.
func (s Shape) layerKVBytes(bytesPerValue int64) int64 {
	return s.KVBytesPerToken(bytesPerValue) / max(s.Layers, 1)
}

// KVBytes returns the size of the KV cache of one sequence of tokens, in bytes. Sliding layers stop growing at their window plus the
// tokens of one step.
func (s Shape) KVBytes(tokens, stepTokens, bytesPerValue int64) int64 {
	full, sliding := s.kvValues()
	return (full*tokens + sliding*min(tokens, s.SlidingWindow+stepTokens)) * bytesPerValue
}

// attentionParameters returns the attention parameters of one layer: four projections, or those of latent attention (DeepSeek-V2).
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

// Parameters counts the weights of the shape, with gated MLPs (three matrices). Norms and biases are left out: they are less than 0.1 %.
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
