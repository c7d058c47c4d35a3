package engine

// vllm is vLLM, in the releases that vllm_releases.go knows.
type vllm struct{}

func (vllm) Kind() Kind { return KindVLLM }

func (vllm) Recognises(f *Facts) bool { return f.OwnedBy == "vllm" || f.Namespaces["vllm"] }

func (vllm) Fields(f *Facts) Fields {
	return Fields{VLLM: true, IgnoreEOS: true, CacheSalt: release(f).TakesSalt()}
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
