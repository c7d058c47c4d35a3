package prefix

import (
	"cmp"
	"slices"
)

// Cause is why a prompt token had to be computed.
type Cause string

// The causes of missed tokens. For each turn they add up to its prompt tokens minus its cached tokens.
const (
	NewText         Cause = "new_text"                 // the text was never sent before
	ChangedText     Cause = "changed_text"             // the text was sent before, but something in front of it changed
	TemplateRewrote Cause = "template_rewrote_history" // the messages are equal, but the chat template renders them differently
	Retokenized     Cause = "retokenized"              // the text of the reply is equal, but it has other token ids than those generated
	BlockRounding   Cause = "block_rounding"           // shared, but not a whole block
	LastToken       Cause = "last_token"               // the last token of a prompt is always computed; the last token of a reply never was
	Evicted         Cause = "evicted"                  // it was cached and was evicted
	Isolation       Cause = "isolation"                // another session of the same repeat sent it, but isolation keeps them apart
	SlotTaken       Cause = "slot_taken"               // another prompt took the slot, and the server did not bring this one back
	HostMemoryFull  Cause = "host_memory_full"         // it was saved to host memory, which had no room for it any more
	SmallShare      Cause = "small_share"              // held in another slot or in host memory, but too little of it is shared to be used
	NotRestorable   Cause = "not_restorable"           // held, but a sliding window or a recurrent state cannot be taken up there
	ContextShifted  Cause = "context_shifted"          // the server shifted its context, so that the beginning was thrown away
	HybridState     Cause = "hybrid_state"             // held, but the state of a hybrid model is cached at certain places only
	Unknown         Cause = "unknown"                  // it should have hit, and no cause is known
)

// Causes lists all causes in the order in which reports show them.
func Causes() []Cause {
	return []Cause{NewText, ChangedText, TemplateRewrote, Retokenized, BlockRounding, LastToken, Evicted, SlotTaken, HostMemoryFull,
		SmallShare, NotRestorable, ContextShifted, HybridState, Isolation, Unknown}
}

// Text is one message of a prompt.
type Text struct{ Role, Content string }

// Turn is one request as the cache saw it.
type Turn struct {
	Prompt    []int32 // token ids
	Output    []int32 // generated ids, including the last sampled one; nil when not known
	Guessed   bool    // Output holds the ids of the reply's text, and the generated ids may differ
	Generated int     // number of generated tokens
	Salt      string
	Session   int     // turns of one session extend each other
	Messages  []Text  // the messages of the prompt
	Reply     string  // text of the reply, as it goes into the history
	Reasoning bool    // the reply had a part that does not go into the history
	Achieved  int     // cached tokens that the server reported; negative when it reported none
	Apart     bool    // a warm-up: it takes room in the pool, but is not compared with other sessions
	Repeat    int     // number of the repeat: text of one repeat does not count as sent before in another
	Foreign   bool    // the history holds another text than the generated one
	ReplyIDs  []int32 // token ids of the reply's text, for a turn without Output; they may differ from the generated ids
}

// Divergence is the place where the text of a prompt begins to differ from an earlier prompt.
type Divergence struct {
	Message     int    // index of the message, from 0; negative when the messages are equal
	Role        string // role of that message
	Character   int    // equal runes at the beginning of the message
	Before, Now string // the text around that place, in the earlier prompt and in this one
	TokenIndex  int    // equal tokens at the beginning of the prompt
	SameSession bool   // compared with the previous turn of the same session, not with another session
}

// Analysis tells how much of a prompt could have come from the cache and why the rest was computed. All figures are tokens.
type Analysis struct {
	PromptTokens int
	Common       int // longest common prefix with any earlier sequence in this cache
	BlockIdeal   int // whole blocks of Common, with at least one token left to compute
	TextIdeal    int // tokens of text that was sent before, if blocks, template, tokeniser, pool and isolation cost nothing
	Predicted    int // the hit in a cache with the server's block size and pool
	Achieved     int // cached tokens that the server reported; negative when unknown
	Missed       map[Cause]int
	Divergence   *Divergence // nil when the prompt extends an earlier one
}

// gram is the length of a run of tokens, in tokens, that counts as text sent before when it occurs again.
const gram = 8

// History is everything that was sent to a server, in order. It is not safe for use by several goroutines.
type History struct {
	size     int
	align    int                 // a hit ends at a multiple of this many tokens; 0: at any block
	unheld   Cause               // of tokens that the cache holds and does not give back
	cache    cacheModel          // of the server
	blind    bool                // requests overlap: the model of the cache does not know which slots were free
	bySalt   map[string]*tree    // what was sent with each salt since the cache was cold, over all repeats
	byRepeat map[int]*tree       // what was sent in each repeat, over all salts, cold or not
	sent     map[workload]grams  // runs of tokens that were sent since the cache was cold
	last     map[int]*sequence   // last sequence of each session
	open     map[int][]*sequence // sequences of each session whose output is not known yet
}

// workload names what the sessions of one repeat send with one salt.
type workload struct {
	salt   string
	repeat int
}

// grams is a set of runs of tokens, by hash.
type grams map[uint64]struct{}

// sequence is what a request left in the cache: its prompt and its output without the last token.
type sequence struct {
	tokens   []int32 // nil in the trees, whose edges hold the tokens
	length   int     // tokens of prompt and output
	prompt   int     // tokens of the prompt
	first    bool    // it began a session
	messages []Text  // of the prompt, and the reply
	turn     Turn
}

// NewHistory makes the history of a server. vLLM keeps one block of the pool for itself.
func NewHistory(o Options) *History {
	h := &History{
		size: o.UnitTokens, align: o.AlignTokens, unheld: Unknown, bySalt: map[string]*tree{}, byRepeat: map[int]*tree{},
		sent: map[workload]grams{}, last: map[int]*sequence{}, open: map[int][]*sequence{},
	}
	if o.Hybrid {
		h.unheld = HybridState
	}
	if o.Slots != nil {
		h.cache, h.blind = newSlots(*o.Slots), o.Overlapping
		if o.Slots.Partial {
			h.unheld = NotRestorable
		}
		return h
	}
	blocks := 0
	if o.CapacityTokens > 0 {
		block := cmp.Or(o.BlockTokens, o.UnitTokens)
		blocks = max((o.CapacityTokens-block)/o.UnitTokens, 1)
	}
	h.cache = pool{NewCache(o.UnitTokens, blocks)}
	return h
}

// Cold tells that the cache was emptied: the server was restarted or reset.
func (h *History) Cold() {
	h.cache.reset()
	clear(h.bySalt)
	clear(h.sent)
}

// EndRepeat frees what only the sessions of this repeat are compared with. All of them must have ended.
func (h *History) EndRepeat(repeat int) {
	delete(h.byRepeat, repeat)
	for w := range h.sent {
		if w.repeat == repeat {
			delete(h.sent, w)
		}
	}
}

// ofRepeat returns everything that the sessions of a repeat sent, whatever isolates them.
func (h *History) ofRepeat(repeat int) *tree {
	if h.byRepeat[repeat] == nil {
		h.byRepeat[repeat] = &tree{}
	}
	return h.byRepeat[repeat]
}

// Analyse adds a turn and returns what it could have reused. Turns must be added in the order in which they were sent, with the outputs
// of earlier turns. When a turn has no Output, its output is read from a later prompt of its session.
func (h *History) Analyse(t Turn) Analysis {
	n := len(t.Prompt)
	v := Analysis{PromptTokens: n, Achieved: t.Achieved, Missed: map[Cause]int{}}
	prev := h.last[t.Session]
	h.open[t.Session] = slices.DeleteFunc(h.open[t.Session], func(s *sequence) bool { return h.findOutput(s, t) })
	cached := h.bySalt[t.Salt]
	if cached == nil {
		cached = &tree{}
		h.bySalt[t.Salt] = cached
	}
	common, near := cached.find(t.Prompt)
	inRepeat, _ := h.ofRepeat(t.Repeat).find(t.Prompt)
	v.Common = common
	v.BlockIdeal = IdealHit(common, n, h.size)

	// what changed is found by comparing with the previous turn, or else with the nearest turn of the same repeat in this cache
	ref := prev
	if ref == nil && near != nil && near.turn.Repeat == t.Repeat {
		ref = near
	}
	kind := h.divergence(&v, t, ref, common, prev != nil)

	held, leave := h.cache.look(t.Prompt, t.Salt)
	v.Predicted = held
	if h.align > 0 {
		v.Predicted -= v.Predicted % h.align
	}
	from := t.Achieved
	if from < 0 {
		from = v.Predicted
	}
	h.unfound(&v, t, ref, from, held)
	h.split(&v, t, ref, from, IdealHit(inRepeat, n, h.size), kind)
	v.TextIdeal = n - v.Missed[NewText] - v.Missed[ChangedText]
	h.add(t, cached, leave)
	return v
}

// unfound assigns a cause to those of the missed tokens [from, n) that the server computed before and that the prompt shares. held tokens
// are still in the cache by its model.
func (h *History) unfound(v *Analysis, t Turn, ref *sequence, from, held int) {
	give := func(c Cause, a, b int) {
		if a = max(a, from); b > a {
			v.Missed[c] += b - a
		}
	}
	held = min(held, v.BlockIdeal)
	found := min(v.Predicted, held)
	cause := h.unheld
	if h.align > 0 && from%h.align != 0 { // the rule of alignment does not explain such a hit
		cause = Unknown
	}
	if ref != nil && ref.turn.Guessed && from >= ref.prompt && from < ref.length { // the reply's text has other ids than those generated
		cause = Retokenized
	}
	give(cause, 0, found)
	give(HybridState, found, held)
	switch {
	case v.BlockIdeal <= held:
	case h.blind: // which slots were free is not known, so that nothing is known of what they lost
		give(Unknown, held, v.BlockIdeal)
	default:
		give(h.cache.why(t.Prompt, held), held, v.BlockIdeal)
	}
}

// split assigns a cause to each of the missed tokens [from, n) beyond those that the server computed before. Causes within the session come
// first. Of the tokens that are new to the session, those below shared were sent by another session of the repeat, so isolation is their
// cause.
func (h *History) split(v *Analysis, t Turn, ref *sequence, from, shared int, kind Cause) {
	n := len(t.Prompt)
	give := func(c Cause, a, b int) {
		if a = max(a, from); b > a {
			v.Missed[c] += b - a
		}
	}
	end := min(v.Common, n-1)
	give(BlockRounding, v.BlockIdeal, end)
	if v.Common >= n {
		give(LastToken, n-1, n)
		return
	}
	at := max(end, v.BlockIdeal)
	// the token that ended the reply was sampled, but never computed
	if ref != nil && at == ref.length && len(ref.turn.Output) > 0 && ref.turn.Output[len(ref.turn.Output)-1] == t.Prompt[at] {
		give(LastToken, at, at+1)
		at++
	}
	isNew := func(a, b int) {
		give(Isolation, a, min(b, shared))
		give(NewText, max(a, shared), b)
	}
	if kind == NewText {
		isNew(at, n)
		return
	}
	seen := h.sent[workload{t.Salt, t.Repeat}].find(t.Prompt, at)
	if !v.Divergence.SameSession { // compared with another session, it is a change only if enough of the text after it was sent before
		again := 0
		for _, s := range seen {
			if s {
				again++
			}
		}
		if again < 2*gram {
			v.Divergence = nil
			isNew(at, n)
			return
		}
	}
	eachRun(seen, func(i, j int, again bool) {
		if again {
			give(kind, at+i, at+j)
		} else {
			isNew(at+i, at+j)
		}
	})
}

// eachRun calls f for each stretch [i, j) of equal values.
func eachRun(x []bool, f func(i, j int, value bool)) {
	for i := 0; i < len(x); {
		j := i
		for j < len(x) && x[j] == x[i] {
			j++
		}
		f(i, j, x[i])
		i = j
	}
}

// divergence finds out what ended the common prefix. It returns the cause for tokens that were sent before and must be computed again.
func (h *History) divergence(v *Analysis, t Turn, ref *sequence, common int, sameSession bool) Cause {
	if ref == nil {
		return NewText
	}
	m := 0
	for m < len(ref.messages) && m < len(t.Messages) && ref.messages[m] == t.Messages[m] {
		m++
	}
	if m < len(ref.messages) && (m < len(t.Messages) || sameSession) {
		was, now := ref.messages[m], Text{}
		if m < len(t.Messages) {
			now = t.Messages[m]
		}
		d := &Divergence{Message: m, Role: now.Role, TokenIndex: common, SameSession: sameSession}
		if was.Role == now.Role {
			d.Character, d.Before, d.Now = around(was.Content, now.Content)
		} else {
			_, d.Before, d.Now = around(was.Role+": "+was.Content, now.Role+": "+now.Content)
		}
		v.Divergence = d
		return ChangedText
	}
	if !sameSession || common >= ref.length || (ref.turn.Foreign && common >= ref.prompt) {
		return NewText // the prompt holds all of the earlier sequence, and the rest follows it
	}
	v.Divergence = &Divergence{Message: -1, TokenIndex: common, SameSession: true}
	if common < ref.prompt || ref.turn.Reasoning {
		return TemplateRewrote
	}
	v.Divergence.Message, v.Divergence.Role = len(ref.messages)-1, "assistant"
	if ref.turn.Output == nil {
		return Unknown
	}
	return Retokenized
}

// around returns how many runes two texts share at their beginning, and a little of both texts around that place.
func around(a, b string) (same int, wasText, nowText string) {
	x, y := []rune(a), []rune(b)
	for same < len(x) && same < len(y) && x[same] == y[same] {
		same++
	}
	const before, after = 24, 40
	cut := func(r []rune) string {
		from, to := max(0, same-before), min(len(r), same+after)
		s := string(r[min(from, len(r)):to])
		if from > 0 {
			s = "…" + s
		}
		if to < len(r) {
			s += "…"
		}
		return s
	}
	return same, cut(x), cut(y)
}

// find reports for each token from at on whether it is part of a run of gram tokens in the set.
func (g grams) find(tokens []int32, at int) []bool {
	out := make([]bool, len(tokens)-at)
	for i := max(0, at-gram+1); i+gram <= len(tokens); i++ {
		if _, ok := g[gramHash(tokens[i:i+gram])]; ok {
			for k := max(i, at); k < i+gram; k++ {
				out[k-at] = true
			}
		}
	}
	return out
}

func gramHash(t []int32) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range t {
		h = (h ^ uint64(uint32(x))) * 1099511628211
		h ^= h >> 29
	}
	return h
}

// findOutput reads the output of an earlier turn s from the prompt of a later turn t of its session. The prompt must begin with that of
// s and hold its reply unchanged. The output is then what follows the prompt of s. It returns true when it found the output, and when
// it can never be found.
func (h *History) findOutput(s *sequence, t Turn) (done bool) {
	next := t.Prompt
	if s.turn.Foreign || s.turn.Reasoning { // the history does not hold what was generated
		return true
	}
	if m := len(s.turn.Messages); m < len(t.Messages) && t.Messages[m].Content != s.turn.Reply {
		return true // something else went into the history
	}
	if len(next) < s.prompt || LCP(s.tokens[:s.prompt], next) < s.prompt {
		return false
	}
	out := next[s.prompt:min(len(next), s.prompt+s.turn.Generated-1)]
	earlier := s.tokens
	s.tokens = append(slices.Clone(s.tokens[:s.prompt]), out...)
	s.length = len(s.tokens)
	h.keep(s, h.bySalt[s.turn.Salt])
	h.remember(s, s.prompt)
	h.cache.found(earlier, s.tokens, s.turn.Salt)
	return true
}

// add records what a turn left in the cache.
func (h *History) add(t Turn, cached *tree, leave func(kept []int32, need int, output []int32)) {
	kept := slices.Clone(t.Prompt)
	if len(t.Output) > 0 {
		kept = append(kept, t.Output[:len(t.Output)-1]...)
	}
	first := h.last[t.Session] == nil
	q := &sequence{tokens: kept, length: len(kept), first: first, prompt: len(t.Prompt), turn: t, messages: slices.Clone(t.Messages)}
	if t.Reply != "" { // an empty reply adds no message
		q.messages = append(q.messages, Text{"assistant", t.Reply})
	}
	leave(kept, max(len(kept), Reusable(len(t.Prompt), t.Generated)), t.Output)
	known := 0 // how many of its first tokens were sent before in this repeat with this salt
	if common, _ := h.ofRepeat(t.Repeat).find(kept); h.sent[workload{t.Salt, t.Repeat}] != nil {
		commonHere, _ := cached.find(kept)
		known = min(common, commonHere)
	}
	h.keep(q, cached)
	h.remember(q, known)
	h.last[t.Session] = q
	if t.Output == nil && t.Generated > 1 {
		h.open[t.Session] = append(h.open[t.Session], q)
		h.sent[workload{t.Salt, t.Repeat}].add(t.ReplyIDs, 0)
	}
}

// keep puts a sequence into the trees. They hold only what other sessions are compared with: its tokens, and its messages if it began a
// session.
func (h *History) keep(s *sequence, cached *tree) {
	light := &sequence{length: s.length, prompt: s.prompt, first: s.first,
		turn: Turn{Repeat: s.turn.Repeat, Salt: s.turn.Salt, Foreign: s.turn.Foreign, Reasoning: s.turn.Reasoning}}
	if n := len(s.turn.Output); n > 0 {
		light.turn.Output = s.turn.Output[n-1:]
	}
	if s.first {
		light.messages = s.messages
	}
	if cached != nil {
		cached.insert(light, s.tokens)
	}
	if !s.turn.Apart {
		h.ofRepeat(s.turn.Repeat).insert(light, s.tokens)
	}
}

// Forget frees what only the turns of this session or this salt are compared with. The salt "" is shared by all sessions, so its data
// stays.
func (h *History) Forget(session int, salt string) {
	delete(h.last, session)
	delete(h.open, session)
	if salt != "" {
		delete(h.bySalt, salt)
		for w := range h.sent {
			if w.salt == salt {
				delete(h.sent, w)
			}
		}
	}
}

// remember adds the runs of tokens of a sequence to the set. It skips the first known tokens, whose runs are in the set already.
func (h *History) remember(s *sequence, known int) {
	w := workload{s.turn.Salt, s.turn.Repeat}
	if h.sent[w] == nil {
		h.sent[w] = grams{}
	}
	h.sent[w].add(s.tokens, known)
}

func (g grams) add(tokens []int32, from int) {
	for i := max(0, from-gram+1); i+gram <= len(tokens); i++ {
		g[gramHash(tokens[i:i+gram])] = struct{}{}
	}
}
