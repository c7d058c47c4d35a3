package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// content is the text of a message. In JSON it is a string or a list of parts of type text.
type content struct{ text string }

func (c *content) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	if json.Unmarshal(b, &c.text) == nil {
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		if p.Type != "text" {
			return fmt.Errorf("content part of type %q", p.Type)
		}
		c.text += p.Text
	}
	return nil
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// prompt is the prompt of a plain completion: a string or token ids.
type prompt struct {
	text  string
	ids   []int32
	given bool
}

func (p *prompt) UnmarshalJSON(b []byte) error {
	p.given = true
	if json.Unmarshal(b, &p.text) == nil {
		return nil
	}
	return json.Unmarshal(b, &p.ids)
}

// body is what the server reads of a completion request. It ignores unknown fields, as vLLM does.
type body struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Prompt              prompt    `json:"prompt"`
	Stream              bool      `json:"stream"`
	MaxTokens           *int      `json:"max_tokens"`
	MaxCompletionTokens *int      `json:"max_completion_tokens"`
	MinTokens           int       `json:"min_tokens"`
	Temperature         *float64  `json:"temperature"`
	Seed                *int64    `json:"seed"`
	IgnoreEOS           bool      `json:"ignore_eos"`
	CacheSalt           *string   `json:"cache_salt"`
	ReturnTokenIDs      bool      `json:"return_token_ids"`
	StreamOptions       *struct {
		IncludeUsage    bool `json:"include_usage"`
		ContinuousUsage bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

// apiError is an error in the format of vLLM.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    int     `json:"code"`
}

func badRequest(param, format string, a ...any) *apiError {
	e := &apiError{Message: fmt.Sprintf(format, a...), Type: "BadRequestError", Code: http.StatusBadRequest}
	if param != "" {
		e.Param = &param
	}
	return e
}

// invalid is the error for a body of the wrong shape, in the words of vLLM 0.32. more follows the input, such as a ctx.
func invalid(param, kind, msg, input string, more ...string) *apiError {
	text := fmt.Sprintf("1 validation error:\n  {'type': '%s', 'loc': '%s', 'msg': '%s', 'input': '%s'%s}", kind, param, msg, input,
		strings.Join(more, ""))
	return &apiError{Message: text, Type: "Bad Request", Param: &param, Code: http.StatusBadRequest}
}

// decode reads a request body. Its errors have the words of vLLM.
func decode(text []byte, into any) *apiError {
	if len(bytes.TrimSpace(text)) == 0 {
		return invalid("body", "missing", "Field required", "None")
	}
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		at := syntax.Offset
		if !strings.HasPrefix(syntax.Error(), "unexpected end") {
			at-- // Go's offset includes the wrong byte, Python's does not
		}
		// Python has several messages; this is the usual one
		return invalid(fmt.Sprintf("body.%d", at), "json_invalid", "JSON decode error", "<dict of 0 items>",
			", 'ctx': {'error': 'Expecting value'}")
	case errors.As(err, &typ):
		kind := typ.Type.Kind().String()
		if python, ok := map[string]string{"slice": "list", "struct": "dict", "int32": "int", "int64": "int", "float64": "float"}[kind]; ok {
			kind = python
		}
		return invalid(strings.TrimSuffix("body."+typ.Field, "."), kind+"_type", "Input should be a valid "+kind,
			given(text, typ.Field, typ.Value))
	}
	return invalid("body", "value_error", strings.ReplaceAll(err.Error(), "'", ""), "")
}

// given returns the value that the client sent in a field, or the kind of the value when the field is nested or long.
func given(text []byte, field, kind string) string {
	var fields map[string]json.RawMessage
	raw, ok := json.RawMessage(nil), false
	if json.Unmarshal(text, &fields) == nil {
		raw, ok = fields[field]
	}
	var s string
	switch {
	case !ok || len(raw) > 100:
		return kind
	case json.Unmarshal(raw, &s) == nil:
		return s
	}
	return string(raw)
}

// known refuses any model but the served one.
func (b *body) known(served string) *apiError {
	if b.Model == "" || b.Model == served {
		return nil
	}
	p := "model"
	return &apiError{Message: fmt.Sprintf("The model `%s` does not exist. Valid aliases: %s.", b.Model, served), Type: "NotFoundError",
		Param: &p, Code: http.StatusNotFound}
}

// check finds the mistakes for which vLLM refuses a completion before it looks at the prompt.
func (b *body) check() *apiError {
	limit := b.limit()
	switch {
	case b.Temperature != nil && *b.Temperature < 0:
		return badRequest("temperature", "temperature must be non-negative, got %.1f. (parameter=temperature, value=%.1f)",
			*b.Temperature, *b.Temperature)
	case limit != nil && *limit < 1:
		return badRequest("max_tokens", "max_tokens must be at least 1, got %d. (parameter=max_tokens, value=%d)", *limit, *limit)
	case limit != nil && b.MinTokens > *limit:
		return badRequest("", "min_tokens must be less than or equal to max_tokens=%d, got %d.", *limit, b.MinTokens)
	case b.CacheSalt != nil && *b.CacheSalt == "":
		return badRequest("cache_salt", "Parameter 'cache_salt' must be a non-empty string if provided. (parameter=cache_salt)")
	case b.StreamOptions != nil && !b.Stream:
		return badRequest("stream_options", "Stream options can only be defined when `stream=True`. (parameter=stream_options)")
	}
	return nil
}

// limit returns the most tokens that the client wants, or nil.
func (b *body) limit() *int {
	if b.MaxCompletionTokens != nil {
		return b.MaxCompletionTokens
	}
	return b.MaxTokens
}

// fits compares lengths with the context, in tokens. vLLM stops counting when it passes the limit, so the value that it names is the
// limit plus one.
func (b *body) fits(promptTokens, context int) *apiError {
	if l := b.limit(); l != nil && *l > context {
		return badRequest("max_tokens",
			"max_tokens=%d cannot be greater than max_model_len=%d. Please request fewer output tokens. (parameter=max_tokens, value=%d)",
			*l, context, *l)
	}
	// at least one token must be left for the reply
	if promptTokens >= context {
		return badRequest("input_tokens",
			"This model's maximum context length is %d tokens. However, your prompt contains at least %d input tokens, "+
				"which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "+
				"(parameter=input_tokens, value=%d)", context, context+1, context+1)
	}
	if l := b.limit(); l != nil && promptTokens+*l > context {
		return badRequest("input_tokens",
			"This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains "+
				"at least %d input tokens, for a total of at least %d tokens. Please reduce the length of the input prompt or the "+
				"number of requested output tokens. (parameter=input_tokens, value=%d)",
			context, *l, context-*l+1, context+1, context-*l+1)
	}
	return nil
}

// null is the value of a field that vLLM sends as null, in structs that leave out empty fields.
var null any = json.RawMessage("null")

type usage struct {
	PromptTokens      int            `json:"prompt_tokens"`
	TotalTokens       int            `json:"total_tokens"`
	CompletionTokens  int            `json:"completion_tokens"`
	PromptDetails     *promptDetails `json:"prompt_tokens_details,omitempty"`
	CompletionDetails any            `json:"completion_tokens_details,omitempty"`
}

type promptDetails struct {
	CachedTokens  int  `json:"cached_tokens"`
	CreatedTokens *int `json:"created_cache_tokens,omitempty"` // whole blocks of the prompt that were not cached
	Multimodal    any  `json:"multimodal_tokens,omitempty"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

type choice struct {
	Index          int     `json:"index"`
	Delta          *delta  `json:"delta,omitempty"`
	Text           *string `json:"text,omitempty"`
	Logprobs       any     `json:"logprobs"`
	FinishReason   *string `json:"finish_reason"`
	StopReason     any     `json:"stop_reason,omitempty"`
	PromptTokenIDs any     `json:"prompt_token_ids,omitempty"`
	TokenIDs       any     `json:"token_ids,omitempty"`
}

// event is one streamed chunk.
type event struct {
	ID             string   `json:"id"`
	Object         string   `json:"object"`
	Created        int64    `json:"created"`
	Model          string   `json:"model"`
	Choices        []choice `json:"choices"`
	Usage          *usage   `json:"usage,omitempty"`
	Fingerprint    string   `json:"system_fingerprint,omitempty"` // of the last event only
	PromptTokenIDs any      `json:"prompt_token_ids,omitempty"`
	PromptText     any      `json:"prompt_text,omitempty"`
}
