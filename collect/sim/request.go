package sim

import (
	"context"
	"time"

	"wb/data/prefix"
)

// request is one sequence on its way through the engine. The engine owns it between submit and the closing of tokens.
type request struct {
	prompt []int32
	salt   string
	length int  // tokens it will generate
	ends   bool // the last of them is <|end|>; otherwise the limit stopped it
	reply  reply
	tokens chan int32 // generated tokens, closed at the end; holds all of them, so that the engine never waits
	gone   context.Context

	times
	holding
	generated []int32
	cached    int // prompt tokens found in the cache when it was first scheduled; may be read once a token came
}

// times are when a request came to which place, and when its first and last token came out.
type times struct {
	arrived     time.Time // at the HTTP server
	queued      time.Time
	scheduled   time.Time
	first, last time.Time
}

// holding is what a request has of the KV cache; nothing while it waits.
type holding struct {
	seq      *prefix.Seq
	held     int // blocks it holds
	computed int // tokens whose keys and values are there
}

// all is what must be computed before the next token can be sampled.
func (r *request) all() int { return len(r.prompt) + len(r.generated) }

// reason is why it ended, as vLLM says it.
func (r *request) reason() string {
	if r.ends {
		return "stop"
	}
	return "length"
}
