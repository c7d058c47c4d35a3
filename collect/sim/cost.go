package sim

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"wb/data/yamlfile"
)

//go:embed profiles.yaml
var profilesYAML []byte

// Cost is a cost model: how long a server of this shape takes. The formula and the source of the constants are in
// profiles.yaml.
type Cost struct {
	FrontendMs       float64 `yaml:"frontend_ms"`         // HTTP and request handling before the queue
	TokenizeMsAt100K float64 `yaml:"tokenize_ms_at_100k"` // tokenizing a prompt of 100,000 tokens
	TokenizeExponent float64 `yaml:"tokenize_exponent"`   // growth with prompt length
	FloorMs          float64 `yaml:"floor_ms"`            // shortest step that runs without a CUDA graph: its launches bound it
	GraphTokens      int     `yaml:"graph_tokens"`        // steps of at most this many tokens run as a CUDA graph
	StepMs           float64 `yaml:"step_ms"`             // fixed part of such a step
	TokenUs          float64 `yaml:"token_us"`            // per prefilled token
	AttendUsPerK     float64 `yaml:"attend_us_per_k"`     // per prefilled token and 1,000 tokens of context
	DecodeBaseMs     float64 `yaml:"decode_base_ms"`      // a step that only decodes
	DecodeUsPerK     float64 `yaml:"decode_us_per_k"`     // per decoded token and 1,000 tokens of context
	DecodeFlatTokens float64 `yaml:"decode_flat_tokens"`  // context from which decoding grows no slower
	PrefillFactor    float64 `yaml:"-"`                   // time of a step that prefills, over what was measured
	Sizes
	Measured
}

// Sizes are those of the server that was measured.
type Sizes struct {
	MaxNumBatchedTokens int `yaml:"max_num_batched_tokens"`
	MaxNumSeqs          int `yaml:"max_num_seqs"`
	KVTokens            int `yaml:"kv_tokens"`
}

// Measured says what the costs were measured on; empty for costs that were made up.
type Measured struct {
	Model string `yaml:"model"` // by its name in wb's registry
	GPU   string `yaml:"gpu"`   // as NVML names it
}

// Profile gives a cost model by name.
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
		return Cost{}, fmt.Errorf("choose simulator profile %q: there is none; there are %s", name, strings.Join(names, ", "))
	}
	return c, nil
}

// PacedFrontend is how long a server that keeps a rate waits before the step that brings the first token.
const PacedFrontend = 100 * time.Millisecond

// paced is a server that keeps a rate for every stream: for holding a client's clock against.
func paced(tokensPerS float64, kvTokens int) Cost {
	step := 1000 / tokensPerS
	return Cost{FrontendMs: float64(PacedFrontend.Milliseconds()), TokenizeExponent: 1, StepMs: step, DecodeBaseMs: step,
		PrefillFactor: 1, Sizes: Sizes{MaxNumBatchedTokens: 1 << 20, MaxNumSeqs: 1024, KVTokens: max(kvTokens, 1<<20)}}
}

func ms(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }

// Before is the time from a request's arrival until it enters the queue: it is tokenized in the API server, which is what
// makes TTFT grow with length even when everything is cached.
func (c Cost) Before(promptTokens int) time.Duration {
	return ms(c.FrontendMs + c.TokenizeMsAt100K*math.Pow(float64(promptTokens)/1e5, c.TokenizeExponent))
}

// chunk is a stretch of prompt prefilled in one step: tokens of it after context tokens that are there already.
type chunk struct{ tokens, context int }

// Step is the time of one engine step that prefills chunks and decodes one token each for sequences of these context
// lengths (tokens).
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

// TTFT is the model's time to first token of one request alone: prompt tokens, of which cached need no prefill.
func (c Cost) TTFT(promptTokens, cachedTokens int) time.Duration {
	t := c.Before(promptTokens)
	for at := cachedTokens; at < promptTokens; {
		n := min(c.MaxNumBatchedTokens, promptTokens-at)
		t += c.Step([]chunk{{n, at}}, nil)
		at += n
	}
	return t
}
