package client

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Flow says how the tokens of a reply reached the client: per-token figures are made of it. Only events that carried text or tokens count.
type Flow struct {
	Events          int32  // that carried text or tokens
	Reads           int32  // of the socket, which brought them; events of one read have one stamp
	FirstReadEvents int32  // of the events, those of the first of these reads
	Tokens          *int64 // that the events carried, by ids or running usage; nil when one did not say
	FirstReadTokens *int64 // of these, those of the first of these reads; nil likewise

	read int32 // the last of the reads
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

// Held says whether something between server and client holds events back and lets them through in blocks: far fewer reads than events,
// although the reply took so long that a server would have sent them one by one.
func (re *Reply) Held() bool {
	const per = 8
	if re.Events < fewEvents || re.LastNs == nil || *re.LastNs-re.SubmitNs <= longReplyNs {
		return false
	}
	return re.Reads == 1 || re.Events >= per*re.Reads || re.flushed()
}

// flushed says whether a reply was held back whole and then let go: each read brought several events, and all of them came within a small
// part of the time that passed before the first.
func (re *Reply) flushed() bool {
	const part = 20
	if re.Events < fewEvents || re.Reads*2 > re.Events || re.LastNs == nil {
		return false
	}
	before := *re.FirstNs - re.SubmitNs
	return before > longReplyNs && *re.LastNs-*re.FirstNs < before/part
}

// Fewer events than these, or a shorter reply, do not tell whether something held them back.
const (
	fewEvents   = 4
	longReplyNs = 20e6
)

// ByCharacter says whether the events brought a character each, which says nothing of tokens.
func (re *Reply) ByCharacter() bool {
	return utf8.RuneCountInString(re.Content)+utf8.RuneCountInString(re.Reasoning) < 2*int(re.Events)
}

// countByEvent forgets what the events said of their tokens, and what carried no text.
func (re *Reply) countByEvent() {
	re.Flow, re.FirstNs, re.LastNs = Flow{}, nil, nil
	for i := range re.Chunks {
		re.Chunks[i].Tokens = nil
		re.count(&re.Chunks[i])
	}
}

// count adds a chunk to the flow of the reply, where it carried text or tokens.
func (re *Reply) count(ch *Chunk) {
	if ch.TextBytes == 0 && (ch.Tokens == nil || *ch.Tokens == 0) {
		return
	}
	re.add(ch.Tokens, ch.ReadSeq)
	if re.FirstNs == nil {
		re.FirstNs = new(ch.TNs)
	}
	re.LastNs = new(ch.TNs)
}

// add counts an event that carried text or tokens and came with a read; tokens nil: it did not say how many.
func (f *Flow) add(tokens *int32, read int32) {
	f.Events++
	if read != f.read {
		f.Reads++
		f.read = read
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

// NoAnswer says what came in the place of an answer: the history goes on without one.
func (re *Reply) NoAnswer() string {
	what := "an empty reply"
	switch {
	case re.Reasoning != "":
		what = "nothing but reasoning"
	case re.toolBytes > 0:
		what = "nothing but tool calls"
	}
	hint := ""
	if re.FinishReason != nil && strings.EqualFold(*re.FinishReason, "length") {
		hint = fmt.Sprintf(" within %d completion tokens; --max-tokens allows more", *re.CompletionTokens)
	}
	return what + " came" + hint + "; the history goes on without an answer"
}
