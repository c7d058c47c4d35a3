package data

// Work is what a model's tokens cost at least: the figures a roofline is made of.
type Work struct {
	// read once for any number of prompt tokens: all weights but the embedding table, of which rows are looked up
	PrefillWeightsBytes int64
	DecodeWeightsBytes  int64 // read for each token of one sequence: of the routed experts only those it goes through
	LayerParameters     int64 // that a token is multiplied with in all layers
	HeadParameters      int64 // of the output head
	// values of a query and of what it gathers, per layer: attention takes 4 · width · context FLOP a token and layer
	AttentionWidth int64
	KVLayerBytes   int64 // KV cache of one token in one layer
}

// Work works the costs out; kvValueBytes is 2 for a 16-bit KV cache and 1 for fp8. Bytes come from the safetensors headers where there
// are any, and else from the shape at the mean size of a parameter.
func (f *ModelFacts) Work(kvValueBytes int64) Work {
	s := f.Shape
	w := Work{HeadParameters: s.Vocab * s.Hidden, AttentionWidth: s.Heads * s.HeadDim, KVLayerBytes: s.layerKVBytes(kvValueBytes)}
	if s.KVLoraRank > 0 { // the latent vector takes the part of keys and values (arXiv:2405.04434, section 2.1)
		w.AttentionWidth = s.Heads * (2*s.KVLoraRank + s.QKRopeHeadDim) / 2
	}
	dense, moe := s.Layers, int64(0)
	if s.Experts > 0 {
		dense, moe = s.DenseLayers, s.Layers-s.DenseLayers
	}
	experts := 3 * s.Hidden * s.ExpertIntermediate * moe // one of each layer
	w.LayerParameters = s.Layers*s.attentionParameters() + dense*3*s.Hidden*s.Intermediate +
		moe*(3*s.Hidden*s.SharedIntermediate+s.Hidden*s.Experts) + experts*s.ExpertsPerToken
	total, embedding, routed := f.tensors.total, f.tensors.embedding, f.tensors.routed
	looked := embedding // up, not read
	switch {
	case total > 0 && f.tensors.head == 0: // the table is the head, and read whole
		looked = 0
	case total > 0 && s.Tied: // both are there and one is used
		looked = f.tensors.head
	case total == 0:
		total = f.WeightsBytes
		if whole := 2 * s.Parameters(); f.Quantization == "" && whole > 0 { // files may hold the table twice, and parts that see images
			total = min(total, whole)
		}
		per := float64(total) / float64(max(s.Parameters(), 1))
		looked, routed = int64(per*float64(s.Vocab*s.Hidden)), int64(per*float64(experts*s.Experts))
		if f.Quantization != "" { // embeddings stay at 16 bits
			looked = 2 * s.Vocab * s.Hidden
		}
		if s.Tied {
			looked = 0
		}
	}
	w.PrefillWeightsBytes = max(total-looked, 0)
	w.DecodeWeightsBytes = w.PrefillWeightsBytes
	if s.Experts > 0 {
		w.DecodeWeightsBytes -= routed - routed*s.ExpertsPerToken/s.Experts
	}
	return w
}
