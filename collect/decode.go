package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Chunk is one streamed event, decoded after the turn.
type Chunk struct {
	Seq         int32 // from 1
	ReadSeq     int32 // socket read, from 1
	TNs         int64
	ReadDelayNs *int64 // before TNs, in the kernel; nil when that does not say
	Kind        string // role, content, reasoning, tool, empty, usage, error or other
	Tokens      *int32 // nil when the server does not say
	TextBytes   int32
}

// Reply is everything observed of one request. Times are ns since run start; nil means it did not come to that.
type Reply struct {
	Status       string
	Err          string
	HTTPStatus   *int32
	ErrorBody    *string
	RequestID    *string
	RequestBytes int64

	SubmitNs       int64
	WrittenNs      *int64
	HeadersNs      *int64
	FirstChunkNs   *int64
	FirstNs        *int64
	FirstContentNs *int64
	LastNs         *int64
	DoneNs         int64
	Reused         *bool

	PromptTokens     *int64
	CachedTokens     *int64
	CompletionTokens *int64
	ReasoningTokens  *int64
	FinishReason     *string
	Content          string
	Reasoning        string
	Chunks           []Chunk
	PromptIDs        []int32  // nil: not told
	TokenIDs         []int32  // generated ones; nil unless told for every event
	Doubts           []string // what the server says and cannot be, one sentence each

	Flow // of the events that carried text or tokens

	toolBytes int      // of tool calls
	usageSeen bool     // the closing usage, not only running figures
	usageBad  []string // what of it cannot be
	others    bool     // choices came beside the one that was asked for
}

// Flow says how the tokens of a reply reached the client: per-token figures are made of it. Only events that carried text or tokens count.
type Flow struct {
	Events          int32  // that carried text or tokens
	Reads           int32  // of the socket, which brought them; events of one read have one stamp
	FirstReadEvents int32  // of the events, those of the first of these reads
	Tokens          *int64 // that the events carried, by ids or running usage; nil when one did not say
	FirstReadTokens *int64 // of these, those of the first of these reads; nil likewise
}

// DecodeRate gives the tokens a second after those of the first read, as the view turns does: by what the events say that they carried, or
// one an event where there were as many as tokens. false where neither is known.
func (re *Reply) DecodeRate() (tokensPerS float64, ok bool) {
	if re.FirstNs == nil || re.LastNs == nil || *re.LastNs <= *re.FirstNs || re.CompletionTokens == nil {
		return 0, false
	}
	var n int64
	switch apart := *re.CompletionTokens - int64(re.Events); {
	case re.Tokens != nil:
		n = *re.Tokens - *re.FirstReadTokens
	case max(apart, -apart) <= max(1, *re.CompletionTokens/50):
		n = int64(re.Events - re.FirstReadEvents)
	}
	return float64(n) * 1e9 / float64(*re.LastNs-*re.FirstNs), n > 0
}

// held says whether something between server and client holds events back and lets them through in blocks: far fewer reads than events,
// although the reply took so long that a server would have sent them one by one.
func (re *Reply) held() bool {
	const few, per, longNs = 4, 8, 20e6
	if re.Events < few || re.Reads > 1 && re.Events < per*re.Reads || re.LastNs == nil {
		return false
	}
	return *re.LastNs-re.SubmitNs > longNs
}

// add counts an event that carried text or tokens; tokens nil: it did not say how many.
func (f *Flow) add(tokens *int32, newRead bool) {
	f.Events++
	if newRead {
		f.Reads++
	}
	if f.Reads == 1 {
		f.FirstReadEvents++
	}
	if f.Events == 1 {
		f.Tokens, f.FirstReadTokens = new(int64), new(int64)
	}
	if tokens == nil {
		f.Tokens, f.FirstReadTokens = nil, nil
	}
	if f.Tokens == nil {
		return
	}
	*f.Tokens += int64(*tokens)
	if f.Reads == 1 {
		*f.FirstReadTokens += int64(*tokens)
	}
}

// wireChunk is what wb reads of a chat.completion.chunk, of a text_completion and of what servers send in their place. Its types take what
// they do not understand for nothing: a field that wb has no use for damages no turn.
type wireChunk struct {
	ID        looseText   `json:"id"`
	Object    looseText   `json:"object"`
	PromptIDs tokenIDs    `json:"prompt_token_ids"` // of a chat completion
	Choices   wireChoices `json:"choices"`
	Usage     rawValue    `json:"usage"`
	Groq      struct {
		Usage rawValue `json:"usage"`
	} `json:"x_groq"` // Groq's place for it
	Error rawValue `json:"error"`
	// where an event without choices tells a failure
	Message rawValue `json:"message"`
	Detail  rawValue `json:"detail"`
	Errors  rawValue `json:"errors"`
}

type wireChoice struct {
	Index        int        `json:"index"`
	Text         wireText   `json:"text"` // of a plain completion
	PromptIDs    tokenIDs   `json:"prompt_token_ids"`
	Delta        *wireDelta `json:"delta"`
	Message      *wireDelta `json:"message"` // of a whole completion
	FinishReason looseText  `json:"finish_reason"`
	TokenIDs     tokenIDs   `json:"token_ids"`
	Usage        rawValue   `json:"usage"` // Moonshot's place for it
	Error        rawValue   `json:"error"` // OpenRouter's
}

type wireDelta struct {
	Role             looseText `json:"role"`
	Content          wireText  `json:"content"`
	Refusal          wireText  `json:"refusal"`
	Reasoning        wireText  `json:"reasoning"`         // vLLM since 0.12
	ReasoningContent wireText  `json:"reasoning_content"` // before, and other servers
	ToolCalls        rawValue  `json:"tool_calls"`
	FunctionCall     rawValue  `json:"function_call"` // before tools
}

// rawValue is a JSON value as it came; nil for null and for what is empty or false.
type rawValue []byte

func (r *rawValue) UnmarshalJSON(b []byte) error {
	if !slices.Contains([]string{"null", "{}", "[]", `""`, "false"}, string(b)) {
		*r = bytes.Clone(b)
	}
	return nil
}

// looseText is a short text, such as a name; a number stands as it was written, anything else is none.
type looseText string

func (t *looseText) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if len(s) <= maxName { // a longer one is no name
			*t = looseText(s)
		}
	case len(b) <= maxName && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		*t = looseText(b)
	}
	return nil
}

// wireChoices are the choices of an event, at most maxChoices where there are very many.
type wireChoices []wireChoice

func (c *wireChoices) UnmarshalJSON(b []byte) error {
	if len(b) <= maxListBytes {
		return json.Unmarshal(b, (*[]wireChoice)(c))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return err
	}
	for d.More() && len(*c) < maxChoices {
		var one wireChoice
		var odd *json.UnmarshalTypeError
		if err := d.Decode(&one); err != nil && !errors.As(err, &odd) {
			return err
		}
		*c = append(*c, one)
	}
	return nil
}

// tokenIDs are token ids; nil when one of them is no 32-bit integer.
type tokenIDs []int32

func (t *tokenIDs) UnmarshalJSON(b []byte) error {
	var ids []int32
	if json.Unmarshal(b, &ids) == nil {
		*t = ids
	}
	return nil
}

// wireText is what a member of a delta says: a text, or a list of parts, of which those of type "thinking" are reasoning (Mistral,
// Anthropic).
type wireText struct {
	text, thinking string
	odd            bool // it is neither, or a list that is too long to be one
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

// parts adds the texts of a list of parts, and says whether it understood all of them.
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

// delta gives what a choice adds: its delta, or the message of a server that sends the whole at once, unless its text came before. nil:
// nothing.
func (c *wireChoice) delta(before bool) *wireDelta {
	switch {
	case c.Delta != nil && c.Delta.says():
		return c.Delta
	case c.Message != nil && !before:
		return c.Message
	}
	return c.Delta
}

func (d *wireDelta) says() bool {
	texts := []wireText{d.Content, d.Refusal, d.Reasoning, d.ReasoningContent}
	return len(d.ToolCalls)+len(d.FunctionCall) > 0 || slices.ContainsFunc(texts, func(t wireText) bool { return t != wireText{} })
}

// decoder turns the events of a stream into a Reply, one after the other.
type decoder struct {
	re                 *Reply
	clean              func(string) string // takes secrets out
	content, reasoning strings.Builder
	counted            int64 // tokens, by the running usage so far
	unsaid             bool  // text came since then without a count
	allIDs             bool  // token ids came with every event
	read               int32 // the last one that brought text or tokens
	ours               *int  // index of the choice that is read
	chunk              wireChunk
}

// decode reads the events once the turn is over. Token counts of a chunk come from its token ids, else from the growth of
// the running usage, else they stay unknown: chunks are not tokens. A failure that the stream tells is in Status and Err then.
func (re *Reply) decode(clean func(string) string, events []sseEvent) {
	d := decoder{re: re, clean: clean, allIDs: true}
	re.Chunks = make([]Chunk, 0, len(events))
	for i := range events {
		d.event(i, &events[i])
		events[i].data = nil // the collector may have it
	}
	re.Content, re.Reasoning = d.content.String(), d.reasoning.String()
	if !d.allIDs || (re.CompletionTokens != nil && int64(len(re.TokenIDs)) != *re.CompletionTokens) {
		re.TokenIDs = nil
	}
}

// fail ends the turn with the first failure that the stream tells; what comes after it is kept all the same.
func (d *decoder) fail(status, why string, body []byte) {
	if d.re.Status != "" {
		return
	}
	d.re.Status, d.re.Err = status, d.clean(why)
	if body != nil {
		d.re.ErrorBody = new(d.clean(strings.ToValidUTF8(string(body[:min(len(body), maxErrorBody)]), "\ufffd")))
	}
}

func (d *decoder) event(i int, e *sseEvent) {
	re := d.re
	if re.FirstChunkNs == nil {
		re.FirstChunkNs = new(e.tNs)
	}
	data := bytes.TrimSpace(e.data)
	if len(data) == 0 || string(data) == "[DONE]" { // a heartbeat, or the end
		return
	}
	ch := Chunk{Seq: int32(len(re.Chunks) + 1), ReadSeq: e.readSeq, TNs: e.tNs, Kind: "other"}
	if e.delayNs >= 0 {
		ch.ReadDelayNs = new(e.delayNs)
	}
	if !d.understand(i, e, data) {
		ch.Kind = "error"
		re.Chunks = append(re.Chunks, ch)
		return
	}
	w := &d.chunk
	if w.ID != "" && re.RequestID == nil {
		re.RequestID = new(string(w.ID))
	}
	d.promptIDs(w.PromptIDs)
	usage, hasIDs := w.Usage, false
	if usage == nil {
		usage = w.Groq.Usage
	}
	for k := range w.Choices {
		c := &w.Choices[k]
		if usage == nil {
			usage = c.Usage
		}
		if d.ours == nil {
			d.ours = new(c.Index)
		}
		if c.Index != *d.ours { // one was asked for
			re.others = true
			continue
		}
		hasIDs = d.choice(c, &ch, e.tNs) || hasIDs
	}
	d.allIDs = d.allIDs && (hasIDs || ch.TextBytes == 0)
	said := usage != nil && d.usage(usage, &ch, hasIDs)
	d.unsaid = d.unsaid || ch.TextBytes > 0 && !said && !hasIDs
	if ch.TextBytes > 0 || (ch.Tokens != nil && *ch.Tokens > 0) {
		re.add(ch.Tokens, e.readSeq != d.read)
		d.read = e.readSeq
		if re.FirstNs == nil {
			re.FirstNs = new(e.tNs)
		}
		re.LastNs = new(e.tNs)
	}
	re.Chunks = append(re.Chunks, ch)
}

// understand parses an event; false when it is none that wb understands, or tells a failure.
func (d *decoder) understand(i int, e *sseEvent, data []byte) bool {
	d.chunk = wireChunk{}
	err := json.Unmarshal(data, &d.chunk)
	var odd *json.UnmarshalTypeError // a member of a type that is none of ours; the others were read
	switch {
	case err == nil || errors.As(err, &odd) && data[0] == '{':
	case data[0] == '{' || data[0] == '[':
		d.fail(StatusDamaged, fmt.Sprintf("decode event %d: %v", i+1, err), data)
		return false
	default: // some servers put the bare text of an error there
		status := StatusDamaged
		if e.failure {
			status = StatusServerError
		}
		d.fail(status, fmt.Sprintf("event %d is no JSON: %s", i+1, clip(string(data))), data)
		return false
	}
	w := &d.chunk
	bare := len(w.Choices) == 0 && w.Usage == nil
	failed := e.failure || w.Error != nil || w.Object == "error" || bare && (w.Message != nil || w.Detail != nil || w.Errors != nil)
	for _, c := range w.Choices {
		failed = failed || c.Error != nil
	}
	if failed {
		why := reason(data)
		if w.Error == nil && len(w.Choices) > 0 {
			for _, c := range w.Choices {
				if c.Error != nil {
					why = reason(c.Error)
				}
			}
		}
		if why == "" {
			why = "no message"
		}
		d.fail(StatusServerError, "the server failed mid-stream: "+why, data)
		return false
	}
	return true
}

// choice adds what a choice says, and tells whether it has token ids.
func (d *decoder) choice(c *wireChoice, ch *Chunk, tNs int64) (hasIDs bool) {
	re := d.re
	d.promptIDs(c.PromptIDs)
	ch.Kind = "empty"
	if c.Text != (wireText{}) {
		d.text(c.Text, ch, tNs)
	}
	if x := c.delta(d.content.Len()+d.reasoning.Len() > 0); x != nil {
		if x.Role != "" {
			ch.Kind = "role"
		}
		think := x.Reasoning
		if think == (wireText{}) { // servers that send both say the same twice
			think = x.ReasoningContent
		}
		d.think(think.thinking+think.text, ch)
		for _, raw := range []rawValue{x.ToolCalls, x.FunctionCall} {
			if n := len(raw); n > 0 && string(raw) != "[]" {
				ch.Kind, ch.TextBytes = "tool", ch.TextBytes+int32(n)
				re.toolBytes += n
			}
		}
		d.text(x.Content, ch, tNs)
		d.text(x.Refusal, ch, tNs)
		if think.odd {
			d.fail(StatusDamaged, "reasoning is neither a text nor a list of parts", nil)
		}
	}
	if c.TokenIDs != nil {
		if len(re.TokenIDs) < maxReplyIDs {
			re.TokenIDs = append(re.TokenIDs, c.TokenIDs...)
		}
		ch.Tokens = new(int32(len(c.TokenIDs)))
	}
	if c.FinishReason != "" {
		re.FinishReason = new(string(c.FinishReason))
	}
	return c.TokenIDs != nil
}

// promptIDs takes the ids of the prompt, the first that come. More than its bytes can hold are none.
func (d *decoder) promptIDs(ids tokenIDs) {
	if d.re.PromptIDs == nil && int64(len(ids)) <= d.re.RequestBytes+usageSlack {
		d.re.PromptIDs = ids
	}
}

// fits says whether more text may be kept, and ends the turn where it may not.
func (d *decoder) fits(text string) bool {
	if d.content.Len()+d.reasoning.Len()+len(text) <= maxReplyText {
		return true
	}
	d.fail(StatusDamaged, fmt.Sprintf("a reply of more than %d bytes of text", maxReplyText), nil)
	return false
}

// text adds content, and reasoning that stands among it.
func (d *decoder) text(t wireText, ch *Chunk, tNs int64) {
	if t.odd {
		d.fail(StatusDamaged, "content is neither a text nor a list of parts", nil)
	}
	d.think(t.thinking, ch)
	if t.text == "" || !d.fits(t.text) {
		return
	}
	ch.Kind, ch.TextBytes = "content", ch.TextBytes+int32(len(t.text))
	d.content.WriteString(t.text)
	if d.re.FirstContentNs == nil {
		d.re.FirstContentNs = new(tNs)
	}
}

func (d *decoder) think(text string, ch *Chunk) {
	if text == "" || !d.fits(text) {
		return
	}
	ch.Kind, ch.TextBytes = "reasoning", ch.TextBytes+int32(len(text))
	d.reasoning.WriteString(text)
}

// maxEventTokens bounds what one event can carry.
const maxEventTokens = 1 << 16

// usage takes the counts of an event, and says whether it told how many tokens there are so far. Running figures are kept too: a stream
// that is cut still tells how far it came.
func (d *decoder) usage(raw rawValue, ch *Chunk, hasIDs bool) (said bool) {
	re := d.re
	c, bad, some := readUsage(json.RawMessage(raw))
	if !some && bad == nil {
		return false
	}
	if n := c.completion; n != nil {
		if grown := max(*n-d.counted, 0); !hasIDs && len(d.chunk.Choices) > 0 && !d.unsaid && grown <= maxEventTokens {
			ch.Tokens = new(int32(grown))
		}
		d.counted, d.unsaid = *n, false
	}
	re.PromptTokens, re.CompletionTokens, re.CachedTokens, re.ReasoningTokens = c.prompt, c.completion, c.cached, c.reasoning
	re.usageBad = bad
	// vLLM closes with an event of its own; others put the usage beside the finish reason
	if len(d.chunk.Choices) == 0 {
		ch.Kind = "usage"
	}
	re.usageSeen = re.usageSeen || len(d.chunk.Choices) == 0 || re.FinishReason != nil
	return c.completion != nil
}

// goodReasons are the finish reasons of replies that ended well: those of OpenAI's API, and what servers of its kind send besides (Hugging
// Face's TGI: eos_token, stop_sequence; Mistral: model_length; Anthropic: end_turn, max_tokens, tool_use; Cohere: complete).
var goodReasons = []string{
	"stop", "length", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence", "model_length", "end_turn", "max_tokens",
	"tool_use", "complete",
}

// settle decides how a turn ended whose stream was read to its end: the one place that does. It is ok only when a finish reason of a reply
// that ended well, a usage that can be believed and a text that was understood were all seen.
func (re *Reply) settle(maxTokens int, unfinished bool) (status, why string) {
	re.Doubts = append(re.Doubts, re.usageBad...)
	re.believe(maxTokens)
	switch {
	case re.FinishReason == nil || !re.usageSeen:
		what := "usage"
		if re.FinishReason == nil {
			what = "a finish reason"
		}
		if unfinished {
			what += ", inside an event"
		}
		if re.FinishReason != nil && re.PromptTokens == nil {
			what += "; the server must support stream_options.include_usage"
		}
		return StatusCut, "the stream ended without " + what
	case !slices.Contains(goodReasons, strings.ToLower(*re.FinishReason)):
		return StatusServerError, fmt.Sprintf("the server ended the reply with finish_reason %q", *re.FinishReason)
	case re.others:
		return StatusDamaged, "the server sent several choices, and one was asked for: whose tokens it counts cannot be told"
	case re.CompletionTokens == nil:
		return StatusCut, "the usage has no completion_tokens that can be believed: " + strings.Join(re.Doubts, "; ")
	}
	return StatusOK, ""
}
