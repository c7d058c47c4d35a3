package client

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// counts are the token counts of a request by the server. A count is nil when the server did not give it, or gave one that cannot be right.
type counts struct{ prompt, completion, cached, reasoning *int64 }

// MaxTokenCount is the highest count that is believed. No model has a context of 16 million tokens. Sums of such counts cannot overflow.
const MaxTokenCount = 1 << 24

// usageNames are the members in which servers put a count, those of OpenAI's chat API first.
//   - OpenAI: prompt_tokens, prompt_tokens_details
//   - OpenAI's responses API and Anthropic's messages: input_tokens, output_tokens, cache_read_input_tokens
//   - Moonshot: cached_tokens
//   - DeepSeek: prompt_cache_hit_tokens
//   - Vercel's AI SDK: promptTokens, completionTokens
//   - Google: promptTokenCount, candidatesTokenCount
var usageNames = struct{ prompt, completion, cached, reasoning []string }{
	prompt:     []string{"prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount"},
	completion: []string{"completion_tokens", "output_tokens", "completionTokens", "outputTokens", "candidatesTokenCount"},
	cached: []string{
		"prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens", "cached_tokens", "prompt_cache_hit_tokens",
		"cache_read_input_tokens", "cachedInputTokens", "cachedContentTokenCount",
	},
	reasoning: []string{"completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens", "reasoning_tokens"},
}

// readUsage reads a usage object. bad describes every value that is not a count from 0 to MaxTokenCount, as the server wrote it. some is
// false for null and for an object without any count.
func readUsage(raw json.RawMessage) (c counts, bad []string, some bool) {
	var u map[string]json.RawMessage
	if len(raw) > maxListBytes || json.Unmarshal(raw, &u) != nil || len(u) == 0 {
		if s := string(raw); len(s) > 0 && s != "null" && s != "{}" {
			bad = append(bad, "usage is "+clipRaw(raw))
		}
		return c, bad, false
	}
	get := func(names []string) *int64 {
		for _, name := range names {
			value, ok := member(u, name)
			if !ok || string(value) == "null" {
				continue
			}
			some = true
			n, ok := readCount(value)
			if !ok {
				bad = append(bad, name+" is "+clipRaw(value))
				continue
			}
			return &n
		}
		return nil
	}
	c.prompt, c.completion = get(usageNames.prompt), get(usageNames.completion)
	c.cached, c.reasoning = get(usageNames.cached), get(usageNames.reasoning)
	if _, total := u["prompt_tokens"]; !total && c.prompt != nil { // Anthropic's input_tokens leave out what the cache reads and writes
		for _, name := range []string{"cache_read_input_tokens", "cache_creation_input_tokens"} {
			if n, ok := readCount(u[name]); ok {
				*c.prompt += n
			}
		}
	}
	return c, bad, some
}

// member gives u["a"]["b"] for "a.b".
func member(u map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	outer, inner, nested := strings.Cut(name, ".")
	value, ok := u[outer]
	if !ok || !nested {
		return value, ok
	}
	var in map[string]json.RawMessage
	if json.Unmarshal(value, &in) != nil {
		return nil, false
	}
	value, ok = in[inner]
	return value, ok
}

// readCount reads a count written as 12, 12.0 or "12". The result is false for anything else.
func readCount(raw json.RawMessage) (int64, bool) {
	s := strings.TrimSpace(strings.Trim(string(raw), `"`))
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > MaxTokenCount || strings.ContainsAny(s, "xXpP_") {
			return 0, false
		}
		n = int64(f)
	}
	return n, n >= 0 && n <= MaxTokenCount
}

// clipRaw gives the first 40 bytes of a value, for a message.
func clipRaw(raw json.RawMessage) string {
	if len(raw) > 40 {
		return strings.ToValidUTF8(string(raw[:40]), "") + "…"
	}
	return strings.ToValidUTF8(string(raw), "\ufffd")
}

// How far counts may lie above what was sent and received, in tokens.
const (
	UsageSlack      = 1 << 14 // prompt tokens above the bytes of the request: templates add system prompts and tools
	completionSlack = 1 << 8  // completion tokens above the limit, the text and the reported reasoning
	hiddenTokens    = 1 << 16 // reasoning tokens that the client does not see, where there is no limit on completion tokens
)

// believe compares the counts of a finished reply with each other, and with what was sent and received. Nothing else does this. A count
// that cannot be right becomes nil, and Doubts says so.
func (re *Reply) believe(maxTokens int) {
	refuse := func(p **int64, format string, a ...any) {
		re.Doubts = append(re.Doubts, fmt.Sprintf(format, a...))
		*p = nil
	}
	text, slack := int64(len(re.Content)+len(re.Reasoning)+re.toolBytes), int64(0)
	if re.ReasoningTokens != nil {
		slack = min(*re.ReasoningTokens, hiddenTokens)
	}
	if re.Tokens != nil { // figures use the counts of the events, and a difference is reported
		slack += UsageSlack
	}
	if n := re.PromptTokens; n != nil {
		switch {
		case *n == 0:
			refuse(&re.PromptTokens, "prompt_tokens is 0, and the prompt was not empty")
		case *n > re.RequestBytes+UsageSlack:
			refuse(&re.PromptTokens, "prompt_tokens is %d, and the request has %d bytes", *n, re.RequestBytes)
		}
	}
	if n := re.CompletionTokens; n != nil {
		switch {
		case *n == 0 && text > 0:
			refuse(&re.CompletionTokens, "completion_tokens is 0, and %d bytes of text came", text)
		case maxTokens > 0 && *n > max(int64(maxTokens), text)+slack+completionSlack:
			refuse(&re.CompletionTokens, "completion_tokens is %d, at most %d were asked for and %d bytes came", *n, maxTokens, text)
		case maxTokens == 0 && *n > text+slack+hiddenTokens:
			refuse(&re.CompletionTokens, "completion_tokens is %d, and %d bytes came", *n, text)
		}
	}
	if n := re.CachedTokens; n != nil {
		switch {
		case re.PromptTokens == nil:
			re.CachedTokens = nil // it is not known how many tokens it is a part of
		case *n > *re.PromptTokens:
			refuse(&re.CachedTokens, "cached_tokens is %d, and prompt_tokens %d", *n, *re.PromptTokens)
		}
	}
	if n := re.ReasoningTokens; n != nil && (re.CompletionTokens == nil || *n > *re.CompletionTokens) {
		re.ReasoningTokens = nil
		if re.CompletionTokens != nil {
			re.Doubts = append(re.Doubts, fmt.Sprintf("reasoning_tokens is %d, and completion_tokens %d", *n, *re.CompletionTokens))
		}
	}
}
