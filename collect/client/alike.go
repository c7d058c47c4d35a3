package client

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// alike reads an event that differs from an earlier one only in its text and its running counts, as nearly all events of a stream do.
// Reading JSON takes ten times as long. At some ten thousand events per second that would delay the stamps of other streams.
type alike struct {
	before []byte // an earlier event, which was read as JSON; nil: none was learned
	vary   []part // the values of before that may differ in the next event, in order
	counts counts // the usage of before
}

// part is a value in an event: data[from:to].
type part struct {
	from, to int
	kind     varying
}

type varying int

const (
	varyText varying = iota // a text with its quotes
	varyCompletion
	varyTotal
)

// learn remembers an event that has this text, and this usage unless that is nil. It remembers nothing where it cannot find the places of
// these values for certain.
func (a *alike) learn(data []byte, text string, usage *counts) {
	a.vary = a.vary[:0]
	at, ok := only(data, `"content":`)
	if !ok || text == "" {
		return
	}
	literal, ok := quoted(data[at:])
	if !ok || string(data[at+1:at+literal-1]) != text {
		return
	}
	a.vary = append(a.vary, part{at, at + literal, varyText})
	if usage != nil {
		if usage.completion == nil {
			return
		}
		at, ok := only(data, `"completion_tokens":`)
		n, digits := number(data[at:])
		if !ok || digits == 0 || n != *usage.completion {
			return
		}
		a.vary = append(a.vary, part{at, at + digits, varyCompletion})
		const total = `"total_tokens":`
		if at, ok := only(data, total); ok {
			_, digits := number(data[at:])
			if digits == 0 {
				return
			}
			a.vary = append(a.vary, part{at, at + digits, varyTotal})
		} else if bytes.Contains(data, []byte(total)) {
			return
		}
		a.counts = *usage
	}
	slices.SortFunc(a.vary, func(x, y part) int { return x.from - y.from })
	a.before = append(a.before[:0], data...)
}

// read gives the text and the completion tokens of an event that is like the remembered one. completion is nil where that one had no usage.
// ok is false for any other event.
func (a *alike) read(data []byte) (text string, completion *int64, ok bool) {
	if a.before == nil {
		return "", nil, false
	}
	at, same := 0, 0 // positions in the event and in the remembered one
	for _, v := range a.vary {
		if fixed := a.before[same:v.from]; !bytes.HasPrefix(data[at:], fixed) {
			return "", nil, false
		}
		at += v.from - same
		same = v.to
		if v.kind == varyText {
			n, ok := quoted(data[at:])
			if !ok || n <= 2 {
				return "", nil, false
			}
			text = string(data[at+1 : at+n-1])
			at += n
			continue
		}
		n, digits := number(data[at:])
		if digits == 0 {
			return "", nil, false
		}
		if v.kind == varyCompletion {
			completion = &n
		}
		at += digits
	}
	return text, completion, bytes.Equal(data[at:], a.before[same:])
}

// only finds the value of a member whose name occurs exactly once in the data.
func only(data []byte, name string) (at int, ok bool) {
	i := bytes.Index(data, []byte(name))
	if i < 0 || bytes.Contains(data[i+1:], []byte(name)) {
		return 0, false
	}
	at = i + len(name)
	for at < len(data) && data[at] == ' ' {
		at++
	}
	return at, true
}

// quoted gives the length of the JSON string at the start of data, quotes included. ok is false for a string with escapes, which is left to
// the JSON reader.
func quoted(data []byte) (length int, ok bool) {
	if len(data) == 0 || data[0] != '"' {
		return 0, false
	}
	end := bytes.IndexByte(data[1:], '"')
	if end < 0 {
		return 0, false
	}
	text := data[1 : 1+end]
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return 0, false
		}
	}
	return end + 2, utf8.Valid(text)
}

// number reads a count of at most eight digits at the start of data. digits is 0 when there is none.
func number(data []byte) (n int64, digits int) {
	for digits < len(data) && data[digits] >= '0' && data[digits] <= '9' {
		n = n*10 + int64(data[digits]-'0')
		digits++
	}
	fraction := digits < len(data) && bytes.IndexByte([]byte(".eE"), data[digits]) >= 0
	if digits > 8 || digits > 1 && data[0] == '0' || n > MaxTokenCount || fraction {
		return 0, 0
	}
	return n, digits
}

// shortcut decodes an event that is like the remembered one. It gives false, and does nothing, for any other event.
func (d *decoder) shortcut(e *sseEvent, data []byte) bool {
	if e.failure || e.foreign {
		return false
	}
	text, completion, ok := d.like.read(data)
	if !ok {
		return false
	}
	ch := d.newChunk(e)
	ch.Kind = "empty"
	d.text(wireText{text: text}, &ch, e.tNs)
	d.allIDs = d.allIDs && ch.TextBytes == 0
	d.textAfter = d.textAfter || ch.TextBytes > 0
	said := false
	if completion != nil {
		c := d.like.counts
		c.completion = completion
		said = d.count(c, nil, &ch, false)
	}
	d.uncounted = d.uncounted || ch.TextBytes > 0 && !said
	d.re.count(&ch)
	d.re.Chunks = append(d.re.Chunks, ch)
	return true
}

// learn remembers an event whose only content is a piece of text, so that events like it need not be read as JSON. usage holds its counts,
// nil for none.
func (d *decoder) learn(data []byte, usage *counts) {
	w := &d.chunk
	if len(w.Choices.list) != 1 || int(w.Choices.list[0].Index) != *d.ours {
		return
	}
	choice := &w.Choices.list[0]
	x := choice.Delta
	if x == nil || choice.Message != nil || choice.FinishReason.text != "" ||
		choice.TokenIDs != nil || choice.PromptIDs != nil || w.PromptIDs != nil ||
		choice.Text != (wireText{}) || x.Content.thinking != "" || x.Content.odd || x.Refusal != (wireText{}) || x.think() != (wireText{}) ||
		len(x.ToolCalls)+len(x.FunctionCall) > 0 {
		return
	}
	d.like.learn(data, x.Content.text, usage)
}
