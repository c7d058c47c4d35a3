package sim

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"time"

	"wb/data/plain"
	"wb/data/yamlfile"
)

//go:embed profiles.yaml
var profilesYAML []byte

// Cost is a cost model: how long the steps of a server take. profiles.yaml has the formula and the source of the constants.
type Cost struct {
	FrontendMs       float64 `yaml:"frontend_ms"`         // HTTP and request handling before the queue
	TokenizeMsAt100K float64 `yaml:"tokenize_ms_at_100k"` // tokenising a prompt of 100,000 tokens
	TokenizeExponent float64 `yaml:"tokenize_exponent"`   // exponent of the growth with the length of the prompt
	FloorMs          float64 `yaml:"floor_ms"`            // shortest step without a CUDA graph, whose kernel launches take this long
	GraphTokens      int     `yaml:"graph_tokens"`        // steps of at most this many tokens run as a CUDA graph
	StepMs           float64 `yaml:"step_ms"`             // fixed part of a step that prefills
	TokenUs          float64 `yaml:"token_us"`            // per prefilled token
	AttendUsPerK     float64 `yaml:"attend_us_per_k"`     // per prefilled token and 1,000 tokens of context
	DecodeBaseMs     float64 `yaml:"decode_base_ms"`      // a step that only decodes
	DecodeUsPerK     float64 `yaml:"decode_us_per_k"`     // per decoded token and 1,000 tokens of context
	DecodeFlatTokens float64 `yaml:"decode_flat_tokens"`  // context in tokens, beyond which decoding does not get slower
	PrefillFactor    float64 `yaml:"-"`                   // time of a step that prefills, over the measured time
	Sizes
	Measured
}

// Sizes are the sizes of the server that was measured, in tokens and sequences.
type Sizes struct {
	MaxNumBatchedTokens int `yaml:"max_num_batched_tokens"`
	MaxNumSeqs          int `yaml:"max_num_seqs"`
	KVTokens            int `yaml:"kv_tokens"`
}

// Measured tells on what the costs were measured. It is empty for invented costs.
type Measured struct {
	Model string `yaml:"model"` // its name in wb's list of models
	GPU   string `yaml:"gpu"`   // as NVML names it
}

// Profile returns the cost model with this name. An unknown name is an error.
func Profile(name string) (Cost, error) {
	var f struct {
		Profiles map[string]Cost `yaml:"profiles"`
	}
	if err := yamlfile.Load("profiles.yaml", profilesYAML, &f); err != nil {
		return Cost{}, fmt.Errorf("read cost profiles: %w", err)
	}
	c, ok := f.Profiles[name]
	c.PrefillFactor = 1
	if !ok {
		var names []string
		for n := range f.Profiles {
			names = append(names, n)
		}
		slices.Sort(names)
		return Cost{}, fmt.Errorf("choose simulator profile %q: no profile has this name%s", name, plain.Instead(name, names))
	}
	return c, nil
}

// PacedFrontend is how long a server with a fixed rate waits before the step that brings the first token.
const PacedFrontend = 100 * time.Millisecond

// paced returns the costs of a server that streams to every client at a fixed rate. A client's clock can be compared with it.
func paced(tokensPerS float64, kvTokens int) Cost {
	step := 1000 / tokensPerS
	return Cost{FrontendMs: float64(PacedFrontend.Milliseconds()), TokenizeExponent: 1, StepMs: step, DecodeBaseMs: step,
		PrefillFactor: 1, Sizes: Sizes{MaxNumBatchedTokens: 1 << 20, MaxNumSeqs: 1024, KVTokens: max(kvTokens, 1<<20)}}
}

func ms(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }

// Before returns the time from the arrival of a request until it enters the queue. The API server tokenises the prompt in this time, so
// TTFT grows with the length of the prompt even when everything is cached.
func (c Cost) Before(promptTokens int) time.Duration {
	return ms(c.FrontendMs + c.TokenizeMsAt100K*math.Pow(float64(promptTokens)/1e5, c.TokenizeExponent))
}

// chunk is a part of a prompt that one step prefills: so many tokens, after context tokens that are computed already.
type chunk struct{ tokens, context int }

// Step returns the time of one engine step. It prefills chunks, and decodes one token for each sequence in decodes, which holds the
// lengths of their contexts in tokens.
func (c Cost) Step(prefills []chunk, decodes []int) time.Duration {
	t := 0.0
	for _, n := range decodes {
		t += c.DecodeUsPerK * min(float64(n), c.DecodeFlatTokens) / 1e6
	}
	if len(prefills) == 0 {
		return ms(c.DecodeBaseMs + t)
	}
	t += c.StepMs
	tokens := len(decodes)
	for _, p := range prefills {
		tokens += p.tokens
		n := float64(p.tokens)
		t += c.TokenUs*n/1e3 + c.AttendUsPerK*n*(float64(p.context)+n/2)/1e6
	}
	if tokens > c.GraphTokens {
		t = max(t, c.FloorMs)
	}
	return ms(t * c.PrefillFactor)
}

// TTFT returns the time to first token of a request that is alone on the server. Of its prompt tokens the cached ones need no prefill.
func (c Cost) TTFT(promptTokens, cachedTokens int) time.Duration {
	t := c.Before(promptTokens)
	for at := cachedTokens; at < promptTokens; {
		n := min(c.MaxNumBatchedTokens, promptTokens-at)
		t += c.Step([]chunk{{n, at}}, nil)
		at += n
	}
	return t
}
