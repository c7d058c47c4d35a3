package client

import (
	"encoding/json"
)

// Message is one message of a prompt.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Request is one turn's request.
type Request struct {
	Model       string
	Messages    []Message
	Text        string // the prompt rendered here, for /v1/completions; "" sends the messages to the chat API
	TokenIDs    bool   // ask for token ids
	MaxTokens   int    // 0: the server's own limit
	Temperature float64
	Seed        int64
	IgnoreEOS   bool   // the server is known to understand it
	CacheSalt   string // "" for none
	VLLM        bool   // the server takes vLLM's extra fields
}

// path is that of the API that takes it.
func (r Request) path() string {
	if r.Text != "" {
		return "/v1/completions"
	}
	return "/v1/chat/completions"
}

// body is the JSON of the request. Servers other than vLLM get standard fields only: some refuse what they do not know.
func (r Request) body() ([]byte, error) {
	type streamOptions struct {
		IncludeUsage    bool `json:"include_usage"`
		ContinuousUsage bool `json:"continuous_usage_stats,omitempty"`
	}
	var plain *bool
	messages := r.Messages
	if r.Text != "" {
		messages = nil
		if r.VLLM { // the template wrote the special tokens
			plain = new(false)
		}
	}
	return json.Marshal(struct {
		Model         string        `json:"model"`
		Messages      []Message     `json:"messages,omitempty"`
		Prompt        string        `json:"prompt,omitempty"`
		AddSpecial    *bool         `json:"add_special_tokens,omitempty"`
		Stream        bool          `json:"stream"`
		StreamOptions streamOptions `json:"stream_options"`
		MaxTokens     int           `json:"max_tokens,omitempty"`
		Temperature   float64       `json:"temperature"`
		Seed          int64         `json:"seed"`
		IgnoreEOS     bool          `json:"ignore_eos,omitempty"`
		CacheSalt     string        `json:"cache_salt,omitempty"`
		TokenIDs      bool          `json:"return_token_ids,omitempty"`
	}{r.Model, messages, r.Text, plain, true, streamOptions{true, r.VLLM}, r.MaxTokens,
		r.Temperature, r.Seed, r.IgnoreEOS, r.CacheSalt, r.TokenIDs && r.VLLM})
}
