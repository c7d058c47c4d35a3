package engine

import (
	"context"

	"wb/collect/client"
)

// simulator is wb's simulator, which has the same interface as vLLM.
type simulator struct{}

func (simulator) Kind() Kind { return KindSimulator }

func (simulator) Recognises(f *Facts) bool { return f.Simulated }

func (simulator) Fields(*Facts) Fields { return Fields{VLLM: true, IgnoreEOS: true, CacheSalt: true} }

func (simulator) Learn(context.Context, *client.Client, *Facts) {}

func (simulator) TokenIDs(ctx context.Context, c *client.Client, model string, t Text) ([]int32, error) {
	return askVLLM(ctx, c, model, t)
}

func (simulator) Cache(f *Facts) *Cache { return f.pool() }

func (simulator) About() About {
	a := vllm{}.About()
	a.Name, a.Releases, a.Recognised = "wb's simulator", "this one", "`/version` says `simulated`"
	a.Says = "version, model, and the model and GPU that it imitates"
	a.LastEvent, a.Times = "`usage` with `cached_tokens`", "counters"
	return a
}

func (simulator) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

func (simulator) CounterNames(counter string) []string { return metricNames[counter] }

func (simulator) Reset(*Facts) *Reset { return &Reset{Path: resetPath, DevMode: true, Known: true} }
