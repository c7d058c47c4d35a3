// Package engine knows the kinds of servers. It finds out which kind answers at a URL and what it can do. It asks for token ids, reads the
// counters and empties the prefix cache. Each kind is one file and one line in All. The package knows nothing about runs, conversations or
// the store, and leaves HTTP to package client.
package engine

import (
	"context"
	"time"

	"wb/collect/client"
	"wb/data"
	"wb/data/prefix"
)

// Kind names a kind of server, as raw.engine records it.
type Kind string

// Kinds of server.
const (
	KindVLLM      Kind = "vllm"
	KindLlamaCpp  Kind = "llamacpp"
	KindOpenAI    Kind = "openai"
	KindSimulator Kind = "simulator"
)

// Engine is what wb knows about one kind of server. The facts that its methods are given are those of the server that answers.
type Engine interface {
	// Kind gives the name of the kind.
	Kind() Kind
	// About says in words what is known of the kind. docs/reference/engines.md is made from it.
	About() About
	// Recognises says whether a server with these facts is of this kind.
	Recognises(f *Facts) bool
	// Learn asks the server what only this kind can be asked, and adds the answers to the facts.
	Learn(ctx context.Context, c *client.Client, f *Facts)
	// TokenIDs asks the server for token ids. It fails when the answer cannot be right, such as more ids than the text has bytes.
	TokenIDs(ctx context.Context, c *client.Client, model string, t Text) ([]int32, error)
	// Fields says which request fields the server understands beyond OpenAI's.
	Fields(f *Facts) Fields
	// CachedTokens decides how many tokens of a turn's prompt came from the cache. reported is what the server reported, nil for nothing.
	// missed says that the server's counters show that the prompt was looked up and nothing was found. The result is nil where the number
	// is not known, which is not the same as 0.
	CachedTokens(f *Facts, reported *int64, missed bool) *int64
	// CounterNames gives the names that a counter has had over the releases, newest first. It is nil for a counter that this kind does
	// not have.
	CounterNames(counter string) []string
	// Cache says how the prefix cache works. It is nil where that is not known, or nothing is cached.
	Cache(f *Facts) *Cache
	// Reset says how the prefix cache is emptied. It is nil where that is not possible.
	Reset(f *Facts) *Reset
}

// All lists the kinds. A server belongs to the first kind that recognises it.
func All() []Engine {
	return []Engine{
		simulator{},
		vllm{},
		llamaCpp{},
		openAI{},
	}
}

// About says in words what is known of a kind of server. Each text is a row of a table, in Markdown.
type About struct {
	Name       string // as its makers write it
	Releases   string // that were read or run
	Recognised string // by what wb knows it
	Says       string // what it says about itself: version, model, quantisation, size
	Context    string // where the context in force is read
	Tokens     string // how token ids are asked for
	Takes      string // request fields beyond OpenAI's that it understands
	Drops      string // what it does not understand, and what wb does then
	LastEvent  string // what the last event of a stream carries
	Counters   string // what /metrics has
	Caching    string // how its cache works: unit, tiers
	Isolation  string // modes that work, the default first
	Emptied    string // how the cache is emptied

	Short
}

// Short says in a word or two what the pages of kinds are compared by.
type Short struct {
	Unit    string // of cache hits
	Times   string // that the server tells
	Managed bool   // wb starts and ends such a server
}

// Text is a text whose token ids are wanted. Exactly one field is set.
type Text struct {
	Messages []client.Message // rendered with the server's chat template
	Prompt   string           // a whole prompt that wb rendered, as the completions API takes it
	Part     string           // a piece of text as it is
}

// Fields are the request fields beyond OpenAI's that a server understands.
type Fields struct {
	VLLM      bool // vLLM's extensions: continuous usage, token ids, special tokens
	IgnoreEOS bool // ignore_eos
	CacheSalt bool // cache_salt
	Timings   bool // timings_per_token
	Fresh     bool // each stream needs a new connection, since the server closes one after it without saying so
}

// Cache says how a server's prefix cache works.
type Cache struct {
	UnitTokens     int                 // hits are whole multiples of this many tokens
	BlockTokens    int                 // of one block of the pool; 0: no pool
	CapacityTokens int                 // tokens that the cache holds; 0: no limit is known
	AlignTokens    int                 // a hit ends at a multiple of this many tokens; 0: at any unit
	Hybrid         bool                // some layers keep a state that can only be taken up at certain places
	Slots          *prefix.SlotOptions // for a cache of slots instead of a pool of blocks; nil: a pool
}

// Reset is the call that empties the prefix cache.
type Reset struct {
	Path    string // path of the POST request
	DevMode bool   // the server has it only in its development mode
	Known   bool   // the server should have it, so that its absence is worth a message
}

// Server is a server whose kind and facts are known.
type Server struct {
	Facts
	Engine
}

// Takes says which request fields the server understands beyond OpenAI's.
func (s *Server) Takes() Fields { return s.Fields(&s.Facts) }

// CacheOf says how the server's prefix cache works; see Engine.Cache.
func (s *Server) CacheOf() *Cache { return s.Cache(&s.Facts) }

// Cached decides how many tokens of a turn's prompt came from the cache; see Engine.CachedTokens.
func (s *Server) Cached(reported *int64, missed bool) *int64 {
	return s.CachedTokens(&s.Facts, reported, missed)
}

// Facts are what a server says about itself. A field is nil where the server does not say.
type Facts struct {
	Version   *string
	Model     string
	ModelRoot *string
	OwnedBy   string // the model's owner by /v1/models
	Software  string // the header Server of its answers
	Simulated bool
	Imitates  Imitated
	Details   bool // the server is known to run with --enable-prompt-tokens-details

	MaxModelLenTokens *int64
	ModelFacts
	CacheFacts
	SlotFacts

	Answers
	Absent []Absence
}

// Answers are what a server's other paths answer.
type Answers struct {
	HasMetrics       bool            // /metrics has counters of any kind
	Namespaces       map[string]bool // the part before the colon of the counters' names
	HasTokenize      bool            // /tokenize gives token ids
	Tokenizer        string          // fingerprint of a fixed text's token ids; "": not known
	Template         string          // fingerprint of the token ids of fixed messages; "": not known
	ProcessStartedAt *time.Time
}

// ModelFacts are what a server says about its model.
type ModelFacts struct {
	Quantization *string // format of the weights
	Parameters   *int64
	WeightsBytes *int64
}

// SlotFacts are what is known about a server that keeps prompts in slots.
type SlotFacts struct {
	Slots        *int64            // requests that are computed at once, each in a separate slot
	Flags        map[string]string // of its process, about cache and devices, by their long names; nil: it cannot be seen
	KVTokenBytes int64             // KV cache of one token, in bytes; 0: not known
	WindowTokens int64             // sliding window of some layers; 0: none is known
	Recurrent    bool              // some layers have a recurrent state
	ModelFile    string            // the model's GGUF file on this machine; "": it was not read
	GGUF         *data.ModelFacts  // what its header says, from which the three before it come; nil: it was not read
}

// CacheFacts are what a server says about its KV cache.
type CacheFacts struct {
	BlockSizeTokens   *int64
	KVCacheSizeTokens *int64
	PrefixCaching     *bool
	CacheConfig       map[string]string // labels of vllm:cache_config_info
	MatchUnitTokens   *int64            // prefix_match_unit: hits are whole multiples of it, where it is not the block
	AlignTokens       *int64            // cache_hit_alignment_tokens: hits end at a multiple of it
	HybridState       bool              // mamba_cache_mode: some layers cache a state, not keys and values
}

// Imitated is the model and the GPU that a simulator's costs were measured on.
type Imitated struct {
	Model string `json:"model"`
	GPU   string `json:"gpu"`
}

// Absence is something that a server does not have, or that does not work as it should. Message says what will be missing because of it.
type Absence struct{ Kind, Message string }

func (f *Facts) lacks(kind, message string) {
	f.Absent = append(f.Absent, Absence{kind, message})
}
