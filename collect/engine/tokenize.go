package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"wb/collect/client"
)

// SideLimit is how long a request beside the turns may take. A server that is stuck must not block a run for ever.
const SideLimit = 20 * time.Second

// These allow for the tokens that are not part of the text. A text has at most one token per byte.
const (
	TokenizeSlack = 8    // tokens added to a plain text
	MessageSlack  = 64   // tokens that a template adds to each message
	TemplateSlack = 4096 // tokens that a template adds once
)

// most is how many tokens a text can have, and bytes how many bytes it has.
func (t Text) most() (most, bytes int64) {
	if t.Messages != nil {
		bytes = bytesOf(t.Messages)
		return bytes + int64(len(t.Messages)*MessageSlack+TemplateSlack), bytes
	}
	bytes = int64(len(t.Prompt) + len(t.Part))
	return bytes + TokenizeSlack, bytes
}

// askVLLM asks for token ids as vLLM answers: /tokenize renders messages itself.
func askVLLM(ctx context.Context, c *client.Client, model string, t Text) ([]int32, error) {
	body := map[string]any{"model": model}
	if t.Messages != nil {
		body["messages"], body["add_generation_prompt"] = t.Messages, true
	} else {
		body["prompt"], body["add_special_tokens"] = t.Prompt+t.Part, false
	}
	ctx, cancel := context.WithTimeout(ctx, SideLimit)
	defer cancel()
	most, bytes := t.most()
	return askTokens(ctx, c, body, most, bytes)
}

// askTokens sends a body to /tokenize and reads the ids. most is how many there can be for the bytes of the text.
func askTokens(ctx context.Context, c *client.Client, body map[string]any, most, bytes int64) ([]int32, error) {
	answer, err := ask(ctx, c, "/tokenize", body)
	if err != nil {
		return nil, err
	}
	var a struct {
		Tokens []int32 `json:"tokens"`
		Count  *int    `json:"count"`
	}
	switch err := json.Unmarshal(answer, &a); {
	case err != nil || a.Tokens == nil:
		return nil, errors.New("tokenize: the answer has no token ids")
	case a.Count != nil && *a.Count != len(a.Tokens):
		return nil, fmt.Errorf("tokenize: the answer has %d token ids and counts %d", len(a.Tokens), *a.Count)
	case int64(len(a.Tokens)) > most || len(a.Tokens) == 0 && bytes > 0:
		return nil, fmt.Errorf("tokenize: the answer has %d token ids for %d bytes of text", len(a.Tokens), bytes)
	case slices.ContainsFunc(a.Tokens, func(id int32) bool { return id < 0 }):
		return nil, errors.New("tokenize: the answer has negative token ids")
	}
	return a.Tokens, nil
}

// ask posts a body and gives the answer.
func ask(ctx context.Context, c *client.Client, path string, body map[string]any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("tokenize: %w", err)
	}
	limit := int64(len(b)+client.UsageSlack) * client.BytesPerTokenID // a token has at least one byte
	resp, answer, err := c.Ask(ctx, http.MethodPost, path, b, limit)
	if err != nil {
		return nil, fmt.Errorf("tokenize: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("tokenize: %w", &statusError{resp.StatusCode, c.Clean(cmp.Or(client.Reason(answer), resp.Status))})
	}
	return answer, nil
}

// statusError is an answer other than 200.
type statusError struct {
	code int
	said string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.code, e.said) }

// Counter gives a function that counts the tokens of a text with the server's tokeniser. It gives nil where the server has no /tokenize.
func Counter(ctx context.Context, c *client.Client, s *Server) func(text string) (int, error) {
	if !s.HasTokenize {
		return nil
	}
	return func(text string) (int, error) {
		ids, err := s.TokenIDs(ctx, c, s.Model, Text{Part: text})
		return len(ids), err
	}
}

// bytesOf counts the bytes of messages.
func bytesOf(messages []client.Message) (n int64) {
	for _, m := range messages {
		n += int64(len(m.Content))
	}
	return n
}
