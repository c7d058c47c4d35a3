package engine

import (
	"context"

	"wb/collect/client"
)

// openAI is any server that speaks OpenAI's API and of which nothing more is known.
type openAI struct{}

func (openAI) Kind() Kind { return KindOpenAI }

func (openAI) Recognises(*Facts) bool { return true }

// Fields allows none, because some servers refuse fields that they do not know.
func (openAI) Fields(*Facts) Fields { return Fields{} }

func (openAI) Learn(context.Context, *client.Client, *Facts) {}

// TokenIDs tries vLLM's call, because a server that does not identify itself may have it.
func (openAI) TokenIDs(ctx context.Context, c *client.Client, model string, t Text) ([]int32, error) {
	return askVLLM(ctx, c, model, t)
}

// Cache is known where the server's counters say how it works.
func (openAI) Cache(f *Facts) *Cache { return f.pool() }

func (openAI) About() About {
	return About{
		Name:       "any other OpenAI-compatible server",
		Releases:   "none in particular",
		Recognised: "by nothing: it is none of the others",
		Says:       "the names of its models (`/v1/models`)",
		Context:    "`max_model_len` or `meta.n_ctx` of `/v1/models`, where there is one",
		Tokens:     "`/tokenize` as vLLM has it, where it answers so",
		Takes:      "none are sent",
		Drops: "`ignore_eos`, `cache_salt` and `return_token_ids` are not sent, because some servers refuse fields that they do not know; " +
			"the flags that need them get a warning",
		LastEvent: "`usage`; cached tokens under any of the names that servers use",
		Counters:  "stored whole, with no meaning known",
		Caching:   "not known",
		Isolation: "`line`, `none`",
		Emptied:   "`/reset_prefix_cache` is tried and proved",
		Short:     Short{"not known", "none", false},
	}
}

func (openAI) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

func (openAI) CounterNames(string) []string { return nil }

// Reset tries vLLM's call, because a server that does not identify itself may have it.
func (openAI) Reset(*Facts) *Reset { return &Reset{Path: resetPath, DevMode: true} }
