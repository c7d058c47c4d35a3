package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// decoder is a state machine. It takes the events of a stream, one after the other, and fills in a Reply.
type decoder struct {
	re                 *Reply
	clean              func(string) string // removes secrets
	content, reasoning strings.Builder
	events             int  // events so far
	allIDs             bool // token ids came with every event so far that has text
	ours               *int // index of the choice that is read
	chunk              wireChunk
	like               alike
	running
}

// running is what is known about the usage that some servers send along with the events.
type running struct {
	counted     int64 // completion tokens by the last usage
	uncounted   bool  // text came since the last usage, without a count
	seen        bool  // a usage came
	textAfter   bool  // text came after the last usage
	atEnd       bool  // the last usage came in an event without text, or with the finish reason
	idle        int   // events with text whose usage counted no more tokens than the one before
	idleAtFirst bool  // the first event with text was one of these
	timed       bool  // the last counts came from llama.cpp's timings
	replaced    bool  // the counts of this event replace those, also where they are 0: a usage says more than timings
}

// decoder makes a decoder for the events of a reply. The token count of a chunk comes from its token ids, else from the growth of the
// running usage. Otherwise it stays unknown, because a chunk may hold several tokens. A failure that the stream reports is in Status and
// Err. clean removes secrets from a text.
func (re *Reply) decoder(clean func(string) string) *decoder {
	return &decoder{re: re, clean: clean, allIDs: true}
}

// end fills in what is known only when the whole reply has come.
func (d *decoder) end() {
	re := d.re
	re.Content, re.Reasoning = d.content.String(), d.reasoning.String()
	re.Server = re.closing.last.times()
	re.closing.usageSeen = d.seen && !d.textAfter && d.atEnd
	if d.idleAtFirst || d.idle > 1+int(re.Events)/20 { // each of these events brought a token, so the usage does not count along
		re.countByEvent()
	}
	if re.flushed() { // the times do not say when the tokens were generated
		re.FirstReadEvents = re.Events
		if re.Tokens != nil {
			re.FirstReadTokens = new(*re.Tokens)
		}
	}
	if !d.allIDs || (re.CompletionTokens != nil && int64(len(re.TokenIDs)) != *re.CompletionTokens) {
		re.TokenIDs = nil
	}
}

// fail records the first failure of the stream as the status of the turn. What comes after it is still kept. body may be nil.
func (d *decoder) fail(status Status, why string, body []byte) {
	if d.re.Status != "" {
		return
	}
	d.re.Status, d.re.Err = status, d.clean(why)
	if body != nil {
		d.re.ErrorBody = new(d.clean(strings.ToValidUTF8(string(body[:min(len(body), MaxErrorBody)]), "\ufffd")))
	}
}

// event decodes the next event.
func (d *decoder) event(e *sseEvent) {
	re, i := d.re, d.events
	d.events++
	if re.FirstChunkNs == nil {
		re.FirstChunkNs = new(e.tNs)
	}
	data := bytes.TrimSpace(e.data)
	if len(data) == 0 || isDone(data) { // a heartbeat, or the end
		return
	}
	if d.shortcut(e, data) {
		return
	}
	d.like.before = nil
	ch := d.newChunk(e)
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
	usage, hasIDs := w.usage(), false
	if w.Choices.odd {
		d.fail(StatusDamaged, fmt.Sprintf("a choice of event %d is not an object", i+1), data)
	}
	for k := range w.Choices.list {
		c := &w.Choices.list[k]
		index := int(c.Index)
		if d.ours == nil {
			d.ours = &index
		}
		if k > 0 || index != *d.ours { // only one choice was asked for
			re.closing.others = true
			continue
		}
		hasIDs = d.choice(c, &ch, e.tNs) || hasIDs
	}
	if re.FinishReason != nil {
		re.closing.last.keep(w)
	}
	d.allIDs = d.allIDs && (hasIDs || ch.TextBytes == 0)
	d.textAfter = d.textAfter || ch.TextBytes > 0
	if usage == nil {
		if usage = w.fromTimings(); usage != nil {
			d.timed, d.replaced = true, false
		}
	} else {
		d.timed, d.replaced = false, d.timed
	}
	said := false
	if usage == nil {
		d.learn(data, nil)
	} else {
		c, bad, some := readUsage(json.RawMessage(usage))
		if bad == nil {
			d.learn(data, &c)
		}
		said = d.usage(c, bad, some, &ch, hasIDs)
	}
	d.uncounted = d.uncounted || ch.TextBytes > 0 && !said && !hasIDs
	re.count(&ch)
	re.Chunks = append(re.Chunks, ch)
}

// newChunk makes the chunk of an event that has not been decoded yet.
func (d *decoder) newChunk(e *sseEvent) Chunk {
	ch := Chunk{Seq: int32(len(d.re.Chunks) + 1), ReadSeq: e.seq, TNs: e.tNs, Kind: "other"}
	if e.delayNs >= 0 {
		ch.ReadDelayNs = new(e.delayNs)
	}
	return ch
}

// understand parses an event into d.chunk. It gives false when wb does not understand the event, and when the event reports a failure. i is
// the number of events before it.
func (d *decoder) understand(i int, e *sseEvent, data []byte) bool {
	if data[0] != '{' {
		d.chunk = wireChunk{}
		switch done := d.re.FinishReason != nil && d.seen; {
		case string(data) == "null":
			return true
		case e.foreign || done && !e.failure: // an event of a proxy, or a text after the end of the reply
			return true
		case e.failure: // some servers send the bare text of an error
			d.fail(StatusServerError, "the server failed mid-stream: "+Clip(string(data)), data)
		default:
			d.fail(StatusDamaged, fmt.Sprintf("event %d is not a JSON object: %s", i+1, Clip(string(data))), data)
		}
		return false
	}
	if err := parseChunk(data, &d.chunk); err != nil {
		d.fail(StatusDamaged, fmt.Sprintf("decode event %d: %v: %s", i+1, err, Clip(string(data))), data)
		return false
	}
	w := &d.chunk
	if !e.failure && !w.failed() {
		return true
	}
	why := reasonOrText(data)
	if !w.Error.tells() {
		for _, c := range w.Choices.list {
			if c.Error.tells() {
				why = reasonOrText(c.Error)
			}
		}
	}
	d.fail(StatusServerError, "the server failed mid-stream: "+why, data)
	return false
}

// choice adds a choice to the reply and to its chunk, and says whether it has token ids.
func (d *decoder) choice(c *wireChoice, ch *Chunk, tNs int64) (hasIDs bool) {
	re := d.re
	d.promptIDs(c.PromptIDs)
	ch.Kind = "empty"
	x := c.delta(d.content.Len()+d.reasoning.Len() > 0)
	if c.Text != (wireText{}) && (x == nil || !x.says()) { // servers that send both send the same text twice
		d.text(c.Text, ch, tNs)
	}
	if x != nil {
		if x.Role != "" {
			ch.Kind = "role"
		}
		if x.odd {
			d.fail(StatusDamaged, "a delta is neither an object nor a text", nil)
		}
		think := x.think()
		d.think(think.thinking+think.text, ch)
		for _, raw := range []RawValue{x.ToolCalls, x.FunctionCall} {
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
	hasIDs = c.TokenIDs != nil && (len(c.TokenIDs) > 0 || ch.TextBytes == 0)
	if hasIDs {
		if len(re.TokenIDs) < maxReplyIDs {
			re.TokenIDs = append(re.TokenIDs, c.TokenIDs...)
		}
		ch.Tokens = new(int32(len(c.TokenIDs)))
	}
	if f := c.FinishReason; f.text != "" && (re.FinishReason == nil || endedWell(*re.FinishReason)) {
		re.FinishReason, re.closing.finishWhy = &f.text, f.why
	}
	return hasIDs
}

// promptIDs takes the first list of prompt ids that comes. It ignores one with more ids than the bytes of the request can make.
func (d *decoder) promptIDs(ids tokenIDs) {
	if d.re.PromptIDs == nil && int64(len(ids)) <= d.re.RequestBytes+UsageSlack {
		d.re.PromptIDs = ids
	}
}

// fits says whether more text may be kept. Where it may not, the turn is damaged.
func (d *decoder) fits(text string) bool {
	if d.content.Len()+d.reasoning.Len()+len(text) <= maxReplyText {
		return true
	}
	d.fail(StatusDamaged, fmt.Sprintf("a reply of more than %d bytes of text", maxReplyText), nil)
	return false
}

// text adds content, and the reasoning that comes in parts of the content.
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

// think adds reasoning.
func (d *decoder) think(text string, ch *Chunk) {
	if text == "" || !d.fits(text) {
		return
	}
	ch.Kind, ch.TextBytes = "reasoning", ch.TextBytes+int32(len(text))
	d.reasoning.WriteString(text)
}

// maxEventTokens is how many tokens one event can carry.
const maxEventTokens = 1 << 16

// usage takes the counts of an event. said is true when they give the number of completion tokens so far. Running counts are kept too, so
// that a stream that is cut still says how far it got. bad and some are those of readUsage.
func (d *decoder) usage(c counts, bad []string, some bool, ch *Chunk, hasIDs bool) (said bool) {
	if !some && bad == nil {
		d.re.closing.usageEmpty = true
		return false
	}
	return d.count(c, bad, ch, hasIDs)
}

// count takes the counts of an event. bad lists those that cannot be right.
func (d *decoder) count(c counts, bad []string, ch *Chunk, hasIDs bool) (said bool) {
	re := d.re
	d.seen, d.textAfter, d.atEnd = true, false, ch.TextBytes == 0 || re.FinishReason != nil
	if n := c.completion; n != nil {
		grown := max(*n-d.counted, 0)
		if !hasIDs && len(d.chunk.Choices.list) > 0 && !d.uncounted && grown <= maxEventTokens {
			ch.Tokens = new(int32(grown))
			if grown == 0 && ch.TextBytes > 0 && re.FinishReason == nil {
				d.idleAtFirst = d.idleAtFirst || re.Events == 0
				d.idle++
			}
		}
		d.counted, d.uncounted = *n, false
	}
	if bad == nil && !d.replaced { // a count of an earlier event stays where this event has none
		keep := func(now, before *int64) *int64 {
			if now == nil || *now == 0 && before != nil {
				return before
			}
			return now
		}
		c.prompt, c.completion = keep(c.prompt, re.PromptTokens), keep(c.completion, re.CompletionTokens)
		c.cached, c.reasoning = keep(c.cached, re.CachedTokens), keep(c.reasoning, re.ReasoningTokens)
	}
	re.PromptTokens, re.CompletionTokens, re.CachedTokens, re.ReasoningTokens = c.prompt, c.completion, c.cached, c.reasoning
	re.closing.usageBad = bad
	// vLLM sends the usage in a last, separate event. Other servers send it with the finish reason.
	if len(d.chunk.Choices.list) == 0 {
		ch.Kind = "usage"
	}
	return c.completion != nil
}
