package client

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Flow says how the tokens of a reply reached the client. The figures per token are made from it. Only events with text or tokens count.
type Flow struct {
	Events          int32  // events with text or tokens
	Reads           int32  // socket reads that brought them; events of one read have the same stamp
	FirstReadEvents int32  // events of the first of these reads
	Tokens          *int64 // tokens of the events, by their ids or the running usage; nil when an event did not say
	FirstReadTokens *int64 // tokens of the first of these reads; nil when Tokens is

	read int32 // number of the last of the reads
}

// DecodeRate gives the tokens per second after the first read, as the view turns does. It uses the token counts of the events. Without
// them it counts one token per event, where there were about as many events as tokens. ok is false where neither is known.
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

// Held says whether something between server and client holds events back and lets them through in blocks. Then there are far fewer reads
// than events, although the reply took so long that a server would have sent the events one by one.
func (re *Reply) Held() bool {
	const perRead = 8 // events
	if re.Events < fewEvents || re.LastNs == nil || *re.LastNs-re.SubmitNs <= longReplyNs {
		return false
	}
	return re.Reads == 1 || re.Events >= perRead*re.Reads || re.flushed()
}

// flushed says whether the whole reply was held back and then sent at once. Then each read brought several events, and all events came
// within a twentieth of the time that passed before the first, or within a fourth of the time that the server says it decoded.
func (re *Reply) flushed() bool {
	const part = 20
	if re.Events < fewEvents || re.Reads*2 > re.Events || re.LastNs == nil {
		return false
	}
	before, took := *re.FirstNs-re.SubmitNs, *re.LastNs-*re.FirstNs
	if re.Server != nil && re.Server.DecodeMs != nil && *re.Server.DecodeMs*1e6 > longReplyNs { // the server knows how long it decoded
		return float64(took) < *re.Server.DecodeMs*1e6/4
	}
	return before > longReplyNs && took < before/part
}

// A reply with fewer events, or a shorter one, does not show whether something held its events back.
const (
	fewEvents   = 4
	longReplyNs = 20e6
)

// ByCharacter says whether each event brought about one character. Then the events say nothing about tokens.
func (re *Reply) ByCharacter() bool {
	return utf8.RuneCountInString(re.Content)+utf8.RuneCountInString(re.Reasoning) < 2*int(re.Events)
}

// countByEvent counts the flow again without the token counts of the events. Events without text then do not count.
func (re *Reply) countByEvent() {
	re.Flow, re.FirstNs, re.LastNs = Flow{}, nil, nil
	for i := range re.Chunks {
		re.Chunks[i].Tokens = nil
		re.count(&re.Chunks[i])
	}
}

// count adds a chunk to the flow of the reply, if it has text or tokens.
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

// add counts an event that has text or tokens. read is the number of the read that it came with. tokens is nil when the event did not say
// how many it has.
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

// NoAnswer says what came instead of an answer, for a reply without content.
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
