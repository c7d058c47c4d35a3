package data

// Work is the least work that a model's tokens need. A roofline is computed from these figures.
type Work struct {
	// read once for any number of prompt tokens: all weights except the embedding table, of which only some rows are read
	PrefillWeightsBytes int64
	DecodeWeightsBytes  int64 // read for each token of one sequence; of the routed experts only those that the token uses
	LayerParameters     int64 // parameters of all layers that a token is multiplied with
	HeadParameters      int64 // parameters of the output head
	// values of a query and of its result, per layer: attention takes 4 · width · context FLOP per token and layer
	AttentionWidth int64
	KVLayerBytes   int64 // KV cache of one token in one layer
}

// Work returns the least work of the model. kvValueBytes is 2 for a 16-bit KV cache and 1 for fp8. The bytes of weights come from the
// headers of safetensors or GGUF files. Without headers they come from the shape and the mean size of a parameter.
func (f *ModelFacts) Work(kvValueBytes int64) Work {
	s := f.Shape
	w := Work{HeadParameters: s.Vocab * s.Hidden, AttentionWidth: s.Heads * s.HeadDim, KVLayerBytes: s.layerKVBytes(kvValueBytes)}
	if s.KVLoraRank > 0 { // the latent vector stands for keys and values (arXiv:2405.04434, section 2.1)
		w.AttentionWidth = s.Heads * (2*s.KVLoraRank + s.QKRopeHeadDim) / 2
	}
	dense, moe := s.Layers, int64(0)
	if s.Experts > 0 {
		dense, moe = s.DenseLayers, s.Layers-s.DenseLayers
	}
	experts := 3 * s.Hidden * s.ExpertIntermediate * moe // one expert of each layer
	w.LayerParameters = s.Layers*s.attentionParameters() + dense*3*s.Hidden*s.Intermediate +
		moe*(3*s.Hidden*s.SharedIntermediate+s.Hidden*s.Experts) + experts*s.ExpertsPerToken
	if f.counts.layers > 0 {
		w.LayerParameters = f.counts.layers
		if s.Experts > 0 {
			w.LayerParameters += f.counts.routed * s.ExpertsPerToken / s.Experts
		}
		w.AttentionWidth = w.AttentionWidth * f.counts.attention / s.Layers // the mean over layers with and without attention
	}
	total, embedding, routed := f.tensors.total, f.tensors.embedding, f.tensors.routed
	lookedUp := embedding // bytes of a table of which only some rows are read
	switch {
	case total > 0 && f.tensors.head == 0: // the table is also the head, so all of it is read
		lookedUp = 0
	case total > 0 && s.Tied: // the files hold both, and one of them is used
		lookedUp = f.tensors.head
	case total == 0:
		total = f.WeightsBytes
		if whole := 2 * s.Parameters(); f.Quantization == "" && whole > 0 { // files may hold the table twice, and parts for images
			total = min(total, whole)
		}
		per := float64(total) / float64(max(s.Parameters(), 1))
		lookedUp, routed = int64(per*float64(s.Vocab*s.Hidden)), int64(per*float64(experts*s.Experts))
		if f.Quantization != "" { // embeddings stay at 16 bits
			lookedUp = 2 * s.Vocab * s.Hidden
		}
		if s.Tied {
			lookedUp = 0
		}
	}
	w.PrefillWeightsBytes = max(total-lookedUp-f.tensors.lookup, 0)
	w.DecodeWeightsBytes = w.PrefillWeightsBytes
	if s.Experts > 0 {
		w.DecodeWeightsBytes -= routed - routed*s.ExpertsPerToken/s.Experts
	}
	return w
}
