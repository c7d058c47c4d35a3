package data

import (
	"errors"
	"slices"
	"strings"
)

// ggufSizes are the entries of a header that say how large a model is. Their names begin with that of the architecture.
var ggufSizes = []string{
	"context_length", "block_count", "nextn_predict_layers", "embedding_length", "feed_forward_length", "vocab_size",
	"attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
	"attention.key_length_swa", "attention.value_length_swa", "attention.key_length_mla", "attention.value_length_mla",
	"attention.kv_lora_rank", "attention.q_lora_rank", "rope.dimension_count",
	"attention.sliding_window", "attention.sliding_window_pattern", "attention.shared_kv_layers",
	"attention.recurrent_layers", "full_attention_interval",
	"expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "expert_shared_feed_forward_length",
}

// ggufStates begin the names of entries about recurrent states.
var ggufStates = []string{"ssm.", "wkv.", "kda.", "shortconv."}

// ggufShape works out the shape of a model. It reads the entries as load_hparams in src/llama-model.cpp of llama.cpp does.
type ggufShape struct {
	*ggufHeader
	arch      string
	attention int64            // how many layers have attention
	most      map[string]int64 // largest values of lists, by their names
}

// size gives an entry about the architecture. It gives the largest value of a list, and 0 for one that is missing or cannot be right.
func (g *ggufShape) size(name string) int64 {
	name = g.arch + "." + name
	if v, ok := g.numbers[name]; ok {
		return plausible(&v)
	}
	if most, ok := g.most[name]; ok {
		return most
	}
	var most int64
	for _, v := range g.lists[name] {
		most = max(most, plausible(&v))
	}
	g.most[name] = most
	return most
}

// of gives the value of an entry for one layer.
func (g *ggufShape) of(name string, layer int64) (v int64, ok bool) {
	name = g.arch + "." + name
	if v, ok = g.numbers[name]; ok {
		return plausible(&v), true
	}
	if list := g.lists[name]; layer < int64(len(list)) {
		return plausible(&list[layer]), true
	}
	return 0, false
}

// recurrent reports whether layers of the model keep a state.
func (g *ggufShape) recurrent() bool {
	if slices.Contains(recurrentArchitectures, g.arch) || slices.Contains(hybridArchitectures, g.arch) {
		return true
	}
	for name, v := range g.numbers {
		rest, ok := strings.CutPrefix(name, g.arch+".")
		if ok && v > 0 && slices.ContainsFunc(ggufStates, func(s string) bool { return strings.HasPrefix(rest, s) }) {
			return true
		}
	}
	return false
}

func (g *ggufShape) fill(s *Shape) error {
	s.Layers = max(g.size("block_count")-g.size("nextn_predict_layers"), 0)
	s.Hidden, s.Heads, s.Intermediate = g.size("embedding_length"), g.size("attention.head_count"), g.size("feed_forward_length")
	if s.Vocab = g.size("vocab_size"); s.Vocab == 0 {
		n := g.lengths["tokenizer.ggml.tokens"]
		s.Vocab = plausible(&n)
	}
	s.KVHeads = s.Heads
	if kv := g.arch + ".attention.head_count_kv"; g.lists[kv] != nil || g.numbers[kv] > 0 {
		s.KVHeads = g.size("attention.head_count_kv")
	}
	if s.HeadDim = g.size("attention.key_length"); s.HeadDim == 0 && s.Heads > 0 {
		s.HeadDim = s.Hidden / s.Heads
	}
	if slices.Contains(recurrentArchitectures, g.arch) {
		s.Heads, s.KVHeads, s.HeadDim = 0, 0, 0
	}
	switch heads := s.KVHeads > 0 && s.HeadDim > 0; {
	case s.Layers == 0 || s.Hidden == 0 || !heads && !g.recurrent():
		return errors.New("its header does not describe a language model that wb knows (layers, attention heads and their size)")
	case s.Layers > 10_000 || s.KVHeads > 1<<16 || s.HeadDim > 1<<16 || s.Hidden > 1<<24 || s.Heads > 1<<16:
		return errors.New("its header describes a model of impossible size")
	}
	s.Tied = !slices.ContainsFunc(g.tensors, func(t ggufTensor) bool { return t.name == "output.weight" })
	g.latent(s)
	g.experts(s)
	g.cache(s)
	return nil
}

// latent fills in latent attention. Files of the first conversions do not have the sizes of one head, and llama.cpp then keeps whole keys
// and values (is_mla in src/llama-hparams.cpp).
func (g *ggufShape) latent(s *Shape) {
	rank := g.size("attention.kv_lora_rank")
	if rank == 0 {
		return
	}
	s.KVLoraRank, s.QKRopeHeadDim, s.QLoraRank = rank, g.size("rope.dimension_count"), g.size("attention.q_lora_rank")
	key, value := g.size("attention.key_length"), g.size("attention.value_length")
	if g.isLatent() {
		key, value = g.size("attention.key_length_mla"), g.size("attention.value_length_mla")
	}
	s.QKNopeHeadDim, s.VHeadDim = max(key-s.QKRopeHeadDim, 0), value
}

func (g *ggufShape) isLatent() bool {
	return g.size("attention.key_length_mla") > 0 && g.size("attention.value_length_mla") > 0
}

func (g *ggufShape) experts(s *Shape) {
	m := Mixture{Experts: g.size("expert_count")}
	if m.Experts == 0 || m.Experts > 1<<16 {
		return
	}
	m.ExpertsPerToken = min(max(g.size("expert_used_count"), 1), m.Experts)
	if m.ExpertIntermediate = g.size("expert_feed_forward_length"); m.ExpertIntermediate == 0 {
		m.ExpertIntermediate = s.Intermediate
	}
	if m.SharedIntermediate = g.size("expert_shared_feed_forward_length"); m.SharedIntermediate == 0 {
		m.SharedIntermediate = min(g.size("expert_shared_count"), 1<<10) * m.ExpertIntermediate
	}
	mixed := map[string]bool{}
	for _, t := range g.tensors {
		if ggufExperts.MatchString(t.name) {
			mixed[ggufBlock.FindString(t.name)] = true
		}
	}
	m.DenseLayers = max(s.Layers-int64(len(mixed)), 0)
	s.Mixture = m
}

// cache fills in how much the layers keep of a token. They may differ: in the heads of their keys and values, in whether they keep any, and
// in how far they look back.
func (g *ggufShape) cache(s *Shape) {
	window := g.window(s.Layers)
	var full, sliding, slidingLayers int64
	for i := range s.Layers {
		heads, ok := g.of("attention.head_count_kv", i)
		if !ok || s.KVHeads == 0 {
			heads = s.KVHeads
		}
		looksBack := window > 0 && g.isSliding(i)
		if looksBack {
			slidingLayers++
		}
		if g.keepsState(i) {
			continue
		}
		if heads > 0 {
			g.attention++
		}
		values := heads * g.valuesOfHead(s, looksBack)
		switch {
		case i >= g.cachedLayers(s.Layers): // uses the cache of another layer
		case looksBack:
			sliding += values
		default:
			full += values
		}
	}
	if slidingLayers > 0 {
		s.SlidingLayers, s.SlidingWindow = slidingLayers, window
	}
	if full+sliding == 0 { // no layer has a cache
		s.KVHeads, s.Latent = 0, Latent{}
	}
	if f, sl := s.kvValues(); f != full || sl != sliding {
		s.FullKVValues, s.SlidingKVValues = full, sliding
	}
}

// valuesOfHead gives how many values of a token one KV head keeps in a layer.
func (g *ggufShape) valuesOfHead(s *Shape, sliding bool) int64 {
	if g.isLatent() { // the latent vector stands for keys and values
		return s.HeadDim
	}
	key, value := s.HeadDim, g.size("attention.value_length")
	if value == 0 && s.Heads > 0 {
		value = s.Hidden / s.Heads
	}
	if sliding {
		if n := g.size("attention.key_length_swa"); n > 0 {
			key = n
		}
		if n := g.size("attention.value_length_swa"); n > 0 {
			value = n
		}
	}
	return min(key, 1<<16) + min(value, 1<<16)
}

// cachedLayers gives how many layers from the start fill a cache (n_layer_kv_from_start of llama.cpp).
func (g *ggufShape) cachedLayers(layers int64) int64 {
	if g.arch == "gemma3n" {
		return min(layers, 20)
	}
	return layers - min(g.size("attention.shared_kv_layers"), layers)
}

// keepsState reports whether a layer keeps a state in place of a KV cache.
func (g *ggufShape) keepsState(layer int64) bool {
	switch {
	case slices.Contains(recurrentArchitectures, g.arch):
		return true
	case !slices.Contains(intervalArchitectures, g.arch):
		return false // it has no KV heads then
	}
	if v, ok := g.of("attention.recurrent_layers", layer); ok {
		return v != 0
	}
	interval := g.size("full_attention_interval")
	if interval == 0 {
		interval = 4
	}
	return (layer+1)%interval != 0
}

// window gives the length of the sliding window, in tokens, or 0 for none.
func (g *ggufShape) window(layers int64) int64 {
	w, known := windowsOf[g.arch]
	tokens, given := g.numbers[g.arch+".attention.sliding_window"]
	switch {
	case given && plausible(&tokens) == 0:
		return 0
	case g.arch == "exaone4" && layers != 64: // only the model of 64 layers has one (src/models/exaone4.cpp)
		return 0
	case g.arch == "llama4" || !given:
		return w.tokens
	case g.arch == "smallthinker":
		return 4096 // src/models/smallthinker.cpp
	case known || g.lists[g.arch+".attention.sliding_window_pattern"] != nil && g.arch != "phi3":
		return tokens
	}
	return 0
}

// isSliding reports whether a layer of a model with a window looks back only so far.
func (g *ggufShape) isSliding(layer int64) bool {
	name := g.arch + ".attention.sliding_window_pattern"
	if list := g.lists[name]; list != nil {
		return layer < int64(len(list)) && list[layer] != 0
	}
	w := windowsOf[g.arch]
	every := w.every
	if n, ok := g.numbers[name]; ok {
		every = plausible(&n)
	}
	switch {
	case strings.HasPrefix(g.arch, "lfm2"): // its layers with attention
		kv, ok := g.of("attention.head_count_kv", layer)
		return !ok || kv > 0
	case every == 0:
		return true
	case w.first:
		return layer%every != 0
	}
	return layer%every < every-1
}
