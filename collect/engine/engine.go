// Package engine knows the kinds of servers. It finds out which kind answers at a URL and what it can do. It asks for token ids, reads the
// counters and empties the prefix cache. Each kind is one file and one line in All. The package knows nothing about runs, conversations or
// the store, and leaves HTTP to package client.
package engine

import (
	"time"
)

// Kind names a kind of server, as raw.engine records it.
type Kind string

// Kinds of server.
const (
	KindVLLM      Kind = "vllm"
	KindOpenAI    Kind = "openai"
	KindSimulator Kind = "simulator"
)

// Engine is what wb knows about one kind of server. The facts that its methods are given are those of the server that answers.
type Engine interface {
	// Kind gives the name of the kind.
	Kind() Kind
	// Recognises says whether a server with these facts is of this kind.
	Recognises(f *Facts) bool
	// Fields says which request fields the server understands beyond OpenAI's.
	Fields(f *Facts) Fields
	// CachedTokens decides how many tokens of a turn's prompt came from the cache. reported is what the server reported, nil for nothing.
	// missed says that the server's counters show that the prompt was looked up and nothing was found. The result is nil where the number
	// is not known, which is not the same as 0.
	CachedTokens(f *Facts, reported *int64, missed bool) *int64
	// CounterNames gives the names that a counter has had over the releases, newest first. It is nil for a counter that this kind does
	// not have.
	CounterNames(counter string) []string
	// Reset says how the prefix cache is emptied. It is nil where that is not possible.
	Reset(f *Facts) *Reset
}

// All lists the kinds. A server belongs to the first kind that recognises it.
func All() []Engine {
	return []Engine{
		simulator{},
		vllm{},
		openAI{},
	}
}

// Fields are the request fields beyond OpenAI's that a server understands.
type Fields struct {
	VLLM      bool // vLLM's extensions: continuous usage, token ids, special tokens
	IgnoreEOS bool // ignore_eos
	CacheSalt bool // cache_salt
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
	Simulated bool
	Imitates  Imitated
	Details   bool // the server is known to run with --enable-prompt-tokens-details

	MaxModelLenTokens *int64
	CacheFacts

	HasMetrics       bool            // /metrics has counters of any kind
	Namespaces       map[string]bool // the part before the colon of the counters' names
	HasTokenize      bool            // /tokenize gives token ids
	ProcessStartedAt *time.Time
	Absent           []Absence
}

// CacheFacts are what a server says about its KV cache.
type CacheFacts struct {
	BlockSizeTokens   *int64
	KVCacheSizeTokens *int64
	PrefixCaching     *bool
	CacheConfig       map[string]string // labels of vllm:cache_config_info
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
