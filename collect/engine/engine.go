// Package engine knows kinds of servers: who answers, what it can do, how its tokens are counted, its counters read and its prefix
// cache emptied. One file gives one kind.
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

// Engine is what wb knows of one kind of server. The facts that it is given are those of the server that answers.
type Engine interface {
	// Kind names it.
	Kind() Kind
	// Recognises says whether the server that told these facts is of this kind.
	Recognises(f *Facts) bool
	// Fields says which request fields the server understands beyond the standard's.
	Fields(f *Facts) Fields
	// CachedTokens decides how many tokens of a turn's prompt came from the cache, where the server told reported. missed says that
	// its own counters show the prompt being looked up and nothing found. nil: not known, which is not 0.
	CachedTokens(f *Facts, reported *int64, missed bool) *int64
	// CounterNames gives the names that a counter has had over the releases, newest first; nil for one that it does not have.
	CounterNames(counter string) []string
	// Reset says how the prefix cache is emptied; nil where it cannot be.
	Reset(f *Facts) *Reset
}

// All lists the kinds. A server is of the first that recognises it.
func All() []Engine {
	return []Engine{
		simulator{},
		vllm{},
		openAI{},
	}
}

// Fields are request fields beyond the standard's.
type Fields struct {
	VLLM      bool // vLLM's own: continuous usage, token ids, special tokens
	IgnoreEOS bool // ignore_eos
	CacheSalt bool // cache_salt
}

// Reset is a call that empties the prefix cache.
type Reset struct {
	Path    string // of a POST
	DevMode bool   // it is there in the server's development mode only
	Known   bool   // the server is known to have it, so that its absence is worth a word
}

// Server is a server that was asked who it is.
type Server struct {
	Facts
	Engine
}

// Takes says which request fields it understands beyond the standard's.
func (s *Server) Takes() Fields { return s.Fields(&s.Facts) }

// Cached decides how many tokens of a turn's prompt came from the cache; see Engine.CachedTokens.
func (s *Server) Cached(reported *int64, missed bool) *int64 {
	return s.CachedTokens(&s.Facts, reported, missed)
}

// Facts are what a server says of itself. nil: it does not say.
type Facts struct {
	Version   *string
	Model     string
	ModelRoot *string
	OwnedBy   string // what /v1/models says of the model's owner
	Simulated bool
	Imitates  Imitated
	Details   bool // it is known to run with --enable-prompt-tokens-details

	MaxModelLenTokens *int64
	CacheFacts

	HasMetrics       bool            // /metrics has counters, whosever they are
	Namespaces       map[string]bool // of its counters: what stands before the colon of a name
	HasTokenize      bool            // /tokenize gives ids
	ProcessStartedAt *time.Time
	Absent           []Absence
}

// CacheFacts are what a server says of its KV cache.
type CacheFacts struct {
	BlockSizeTokens   *int64
	KVCacheSizeTokens *int64
	PrefixCaching     *bool
	CacheConfig       map[string]string // labels of vllm:cache_config_info
}

// Imitated is what a simulator's costs were measured on.
type Imitated struct {
	Model string `json:"model"`
	GPU   string `json:"gpu"`
}

// Absence is something that a server does not have, or has and does not do as it should: what will be missing because of it.
type Absence struct{ Kind, Message string }

func (f *Facts) lacks(kind, message string) {
	f.Absent = append(f.Absent, Absence{kind, message})
}
