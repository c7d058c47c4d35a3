package client

import (
	"encoding/json"
)

// Message is one message of a prompt.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Request is the request of one turn.
type Request struct {
	Model       string
	Messages    []Message
	Text        string // a prompt that wb rendered, for /v1/completions; "" sends Messages to the chat API
	TokenIDs    bool   // ask for token ids; needs VLLM
	MaxTokens   int    // 0: the server's limit
	Temperature float64
	Seed        int64
	IgnoreEOS   bool   // send ignore_eos, which the server is known to understand
	CacheSalt   string // "" for none
	VLLM        bool   // the server understands vLLM's extra fields
	Fresh       bool   // use a new connection: the server closes one after a stream without saying so
	Timings     bool   // send timings_per_token, llama.cpp's field that makes every event count the tokens so far
}

// path is the path of the API that the request is for.
func (r Request) path() string {
	if r.Text != "" {
		return "/v1/completions"
	}
	return "/v1/chat/completions"
}

// body gives the JSON of the request. Servers other than vLLM get only OpenAI's fields, because some refuse fields that they do not know.
func (r Request) body() ([]byte, error) {
	type streamOptions struct {
		IncludeUsage    bool `json:"include_usage"`
		ContinuousUsage bool `json:"continuous_usage_stats,omitempty"`
	}
	var plain *bool
	messages := r.Messages
	if r.Text != "" {
		messages = nil
		if r.VLLM { // the rendered prompt has the special tokens already
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
		Timings       bool          `json:"timings_per_token,omitempty"`
	}{r.Model, messages, r.Text, plain, true, streamOptions{true, r.VLLM}, r.MaxTokens,
		r.Temperature, r.Seed, r.IgnoreEOS, r.CacheSalt, r.TokenIDs && r.VLLM, r.Timings})
}
