package sim

import (
	"context"
	"time"

	"wb/data/prefix"
)

// request is one sequence in the engine. Between submit and the closing of tokens only the engine may use it.
type request struct {
	prompt []int32
	salt   string
	length int  // tokens that it will generate
	ends   bool // the last of them is <|end|>; otherwise a limit ends it
	reply  reply
	tokens chan int32      // generated tokens, closed at the end; it has room for all, so the engine never waits
	gone   context.Context // ends when the client leaves

	times
	holding
	generated []int32
	cached    int // prompt tokens that hit when it was first scheduled; valid once the first token came
}

// times tell when a request came to each place, and when its first and last token came out.
type times struct {
	arrived     time.Time // at the HTTP server
	queued      time.Time
	scheduled   time.Time
	first, last time.Time
}

// holding is the part of the KV cache that a request holds. It is empty while the request waits.
type holding struct {
	seq      *prefix.Seq
	held     int // blocks that it holds
	computed int // tokens whose keys and values are computed
}

// all returns how many tokens must be computed before the next one can be sampled.
func (r *request) all() int { return len(r.prompt) + len(r.generated) }

// reason returns why the request ended, in the words of vLLM.
func (r *request) reason() string {
	if r.ends {
		return "stop"
	}
	return "length"
}
