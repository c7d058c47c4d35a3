package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// wireChunk holds what wb reads of a chat.completion.chunk, of a text_completion, and of what servers send in their place. Its types ignore
// values that they do not understand, so that a field that wb does not need cannot damage a turn.
type wireChunk struct {
	ID        LooseText   `json:"id"`
	Object    LooseText   `json:"object"`
	PromptIDs tokenIDs    `json:"prompt_token_ids"` // in a chat completion
	Choices   wireChoices `json:"choices"`
	Usage     RawValue    `json:"usage"`
	Metadata  RawValue    `json:"usageMetadata"` // Google's name for it
	Timings   RawValue    `json:"timings"`       // llama.cpp
	Metrics   RawValue    `json:"metrics"`       // vLLM with --enable-per-request-metrics
	Groq      struct {
		Usage RawValue `json:"usage"`
		Error RawValue `json:"error"`
	} `json:"x_groq"`
	wireFailure
}

// wireFailure holds the members with which an event says that the server failed.
type wireFailure struct {
	Error RawValue `json:"error"`
	// The others count only in an event without choices: FastAPI, FastChat (error_code), MiniMax (base_resp), Baidu (error_msg).
	Message   RawValue  `json:"message"`
	Detail    RawValue  `json:"detail"`
	Errors    RawValue  `json:"errors"`
	Msg       RawValue  `json:"msg"`
	ErrorMsg  RawValue  `json:"error_msg"`
	Code      LooseText `json:"code"`
	ErrorCode LooseText `json:"error_code"`
	State     LooseText `json:"status"`
	BaseResp  struct {
		Code LooseText `json:"status_code"`
	} `json:"base_resp"`
}

// failed says whether an event reports a failure.
func (w *wireChunk) failed() bool {
	if w.Error.tells() || w.Groq.Error.tells() || w.Object == "error" || !w.ErrorCode.fine() || !w.BaseResp.Code.fine() {
		return true
	}
	for _, c := range w.Choices.list {
		if c.Error.tells() {
			return true
		}
	}
	if len(w.Choices.list) > 0 || w.Usage != nil {
		return false
	}
	if w.State == "error" || w.State == "failed" {
		return true
	}
	says := w.Message != nil || w.Detail != nil || w.Errors != nil || w.Msg != nil || w.ErrorMsg != nil
	return says && (w.Code == "" || !w.Code.fine())
}

// fine says whether a code is empty or means success.
func (t LooseText) fine() bool {
	return slices.Contains([]string{"", "0", "200", "ok", "success"}, strings.ToLower(string(t)))
}

type wireChoice struct {
	Index        looseInt   `json:"index"`
	Text         wireText   `json:"text"` // in a plain completion
	PromptIDs    tokenIDs   `json:"prompt_token_ids"`
	Delta        *wireDelta `json:"delta"`
	Message      *wireDelta `json:"message"` // in a completion that comes whole
	FinishReason wireFinish `json:"finish_reason"`
	TokenIDs     tokenIDs   `json:"token_ids"`
	Usage        RawValue   `json:"usage"` // Moonshot
	Error        RawValue   `json:"error"` // OpenRouter
}

type wireDelta struct {
	Role             LooseText `json:"role"`
	Content          wireText  `json:"content"`
	Refusal          wireText  `json:"refusal"`
	Reasoning        wireText  `json:"reasoning"`         // vLLM since 0.12
	ReasoningContent wireText  `json:"reasoning_content"` // vLLM before 0.12, and other servers
	ReasoningText    wireText  `json:"reasoning_text"`
	ReasoningDetails wireText  `json:"reasoning_details"` // OpenRouter
	Thinking         wireText  `json:"thinking"`
	Thought          wireText  `json:"thought"`
	ToolCalls        RawValue  `json:"tool_calls"`
	FunctionCall     RawValue  `json:"function_call"` // the older form of tool calls
	Usage            RawValue  `json:"usage"`
	odd              bool      // the delta is neither an object nor a string
}

// UnmarshalJSON reads an object. A string counts as the content, and an empty list as an empty object, which is how PHP writes it.
func (d *wireDelta) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '{':
		type plain wireDelta
		return Lenient(b, (*plain)(d))
	case '"':
		return json.Unmarshal(b, &d.Content)
	}
	d.odd = string(b) != "[]" && b[0] != 'n'
	return nil
}

// Lenient is json.Unmarshal, except that a member of another type than expected is not an error. The other members are read, and the error
// would stop the reading of the value around it.
func Lenient(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var odd *json.UnmarshalTypeError
	if errors.As(err, &odd) {
		return nil
	}
	return err
}

// think gives the reasoning of a delta. Servers that send it under two names send the same text twice.
func (d *wireDelta) think() wireText {
	for _, t := range []wireText{d.Reasoning, d.ReasoningContent, d.Thinking, d.ReasoningText, d.Thought, d.ReasoningDetails} {
		if t != (wireText{}) {
			return t
		}
	}
	return wireText{}
}

// says reports whether a delta carries anything.
func (d *wireDelta) says() bool {
	texts := []wireText{d.Content, d.Refusal, d.think()}
	return d.odd || len(d.ToolCalls)+len(d.FunctionCall) > 0 || slices.ContainsFunc(texts, func(t wireText) bool { return t != wireText{} })
}

// wireFinish is a finish reason: a string, or SGLang's object with a type and, after a failure, a message.
type wireFinish struct{ text, why string }

func (f *wireFinish) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var o struct {
			Type    LooseText `json:"type"`
			Message LooseText `json:"message"`
		}
		err := Lenient(b, &o)
		f.text, f.why = string(o.Type), string(o.Message)
		return err
	}
	return json.Unmarshal(b, (*LooseText)(&f.text))
}

// RawValue is a JSON value as it came. It is nil for null, false and everything that is empty.
type RawValue []byte

// UnmarshalJSON takes any value.
func (r *RawValue) UnmarshalJSON(b []byte) error {
	if !slices.Contains([]string{"null", "{}", "[]", `""`, "false"}, string(b)) {
		*r = bytes.Clone(b)
	}
	return nil
}

// tells reports whether a value holds anything. An error with code 0 and without a message does not.
func (r RawValue) tells() bool {
	var v any
	if len(r) == 0 || len(r) > maxListBytes || json.Unmarshal(r, &v) != nil {
		return len(r) > 0
	}
	return tells(v, 0)
}

func tells(v any, depth int) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return depth > 5 || tells(e, depth+1) })
	case map[string]any:
		for _, e := range v {
			if depth > 5 || tells(e, depth+1) {
				return true
			}
		}
	}
	return false
}

// LooseText is a short text, such as a name. A number is kept as it was written, and any other value counts as "".
type LooseText string

// UnmarshalJSON reads a string or a number. It ignores any other value.
func (t *LooseText) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if len(s) <= maxName { // a longer text is not a name
			*t = LooseText(s)
		}
	case len(b) <= maxName && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*t = LooseText(b)
	}
	return nil
}

// looseInt is a small number, or a string that holds one. Any other value counts as 0.
type looseInt int

func (i *looseInt) UnmarshalJSON(b []byte) error {
	if n, err := strconv.ParseInt(strings.Trim(string(b[:min(len(b), 24)]), `"`), 10, 32); err == nil {
		*i = looseInt(n)
	}
	return nil
}

// wireChoices are the choices of an event. Of a very long list only the first maxChoices are read.
type wireChoices struct {
	list []wireChoice
	odd  bool // they are not a list, or one of them is not an object
}

func (c *wireChoices) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == 'n' || string(b) == "{}":
		return nil
	case b[0] != '[':
		c.odd = true
		return nil
	case len(b) <= maxListBytes:
		err := json.Unmarshal(b, &c.list)
		var odd *json.UnmarshalTypeError
		if errors.As(err, &odd) {
			c.odd = odd.Field == "" // a choice has the wrong type, not a member of one
			return nil
		}
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() && len(c.list) < maxChoices {
		var one wireChoice
		var odd *json.UnmarshalTypeError
		if err := d.Decode(&one); errors.As(err, &odd) {
			c.odd = c.odd || odd.Field == ""
		} else if err != nil {
			return err
		}
		c.list = append(c.list, one)
	}
	return nil
}

// tokenIDs are token ids. The list is nil when one of them is not a 32-bit integer.
type tokenIDs []int32

func (t *tokenIDs) UnmarshalJSON(b []byte) error {
	var ids []int32
	if json.Unmarshal(b, &ids) == nil {
		*t = ids
	}
	return nil
}

// wireText is the text in a member of a delta: a string, or a list of parts. Parts of type "thinking" are reasoning (Mistral, Anthropic).
type wireText struct {
	text, thinking string
	odd            bool // the value is neither, or a list that is too long
}

func (t *wireText) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case 'n':
	case '"':
		return json.Unmarshal(b, &t.text)
	case '[', '{':
		var v any
		if len(b) > maxListBytes {
			t.odd = true
			return nil
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		var text, thinking strings.Builder
		t.odd = !parts(v, &text, &thinking, 0)
		t.text, t.thinking = text.String(), thinking.String()
	default:
		t.odd = true
	}
	return nil
}

// parts adds the texts of a list of parts. It gives false when it did not understand all of them.
func parts(v any, text, thinking *strings.Builder, depth int) bool {
	if depth > 5 {
		return false
	}
	switch v := v.(type) {
	case nil:
		return true
	case string:
		text.WriteString(v)
		return true
	case []any:
		for _, p := range v {
			if !parts(p, text, thinking, depth+1) {
				return false
			}
		}
		return true
	case map[string]any:
		kind, _ := v["type"].(string)
		if strings.Contains(kind, "thinking") || strings.Contains(kind, "reasoning") {
			text = thinking
		}
		for _, k := range []string{"text", "content", "value"} {
			if inner, ok := v[k]; ok {
				return parts(inner, text, thinking, depth+1)
			}
		}
		for _, k := range []string{"thinking", "reasoning"} {
			if inner, ok := v[k]; ok {
				return parts(inner, thinking, thinking, depth+1)
			}
		}
		return kind != "" && kind != "text" // a part of another kind, such as a picture, has no text
	}
	return false
}

// delta gives what a choice adds: its delta, or the message of a server that sends the whole reply at once. before says that text came
// already; then the message repeats it and does not count. The result is nil when the choice adds nothing.
func (c *wireChoice) delta(before bool) *wireDelta {
	switch {
	case c.Delta != nil && c.Delta.says():
		return c.Delta
	case c.Message != nil && !before:
		return c.Message
	}
	return c.Delta
}

// usage gives the usage of an event, from whichever place the server puts it in. It is nil when there is none.
func (w *wireChunk) usage() RawValue {
	for _, u := range []RawValue{w.Usage, w.Groq.Usage, w.Metadata} {
		if u != nil {
			return u
		}
	}
	for _, c := range w.Choices.list {
		if c.Usage != nil {
			return c.Usage
		}
		if c.Delta != nil && c.Delta.Usage != nil {
			return c.Delta.Usage
		}
	}
	return nil
}

// fromTimings makes a usage from llama.cpp's timings. prompt_n tokens were computed, cache_n came from the cache, and predicted_n were
// generated (tools/server/README.md of llama.cpp).
func (w *wireChunk) fromTimings() RawValue {
	var t struct {
		Prompt    *float64 `json:"prompt_n"`
		Cached    *float64 `json:"cache_n"`
		Predicted *float64 `json:"predicted_n"`
	}
	if len(w.Timings) == 0 || json.Unmarshal(w.Timings, &t) != nil || t.Prompt == nil || t.Cached == nil || t.Predicted == nil {
		return nil // older releases do not count cached tokens at all
	}
	return RawValue(fmt.Sprintf(`{"prompt_tokens": %g, "completion_tokens": %g, "prompt_tokens_details": {"cached_tokens": %g}}`,
		*t.Prompt+*t.Cached, *t.Predicted, *t.Cached))
}

// parseChunk reads an event. NaN and Infinity, which Python writes and JSON does not have, count as null.
func parseChunk(data []byte, w *wireChunk) error {
	*w = wireChunk{}
	err := Lenient(data, w)
	if err == nil {
		return nil
	}
	if plain := withoutNaN(data); plain != nil {
		*w = wireChunk{}
		if again := Lenient(plain, w); again == nil {
			return nil
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the event ends inside a value")
	}
	return err
}

// withoutNaN replaces NaN, Infinity and -Infinity outside of strings by null. It gives nil when there are none.
func withoutNaN(data []byte) []byte {
	var out []byte
	from, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case !text:
			for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
				if bytes.HasPrefix(data[i:], []byte(word)) {
					out = append(append(out, data[from:i]...), "null"...)
					i += len(word) - 1
					from = i + 1
					break
				}
			}
		}
	}
	if out == nil {
		return nil
	}
	return append(out, data[from:]...)
}
