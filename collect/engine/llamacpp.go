package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/process"

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
func (llamaCpp) Fields(*Facts) Fields { return Fields{IgnoreEOS: true, Timings: true} }

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
	f.Flags = llamaFlags(ctx, c)
	f.PrefixCaching = new(f.Flags["no-cache-prompt"] == "")
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
	if client.Lenient(text, &p) != nil {
		return
	}
	count := func(t client.LooseText, to **int64) {
		if n, err := strconv.ParseInt(string(t), 10, 64); err == nil && n > 0 && n <= client.MaxTokenCount {
			*to = &n
		}
	}
	count(p.Defaults.ContextTokens, &f.MaxModelLenTokens)
	count(p.Slots, &f.Slots)
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

// llamaShort are short flags of llama-server and the names that they stand for (common/arg.cpp).
var llamaShort = map[string]string{"c": "ctx-size", "np": "parallel", "cram": "cache-ram", "ctk": "cache-type-k", "ctv": "cache-type-v",
	"kvu": "kv-unified", "no-kvu": "no-kv-unified", "sps": "slot-prompt-similarity", "ctxcp": "ctx-checkpoints",
	"swa-checkpoints": "ctx-checkpoints", "ngl": "n-gpu-layers", "gpu-layers": "n-gpu-layers",
	"m": "model", "t": "threads", "b": "batch-size", "ub": "ubatch-size", "fa": "flash-attn"}

// llamaFlags gives the flags of the server's process by their long names, "on" where there is no value. It is nil where the process
// cannot be seen.
func llamaFlags(ctx context.Context, c *client.Client) map[string]string {
	pid, ok := ServerPID(ctx, c)
	if !ok {
		return nil
	}
	p, err := process.NewProcessWithContext(ctx, pid)
	if err != nil {
		return nil
	}
	words, err := p.CmdlineSliceWithContext(ctx)
	if err != nil || len(words) == 0 {
		return nil
	}
	environ, _ := p.EnvironWithContext(ctx) // a process of somebody else keeps it to itself
	return readLlamaFlags(words[1:], environ)
}

// readLlamaFlags reads the words of a command line, and the variables LLAMA_ARG_… that stand for flags. The command line wins.
func readLlamaFlags(words, environ []string) map[string]string {
	flags := map[string]string{}
	for _, e := range environ {
		if name, ok := strings.CutPrefix(e, "LLAMA_ARG_"); ok {
			name, value, _ := strings.Cut(name, "=")
			name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if long := map[string]string{"n-parallel": "parallel"}[name]; long != "" {
				name = long
			}
			flags[name] = value
		}
	}
	for i, w := range words {
		name := strings.TrimLeft(w, "-")
		if name == w || name == "" || name[0] >= '0' && name[0] <= '9' {
			continue
		}
		if long, ok := llamaShort[name]; ok {
			name = long
		}
		value := "on"
		if i+1 < len(words) {
			if next := words[i+1]; !strings.HasPrefix(next, "-") || len(next) > 1 && next[1] >= '0' && next[1] <= '9' {
				value = next
			}
		}
		flags[name] = value
	}
	return flags
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
	"prefix_cache_hits":    {"llamacpp:prompt_tokens_cached_total"},
	"prefix_cache_misses":  {"llamacpp:prompt_tokens_total"},
	"spec_decode_accepted": {"llamacpp:spec_decode_num_accepted_tokens_total"},
}

func (llamaCpp) CounterNames(counter string) []string { return llamaCounters[counter] }

// Defaults of llama-server (common/common.h).
const (
	llamaHostMiB    = 8192 // --cache-ram
	llamaSimilarity = 0.1  // --slot-prompt-similarity
)

// Cache is one of slots, which reuse a prefix token by token. Prompts that leave a slot go to host memory.
func (llamaCpp) Cache(f *Facts) *Cache {
	if f.Flags["no-cache-prompt"] != "" {
		return nil
	}
	o := &prefix.SlotOptions{Slots: 1, HostBytes: llamaHostMiB << 20, TokenBytes: f.KVTokenBytes, Similarity: llamaSimilarity}
	if f.Slots != nil {
		o.Slots = int(*f.Slots)
	}
	if f.MaxModelLenTokens != nil {
		o.ContextTokens = int(*f.MaxModelLenTokens)
	}
	if mib, err := strconv.ParseInt(f.Flags["cache-ram"], 10, 32); err == nil {
		o.HostBytes = mib << 20
	}
	if s, err := strconv.ParseFloat(f.Flags["slot-prompt-similarity"], 32); err == nil {
		o.Similarity = float32(s)
	}
	// with an automatic number of slots the server has one KV cache for all of them
	parallel, given := f.Flags["parallel"]
	_, apart := f.Flags["no-kv-unified"]
	_, unified := f.Flags["kv-unified"]
	o.Unified = unified || !apart && (!given || parallel == "-1")
	_, whole := f.Flags["swa-full"]
	o.Partial = f.Recurrent || f.WindowTokens > 0 && !whole
	return &Cache{UnitTokens: 1, Slots: o}
}

// Reset is not possible: an erased slot's prompt comes back from host memory.
func (llamaCpp) Reset(*Facts) *Reset { return nil }

func (llamaCpp) About() About {
	return About{
		Name:       "llama.cpp (`llama-server`)",
		Releases:   "b10434, b11434",
		Recognised: "`Server: llama.cpp`, `owned_by: llamacpp`, or counters named `llamacpp:…`",
		Says: "build (`/props`: `build_info`), model file (`model_path`), quantisation (`model_ftype`), parameters and size " +
			"(`/v1/models`: `meta.n_params`, `meta.size`), slots (`total_slots`); the flags of a process on this machine",
		Context: "of one slot: `/props`, `default_generation_settings.n_ctx`",
		Tokens:  "`/apply-template`, then `/tokenize` with `content`: as many as `usage.prompt_tokens`",
		Takes:   "`ignore_eos`, `timings_per_token`",
		Drops: "`cache_salt` (`--isolation salt` becomes `line`, with a warning), `return_token_ids` (`--token-ids all` gets a warning); " +
			"unknown fields are ignored without a word",
		LastEvent: "`usage` with `cached_tokens`; `timings`: times of prefill and decode, cached and computed tokens, drafts accepted",
		Counters: "`llamacpp:…`, with `--metrics`: `prompt_tokens_total` (without cached tokens), `prompt_tokens_cached_total`, " +
			"`spec_decode_num_accepted_tokens_total`",
		Caching: "slots: the longest common prefix with the prompt of a slot, token by token; prompts that leave a slot go to host memory " +
			"(`--cache-ram`); with a sliding window or a recurrent state only checkpoints can be taken up",
		Isolation: "`restart` (started by wb), `line`, `none`",
		Emptied:   "not possible: an erased slot's prompt comes back from host memory",
		Short:     Short{"tokens", "each reply", true},
	}
}
