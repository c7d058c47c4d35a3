package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"wb/collect/client"
	"wb/data/prefix"
)

// llamaCpp is llama-server, the server of llama.cpp. What is said here was read in the sources of b11434 and seen on b10434, b11434 and
// xllamacpp 2026.10.11549.
type llamaCpp struct{}

func (llamaCpp) Kind() Kind { return KindLlamaCpp }

func (llamaCpp) Recognises(f *Facts) bool {
	return f.OwnedBy == "llamacpp" || f.Software == "llama.cpp" || f.Namespaces["llamacpp"]
}

// Fields are the ones that the server understands. It ignores others without a word.
func (llamaCpp) Fields(*Facts) Fields { return Fields{IgnoreEOS: true, Timings: true, Fresh: true} }

// Learn reads /props, and the flags of the server's process where it runs on this machine.
func (llamaCpp) Learn(ctx context.Context, c *client.Client, f *Facts) {
	resp, text, err := c.Ask(ctx, http.MethodGet, "/props", nil, client.MaxModelsBytes)
	switch {
	case err != nil:
		f.lacks("no_props", "/props: "+c.Clean(err.Error())+": the server's build and its slots are not known")
	case resp.StatusCode != http.StatusOK:
		f.lacks("no_props", "/props: HTTP "+client.Clip(resp.Status)+": the server's build and its slots are not known")
	default:
		f.readProps(text)
	}
	if f.Flags = llamaFlags(ctx, c); f.Flags != nil {
		f.PrefixCaching = new(f.Flags["cache-prompt"] != off)
	}
	f.readModelFile(ctx, c)
}

// readProps reads the answer of /props. default_generation_settings.n_ctx is the context of one slot.
func (f *Facts) readProps(text []byte) {
	var p struct {
		Defaults struct {
			ContextTokens client.LooseText `json:"n_ctx"`
		} `json:"default_generation_settings"`
		Slots  client.LooseText `json:"total_slots"`
		Build  client.LooseText `json:"build_info"`
		Path   client.LooseText `json:"model_path"`
		Format client.LooseText `json:"model_ftype"`
	}
	_ = client.Lenient(text, &p) // what cannot be read stays unknown
	count := func(t client.LooseText, most int64, to **int64) {
		if n, err := strconv.ParseInt(string(t), 10, 64); err == nil && n > 0 && n <= most {
			*to = &n
		}
	}
	count(p.Defaults.ContextTokens, client.MaxTokenCount, &f.MaxModelLenTokens)
	count(p.Slots, llamaMostSlots, &f.Slots)
	if f.Slots == nil {
		f.lacks("no_props", "/props does not say how many slots the server has: what they hold is not predicted")
	}
	words := func(t client.LooseText, to **string) {
		if t != "" {
			*to = new(client.Clip(string(t)))
		}
	}
	words(p.Build, &f.Version)
	words(p.Format, &f.Quantization)
	if p.Path != "" {
		f.ModelRoot = new(string(p.Path))
	}
}

// TokenIDs asks for the ids of messages in two steps, because /tokenize takes only text: /apply-template renders them. The ids are those
// that usage.prompt_tokens counts.
func (llamaCpp) TokenIDs(ctx context.Context, c *client.Client, _ string, t Text) ([]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, SideLimit)
	defer cancel()
	most, bytes := t.most()
	text, whole := t.Part, t.Part == ""
	switch {
	case t.Messages != nil:
		answer, err := ask(ctx, c, "/apply-template", map[string]any{"messages": t.Messages})
		if err != nil {
			return nil, err
		}
		var a struct {
			Prompt *string `json:"prompt"`
		}
		if json.Unmarshal(answer, &a) != nil || a.Prompt == nil {
			return nil, errors.New("tokenize: the answer of /apply-template has no prompt")
		}
		text = *a.Prompt
	case t.Prompt != "":
		text = t.Prompt
	}
	body := map[string]any{"content": text, "add_special": whole, "parse_special": whole}
	return askTokens(ctx, c, body, most, bytes)
}

func (llamaCpp) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

// llamaCounters are the counters of /metrics, which needs --metrics. prompt_tokens_total leaves out the cached tokens.
var llamaCounters = map[string][]string{
	"prefix_cache_hits":   {"llamacpp:prompt_tokens_cached_total"},
	"prefix_cache_misses": {"llamacpp:prompt_tokens_total"},
}

func (llamaCpp) CounterNames(counter string) []string { return llamaCounters[counter] }

// Defaults of llama-server (common/common.h), and the most slots that are believed.
const (
	llamaMostSlots  = 1024
	llamaHostMiB    = 8192 // --cache-ram
	llamaSimilarity = 0.1  // --slot-prompt-similarity
)

// Cache is one of slots, which reuse a prefix token by token. Prompts that leave a slot go to host memory.
func (llamaCpp) Cache(f *Facts) *Cache {
	if f.Flags["cache-prompt"] == off {
		return nil
	}
	if f.Slots == nil { // then only what was sent before is known, and not what the server still holds
		return &Cache{UnitTokens: 1}
	}
	o := &prefix.SlotOptions{Slots: int(*f.Slots), HostBytes: llamaHostMiB << 20, TokenBytes: f.KVTokenBytes, Similarity: llamaSimilarity}
	if f.MaxModelLenTokens != nil {
		o.ContextTokens = int(*f.MaxModelLenTokens)
	}
	if mib, err := strconv.ParseInt(f.Flags["cache-ram"], 10, 32); err == nil {
		o.HostBytes = mib << 20
	}
	if s, err := strconv.ParseFloat(f.Flags["slot-prompt-similarity"], 32); err == nil {
		o.Similarity = float32(s)
	}
	o.SaveIdle = f.Flags["cache-idle-slots"] != off
	o.Unified = f.unified()
	o.Partial = f.Recurrent || f.WindowTokens > 0 && f.Flags["swa-full"] != on
	return &Cache{UnitTokens: 1, Slots: o}
}

// llamaAutoSlots is how many slots an automatic number makes (tools/server/server.cpp).
const llamaAutoSlots = 4

// unified says whether the slots share one KV cache: they do with an automatic number of slots. Where the flags cannot be seen, that many
// slots are taken for automatic.
func (f *Facts) unified() bool {
	if f.Flags == nil {
		return f.Slots != nil && *f.Slots == llamaAutoSlots
	}
	n, err := strconv.ParseInt(f.Flags["parallel"], 10, 32)
	return err != nil || n < 0 || f.Flags["kv-unified"] == on
}

// Reset is not possible: an erased slot's prompt comes back from host memory.
func (llamaCpp) Reset(*Facts) *Reset { return nil }

func (llamaCpp) About() About {
	return About{
		Name:       "llama.cpp (`llama-server`)",
		Releases:   "b10434, b11434",
		Recognised: "`Server: llama.cpp`, `owned_by: llamacpp`, or counters named `llamacpp:…`",
		Says: "build (`/props`: `build_info`), model file (`model_path`), quantisation (`model_ftype`), parameters and size " +
			"(`/v1/models`: `meta.n_params`, `meta.size`), slots (`total_slots`); the flags about cache and devices of a process on this machine",
		Context: "of one slot: `/props`, `default_generation_settings.n_ctx`",
		Tokens:  "`/apply-template`, then `/tokenize` with `content`: as many as `usage.prompt_tokens`",
		Takes:   "`ignore_eos`, `timings_per_token`",
		Drops: "`cache_salt` (`--isolation salt` becomes `line`, with a warning), `return_token_ids` (`--token-ids all` gets a warning); " +
			"unknown fields are ignored without a word",
		LastEvent: "`usage` with `cached_tokens`; `timings`: times of prefill and decode, cached and computed tokens, drafts accepted",
		Counters:  "`llamacpp:…`, with `--metrics`: `prompt_tokens_total` (without cached tokens), `prompt_tokens_cached_total`",
		Caching: "slots: the longest common prefix with the prompt of a slot, token by token; prompts that leave a slot go to host memory " +
			"(`--cache-ram`); with a sliding window or a recurrent state only checkpoints can be taken up",
		Isolation: "`restart` (started by wb), `line`, `none`",
		Emptied:   "not possible: an erased slot's prompt comes back from host memory",
		Short:     Short{"tokens", "each reply", true},
	}
}
