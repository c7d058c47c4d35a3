package data

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wb/data/yamlfile"
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

	Heads int64 `yaml:"heads"` // of queries
	Tied  bool  `yaml:"tied"`  // the output head is the embedding table

	QLoraRank     int64 `yaml:"q_lora_rank"` // latent attention: 0 when queries are not compressed
	QKNopeHeadDim int64 `yaml:"qk_nope_head_dim"`
	VHeadDim      int64 `yaml:"v_head_dim"`

	Experts            int64 `yaml:"experts"`             // mixture of experts: routed ones of a layer; 0 for a dense model
	ExpertsPerToken    int64 `yaml:"experts_per_token"`   // of these, how many a token goes through
	ExpertIntermediate int64 `yaml:"expert_intermediate"` // width of one
	SharedIntermediate int64 `yaml:"shared_intermediate"` // width of those that every token goes through, together
	DenseLayers        int64 `yaml:"dense_layers"`        // of Layers: they have no experts
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
	if err := yamlfile.Load("models.yaml", modelsYAML, &all); err != nil {
		return nil, fmt.Errorf("read %w", err)
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

	tensors tensorBytes // by the safetensors headers; empty without any
}

// maxConfigBytes bounds a config.json; real ones have a few kilobytes.
const maxConfigBytes = 8 << 20

// ErrNoConfig is returned for a directory that holds neither config.json nor params.json.
var ErrNoConfig = errors.New("no config.json there")

// ReadModel reads config.json of a model directory, or the params.json of Mistral's own layout, and adds up its weights. It fails when the
// directory is not there, has neither, or that is not a transformer's.
func ReadModel(dir string) (*ModelFacts, error) {
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return nil, fmt.Errorf("read model %s: no such directory", dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	parse := ParseModelConfig
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(dir, "params.json"))
		parse = parseMistral
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read model %s: %w", dir, ErrNoConfig)
	}
	if err == nil && len(b) > maxConfigBytes {
		err = errors.New("config.json is too large to be one")
	}
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	for _, ext := range []string{".safetensors", ".bin", ".pt", consolidated} {
		files, err := weightFiles(dir, ext)
		if err != nil {
			return nil, fmt.Errorf("read model %s: %w", dir, err)
		}
		for _, p := range files {
			if st, err := os.Stat(p); err == nil {
				f.WeightsBytes += st.Size()
			}
			if ext == ".safetensors" {
				if err := f.tensors.read(p); err != nil { // what cannot be told apart counts by the shape
					f.tensors = tensorBytes{damaged: true}
				}
			}
		}
		if f.WeightsBytes > 0 {
			break
		}
	}
	if f.WeightsBytes == 0 { // --load-format dummy, or weights elsewhere
		f.WeightsBytes = 2 * f.Parameters()
	}
	return f, nil
}

// consolidated asks weightFiles for the weights of Mistral's own layout.
const consolidated = "consolidated"

// weightFiles are those that vLLM would load: what the safetensors index names, or all with the ending but for Mistral's own copies.
func weightFiles(dir, ext string) ([]string, error) {
	if b, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json")); err == nil && ext == ".safetensors" {
		var index struct {
			Map map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(b, &index); err == nil && len(index.Map) > 0 {
			var files []string
			for _, name := range index.Map {
				files = append(files, filepath.Join(dir, filepath.Base(name)))
			}
			slices.Sort(files)
			return slices.Compact(files), nil
		}
	}
	entries, err := os.ReadDir(dir)
	var files []string
	for _, e := range entries {
		own := strings.HasPrefix(e.Name(), consolidated)
		if filepath.Ext(e.Name()) == ext && !own || own && ext == consolidated && filepath.Ext(e.Name()) == ".safetensors" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
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

// mistralParams is the params.json of Mistral's own layout (mistral-inference, args.py: TransformerArgs; vLLM reads it too).
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

// parseMistral reads a params.json by the names of a config.json.
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
	quant, tied := c.Quant, false
	if c.Tied != nil {
		tied = *c.Tied
	}
	if c.Text != nil && c.Layers == nil {
		c = *c.Text
		if quant == nil {
			quant = c.Quant
		}
		if c.Tied != nil {
			tied = *c.Tied
		}
	}
	if quant != nil {
		f.Quantization = quant.Method
		for _, g := range quant.Groups { // compressed-tensors: 8-bit floats on both sides of a product
			if g.Weights.Type == "float" && g.Weights.Bits == 8 && g.Activations != nil {
				f.Quantization += " fp8"
				break
			}
		}
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
		KVLoraRank: val(c.KVLoraRank), QKRopeHeadDim: val(c.QKRope), Heads: val(c.Heads), QLoraRank: val(c.QLoraRank), QKNopeHeadDim: val(c.QKNope), VHeadDim: val(c.VHeadDim)}
	heads := s.Heads
	// a configuration may leave it out where its class has a default of its own (transformers): these tie the two
	s.Tied = tied || (c.Tied == nil && slices.ContainsFunc([]string{"gemma", "opt", "cohere", "gpt2", "bloom", "falcon", "starcoder2", "mpt"}, func(p string) bool { return strings.HasPrefix(c.ModelType, p) }))
	s.Experts = max(val(c.Experts), val(c.LocalExperts), val(c.RoutedExperts))
	if s.Experts > 0 {
		s.ExpertsPerToken, s.ExpertIntermediate, s.SharedIntermediate = min(max(val(c.PerToken), 1), s.Experts), val(c.ExpertWidth), val(c.SharedWidth)
		if s.ExpertIntermediate == 0 { // Mixtral: the only width there is
			s.ExpertIntermediate = s.Intermediate
		}
		s.SharedIntermediate += val(c.SharedExperts) * s.ExpertIntermediate
		s.DenseLayers = min(val(c.FirstDense)+int64(len(c.DenseOnly)), s.Layers)
	}
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
	if s.SlidingLayers == s.Layers && s.SlidingWindow >= f.ContextTokens { // a window as long as the context is none (Phi-3.5: 262,144)
		f.SlidingLayers, f.SlidingWindow = 0, 0
	}
	return f, nil
}

// Work is what a model's tokens cost at least: the figures a roofline is made of.
type Work struct {
	PrefillWeightsBytes int64 // read once for any number of prompt tokens: all weights but the embedding table, of which rows are looked up
	DecodeWeightsBytes  int64 // read for each token of one sequence: of the routed experts only those it goes through
	LayerParameters     int64 // that a token is multiplied with in all layers
	HeadParameters      int64 // of the output head
	AttentionWidth      int64 // values of a query and of what it gathers, per layer: attention takes 4 · width · context FLOP a token and layer
	KVLayerBytes        int64 // KV cache of one token in one layer
}

// Work works the costs out; kvValueBytes is 2 for a 16-bit KV cache and 1 for fp8. Bytes come from the safetensors headers where there are any, and else
// from the shape at the mean size of a parameter.
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
	w.LayerParameters = s.Layers*s.attentionParameters() + dense*3*s.Hidden*s.Intermediate + moe*(3*s.Hidden*s.SharedIntermediate+s.Hidden*s.Experts) + experts*s.ExpertsPerToken
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
	return n + s.DenseLayers*3*s.Hidden*s.Intermediate + moe*(3*s.Hidden*(s.Experts*s.ExpertIntermediate+s.SharedIntermediate)+s.Hidden*s.Experts)
}

// Facts are what the registry knows of a model, for where its files are not.
func (m Model) Facts() *ModelFacts {
	return &ModelFacts{Shape: m.Shape, ContextTokens: m.ContextTokens, Quantization: m.Quantization, WeightsBytes: m.WeightsBytes}
}
