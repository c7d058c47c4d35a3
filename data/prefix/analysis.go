package prefix

import (
	"slices"
)

// Cause says why a prompt token had to be computed.
type Cause string

// The causes of missed tokens. For each turn they add up to prompt tokens less cached tokens.
const (
	NewText         Cause = "new_text"                 // nobody sent this text before
	ChangedText     Cause = "changed_text"             // it was sent before, but something before it changed
	TemplateRewrote Cause = "template_rewrote_history" // the messages are the same and the chat template renders them otherwise
	Retokenized     Cause = "retokenized"              // the reply's text is the same and its token ids are not those that were generated
	BlockRounding   Cause = "block_rounding"           // shared, but short of a whole block
	LastToken       Cause = "last_token"               // the last token of a prompt is always computed; that of a reply never was
	Evicted         Cause = "evicted"                  // it was cached and had to make room
	Isolation       Cause = "isolation"                // new to its session; another of the same repeat has it, kept apart
	Unknown         Cause = "unknown"                  // it should have hit, and nothing known explains why not
)

// Causes lists all causes in the order in which they are told.
func Causes() []Cause {
	return []Cause{NewText, ChangedText, TemplateRewrote, Retokenized, BlockRounding, LastToken, Evicted, Isolation, Unknown}
}

// Text is one message of a prompt.
type Text struct{ Role, Content string }

// Turn is one request as the cache saw it.
type Turn struct {
	Prompt    []int32 // token ids
	Output    []int32 // generated ids, the last sampled one included; nil: not known
	Generated int     // number of generated tokens
	Salt      string
	Session   int     // turns of one session extend each other
	Messages  []Text  // what was rendered into the prompt
	Reply     string  // text of the answer, as it goes into the history
	Reasoning bool    // the answer had a part that does not go into the history
	Achieved  int     // cached tokens that the server reported; below 0: it did not say
	Apart     bool    // a warm-up: it takes room in the pool, and no other session is held against it
	Repeat    int     // of the workload: repeats play the same again for evidence, so that one is no traffic to another
	Foreign   bool    // the history has another text than was generated
	ReplyIDs  []int32 // ids of the reply's text, for a turn without Output: text that was sent, whatever its ids were when generated
}

// Divergence is where a prompt's text leaves what was sent before.
type Divergence struct {
	Message     int    // index of the message, from 0; below 0: not known, since the messages are the same
	Role        string // its role
	Character   int    // runes of it that are the same
	Before, Now string // the text around that place, then and now
	TokenIndex  int    // tokens that are the same
	SameSession bool   // compared with the turn before of the same session, not with another session's
}

// Analysis is what a turn's prompt could have reused and why the rest was computed. All figures are tokens.
type Analysis struct {
	PromptTokens int
	Common       int // longest common prefix with any earlier sequence of this cache
	BlockIdeal   int // whole blocks of that, at least one token computed
	TextIdeal    int // what equal text would allow, whatever blocks, template, tokeniser, pool and isolation do
	Predicted    int // what a cache of the server's block size and pool would hit
	Achieved     int // below 0: unknown
	Missed       map[Cause]int
	Divergence   *Divergence // nil when the prompt extends what was sent
}

// gram is how many tokens in a row count as text that was sent before.
const gram = 8

// History is everything a server has been sent, in order. It is not safe for several goroutines.
type History struct {
	size int
	pool *Cache
	own  map[string]*tree    // by salt, since the cache was cold, whatever the repeat: it is one cache
	all  map[int]*tree       // by repeat: whatever the salt, cold or not
	sent map[workload]grams  // runs of tokens that were sent since the cache was cold
	last map[int]*sequence   // of each session
	open map[int][]*sequence // of each session: those whose output is not known yet
}

// workload is what the sessions of a repeat sent under one salt.
type workload struct {
	salt   string
	repeat int
}

// grams are runs of tokens, by hash.
type grams map[uint64]struct{}

// sequence is what a request left in the cache: its prompt and its output less the last token.
type sequence struct {
	tokens   []int32 // nil in the trees, which have them in their edges
	length   int     // of tokens
	prompt   int
	first    bool   // it began a session
	messages []Text // with the reply
	turn     Turn
}

// NewHistory makes the history of a server with blocks of size tokens and a pool of capacity tokens (0: no limit known). One
// block of the pool is vLLM's own.
func NewHistory(size, capacity int) *History {
	blocks := 0
	if capacity > 0 {
		blocks = max(capacity/size-1, 1)
	}
	return &History{size: size, pool: NewCache(size, blocks), own: map[string]*tree{}, all: map[int]*tree{}, sent: map[workload]grams{},
		last: map[int]*sequence{}, open: map[int][]*sequence{}}
}

// Cold says that the cache was emptied: the server restarted or reset.
func (h *History) Cold() {
	h.pool.Reset()
	clear(h.own)
	clear(h.sent)
}

// EndRepeat lets go of what only the sessions of a repeat are compared with: all of them have ended.
func (h *History) EndRepeat(repeat int) {
	delete(h.all, repeat)
	for w := range h.sent {
		if w.repeat == repeat {
			delete(h.sent, w)
		}
	}
}

// everybody gives what the sessions of a repeat sent, whatever keeps them apart.
func (h *History) everybody(repeat int) *tree {
	if h.all[repeat] == nil {
		h.all[repeat] = &tree{}
	}
	return h.all[repeat]
}

// Analyse adds a turn and says what it could have reused. The outputs of turns before it must be known by then; a turn
// without Output is taken to have generated what the next prompt of its session shows.
func (h *History) Analyse(t Turn) Analysis {
	n := len(t.Prompt)
	v := Analysis{PromptTokens: n, Achieved: t.Achieved, Missed: map[Cause]int{}}
	prev := h.last[t.Session]
	h.open[t.Session] = slices.DeleteFunc(h.open[t.Session], func(s *sequence) bool { return h.guess(s, t) })
	own := h.own[t.Salt]
	if own == nil {
		own = &tree{}
		h.own[t.Salt] = own
	}
	common, near := own.find(t.Prompt)
	anyone, _ := h.everybody(t.Repeat).find(t.Prompt)
	v.Common = common
	v.BlockIdeal = IdealHit(common, n, h.size)

	// the reference for what changed: the turn before, or else the nearest of the same repeat in this cache
	ref := prev
	if ref == nil && near != nil && near.turn.Repeat == t.Repeat {
		ref = near
	}
	kind := h.divergence(&v, t, ref, common, prev != nil)

	s := h.pool.Open(t.Prompt, t.Salt)
	v.Predicted = s.Hit
	from := t.Achieved
	if from < 0 {
		from = v.Predicted
	}
	h.split(&v, t, ref, from, IdealHit(anyone, n, h.size), kind)
	v.TextIdeal = n - v.Missed[NewText] - v.Missed[ChangedText]
	h.add(t, own, s)
	return v
}

// split cuts the missed tokens [from, n) into causes. What the session itself explains goes first; of what is new to it, others of its
// repeat had the first shared tokens, which isolation kept from it.
func (h *History) split(v *Analysis, t Turn, ref *sequence, from, shared int, kind Cause) {
	n := len(t.Prompt)
	give := func(c Cause, a, b int) {
		if a = max(a, from); b > a {
			v.Missed[c] += b - a
		}
	}
	// [from, block ideal): it was cached by this server. What the model of the pool does not hit either had to make room.
	held := min(v.Predicted, v.BlockIdeal)
	give(Unknown, 0, held)
	give(Evicted, held, v.BlockIdeal)
	end := min(v.Common, n-1)
	give(BlockRounding, v.BlockIdeal, end)
	if v.Common >= n {
		give(LastToken, n-1, n)
		return
	}
	at := max(end, v.BlockIdeal)
	// the token that ended the reply was sampled and never computed
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
	if !v.Divergence.SameSession { // another session's: a change only if what follows is largely the same
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

// eachRun calls f for each longest stretch [i, j) of equal values.
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

// divergence finds what ended the common prefix: the cause of what was sent before and must be computed again.
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
		return NewText // all of it is there, and the rest came after
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

// around gives the runes that two texts share at their beginning, and a little of both around that place.
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

// find says for each token from at on whether it lies in a run of gram tokens that is there.
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

// guess takes the output of a turn from a later prompt of its session that begins as it did and has its answer as it was: the
// tokens that stand in its place. It gives true when there is nothing more to find out.
func (h *History) guess(s *sequence, t Turn) (done bool) {
	next := t.Prompt
	if s.turn.Foreign || s.turn.Reasoning { // what stands there is not what was generated
		return true
	}
	if m := len(s.turn.Messages); m < len(t.Messages) && t.Messages[m].Content != s.turn.Reply {
		return true // something else went into the history
	}
	if len(next) < s.prompt || LCP(s.tokens[:s.prompt], next) < s.prompt {
		return false
	}
	out := next[s.prompt:min(len(next), s.prompt+s.turn.Generated-1)]
	s.tokens = append(slices.Clone(s.tokens[:s.prompt]), out...)
	s.length = len(s.tokens)
	h.keep(s, h.own[s.turn.Salt])
	h.remember(s, s.prompt)
	q := h.pool.Open(s.tokens, s.turn.Salt) // what it holds is hit again, what follows is added
	if q.Reserve(len(s.tokens)) {
		q.Computed(len(s.tokens))
	}
	q.Close()
	return true
}

// add records what a turn left behind.
func (h *History) add(t Turn, own *tree, s *Seq) {
	kept := slices.Clone(t.Prompt)
	if len(t.Output) > 0 {
		kept = append(kept, t.Output[:len(t.Output)-1]...)
	}
	first := h.last[t.Session] == nil
	q := &sequence{tokens: kept, length: len(kept), first: first, prompt: len(t.Prompt), turn: t, messages: slices.Clone(t.Messages)}
	if t.Reply != "" { // an empty one is no message
		q.messages = append(q.messages, Text{"assistant", t.Reply})
	}
	need := max(len(kept), Reusable(len(t.Prompt), t.Generated))
	if s.Reserve(need) {
		s.Computed(len(t.Prompt))
		if len(kept) > len(t.Prompt) {
			s.Computed(len(kept), t.Output...)
		}
	}
	s.Close()
	known := 0 // of its first tokens; those of another repeat are not this one's
	if common, _ := h.everybody(t.Repeat).find(kept); h.sent[workload{t.Salt, t.Repeat}] != nil {
		commonHere, _ := own.find(kept)
		known = min(common, commonHere)
	}
	h.keep(q, own)
	h.remember(q, known)
	h.last[t.Session] = q
	if t.Output == nil && t.Generated > 1 {
		h.open[t.Session] = append(h.open[t.Session], q)
		h.sent[workload{t.Salt, t.Repeat}].add(t.ReplyIDs, 0)
	}
}

// keep puts a sequence into the trees. They hold no more of it than another session is held against: its messages, if it began one.
func (h *History) keep(s *sequence, own *tree) {
	light := &sequence{length: s.length, prompt: s.prompt, first: s.first,
		turn: Turn{Repeat: s.turn.Repeat, Salt: s.turn.Salt, Foreign: s.turn.Foreign, Reasoning: s.turn.Reasoning}}
	if n := len(s.turn.Output); n > 0 {
		light.turn.Output = s.turn.Output[n-1:]
	}
	if s.first {
		light.messages = s.messages
	}
	if own != nil {
		own.insert(light, s.tokens)
	}
	if !s.turn.Apart {
		h.everybody(s.turn.Repeat).insert(light, s.tokens)
	}
}

// Forget lets go of what only the turns of a session, or of its salt, are held against. The salt "" is everybody's and stays.
func (h *History) Forget(session int, salt string) {
	delete(h.last, session)
	delete(h.open, session)
	if salt != "" {
		delete(h.own, salt)
		for w := range h.sent {
			if w.salt == salt {
				delete(h.sent, w)
			}
		}
	}
}

// remember notes a sequence's runs of tokens behind the first known ones.
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

// tree is a radix tree over token sequences: it finds the longest prefix that any of them shares with a prompt.
type tree struct{ root node }

type node struct {
	edge     []int32 // tokens on the way here
	seq      *sequence
	children map[int32]*node
}

// find gives the length of the longest common prefix and a sequence that has it, the one added last where several do.
func (t *tree) find(tokens []int32) (int, *sequence) {
	n, length := &t.root, 0
	for {
		c, ok := n.children[at(tokens, length)]
		if length >= len(tokens) || !ok {
			return length, n.seq
		}
		k := LCP(c.edge, tokens[length:])
		length += k
		if k < len(c.edge) {
			return length, c.seq
		}
		n = c
	}
}

func at(tokens []int32, i int) int32 {
	if i >= len(tokens) {
		return -1
	}
	return tokens[i]
}

// insert adds a sequence with its tokens. Nodes on its way point to the last one that began a session.
func (t *tree) insert(s *sequence, tokens []int32) {
	n, rest := &t.root, tokens
	point := func(n *node) {
		if n.seq == nil || s.first {
			n.seq = s
		}
	}
	point(n)
	for len(rest) > 0 {
		if n.children == nil {
			n.children = map[int32]*node{}
		}
		c, ok := n.children[rest[0]]
		if !ok {
			n.children[rest[0]] = &node{edge: slices.Clone(rest), seq: s}
			return
		}
		k := LCP(c.edge, rest)
		if k < len(c.edge) {
			upper := &node{edge: c.edge[:k], seq: c.seq, children: map[int32]*node{c.edge[k]: c}}
			c.edge = c.edge[k:]
			n.children[rest[0]] = upper
			c = upper
		}
		point(c)
		n, rest = c, rest[k:]
	}
}
