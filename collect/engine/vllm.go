package engine

import (
	"context"

	"wb/collect/client"
)

// vllm is vLLM, in the releases that vllm_releases.go knows.
type vllm struct{}

func (vllm) Kind() Kind { return KindVLLM }

func (vllm) Recognises(f *Facts) bool { return f.OwnedBy == "vllm" || f.Namespaces["vllm"] }

func (vllm) Fields(f *Facts) Fields {
	return Fields{VLLM: true, IgnoreEOS: true, CacheSalt: release(f).TakesSalt()}
}

func (vllm) Learn(context.Context, *client.Client, *Facts) {}

func (vllm) TokenIDs(ctx context.Context, c *client.Client, model string, t Text) ([]int32, error) {
	return askVLLM(ctx, c, model, t)
}

func (vllm) Cache(f *Facts) *Cache { return f.pool() }

// pool describes a cache of KV blocks. Hybrid models keep a state beside keys and values, which is cached at certain places only.
func (f *Facts) pool() *Cache {
	if f.BlockSizeTokens == nil || f.PrefixCaching != nil && !*f.PrefixCaching {
		return nil
	}
	c := &Cache{UnitTokens: int(*f.BlockSizeTokens), BlockTokens: int(*f.BlockSizeTokens), Hybrid: f.HybridState}
	if f.MatchUnitTokens != nil {
		c.UnitTokens = int(*f.MatchUnitTokens)
	}
	if f.KVCacheSizeTokens != nil {
		c.CapacityTokens = int(*f.KVCacheSizeTokens)
	}
	if a := f.AlignTokens; a != nil && *a > int64(c.UnitTokens) {
		c.AlignTokens, c.Hybrid = int(*a), true
	}
	return c
}

func (vllm) About() About {
	return About{
		Name:       "vLLM",
		Releases:   "0.10 to 0.33",
		Recognised: "`owned_by: vllm`, or counters named `vllm:…`",
		Says:       "version (`/version`), model and its root (`/v1/models`), cache (`vllm:cache_config_info`)",
		Context:    "`/v1/models`, `max_model_len`",
		Tokens:     "`/tokenize` with `messages` or `prompt`; with `--token-ids all` also in the stream (`return_token_ids`, since 0.11)",
		Takes: "`ignore_eos`, `cache_salt` (since 0.9), `return_token_ids`, `add_special_tokens`, " +
			"`stream_options.continuous_usage_stats`",
		Drops: "unknown fields are ignored without a word; wb sends none that a release lacks",
		LastEvent: "`usage`, with `cached_tokens` under `--enable-prompt-tokens-details`; `metrics` under " +
			"`--enable-per-request-metrics` (since 0.26): times of queue, prefill and decode",
		Counters: "`vllm:…`: `prefix_cache_queries_total`, `prefix_cache_hits_total`, `external_prefix_cache_hits_total`, times of queue, " +
			"prefill and decode, `spec_decode_num_accepted_tokens_total`, `num_preemptions_total`",
		Caching: "a pool of KV blocks (`block_size` tokens) that sequences share, on the GPU, with tiers in host memory, on disk or elsewhere; " +
			"hybrid models also need a state (`cache_hit_alignment_tokens`)",
		Isolation: "`restart` (started by wb), `salt`, `reset`, `line`, `none`",
		Emptied:   "`/reset_prefix_cache`, only with `VLLM_SERVER_DEV_MODE=1`; wb proves that it works",
		Short:     Short{"KV blocks", "counters, or each reply", true},
	}
}

func (vllm) CachedTokens(f *Facts, reported *int64, missed bool) *int64 {
	return release(f).CachedTokens(reported, f.Details, missed)
}

func (vllm) CounterNames(counter string) []string { return metricNames[counter] }

func (vllm) Reset(f *Facts) *Reset {
	exists, dev := release(f).Endpoint(resetPath)
	return &Reset{Path: resetPath, DevMode: dev, Known: exists}
}

// resetPath is the path of the call that empties vLLM's prefix cache.
const resetPath = "/reset_prefix_cache"

// release gives the adapter for the release of vLLM that answers.
func release(f *Facts) Adapter {
	if f.Version == nil {
		return NewAdapter("")
	}
	return NewAdapter(*f.Version)
}
