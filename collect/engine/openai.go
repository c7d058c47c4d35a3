package engine

// openAI is any server that speaks OpenAI's API and of which nothing more is known.
type openAI struct{}

func (openAI) Kind() Kind { return KindOpenAI }

func (openAI) Recognises(*Facts) bool { return true }

// Fields allows ignore_eos only for llama.cpp's server, which understands it. Some servers refuse fields that they do not know.
func (openAI) Fields(f *Facts) Fields { return Fields{IgnoreEOS: f.OwnedBy == "llamacpp"} }

func (openAI) CachedTokens(_ *Facts, reported *int64, _ bool) *int64 { return reported }

func (openAI) CounterNames(string) []string { return nil }

// Reset tries vLLM's call, because a server that does not identify itself may have it.
func (openAI) Reset(*Facts) *Reset { return &Reset{Path: resetPath, DevMode: true} }
