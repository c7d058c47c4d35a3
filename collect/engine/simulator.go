package engine

// simulator is wb's simulator, which has the same interface as vLLM.
type simulator struct{}

func (simulator) Kind() Kind { return KindSimulator }

func (simulator) Recognises(f *Facts) bool { return f.Simulated }

func (simulator) Fields(*Facts) Fields { return Fields{VLLM: true, IgnoreEOS: true, CacheSalt: true} }

func (simulator) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

func (simulator) CounterNames(counter string) []string { return metricNames[counter] }

func (simulator) Reset(*Facts) *Reset { return &Reset{Path: resetPath, DevMode: true, Known: true} }
