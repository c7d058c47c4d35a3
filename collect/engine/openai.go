package engine

// openAI is any server that speaks OpenAI's API, of which nothing more is known.
type openAI struct{}

func (openAI) Kind() Kind { return KindOpenAI }

func (openAI) Recognises(*Facts) bool { return true }

// Fields has ignore_eos for llama.cpp's server, which understands it; some servers refuse what they do not know.
func (openAI) Fields(f *Facts) Fields { return Fields{IgnoreEOS: f.OwnedBy == "llamacpp"} }

func (openAI) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

func (openAI) CounterNames(string) []string { return nil }

// Reset tries vLLM's call: a server that does not tell who it is may have it.
func (openAI) Reset(*Facts) *Reset { return &Reset{Path: resetPath, DevMode: true} }
