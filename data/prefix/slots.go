package prefix

import (
	"math"
	"slices"
)

// SlotOptions describe a cache of slots: llama.cpp's. A slot keeps the tokens of its last request. The next request reuses the longest
// common prefix, token by token. Prompts that leave a slot go to host memory and come back from there.
// The rules are those of tools/server/server-context.cpp (get_available_slot) and server-task.cpp (server_prompt_cache) of b11434.
type SlotOptions struct {
	Slots         int     // at least 1
	ContextTokens int     // of one slot; 0: not known
	HostBytes     int64   // host memory for prompts; 0: none, negative: as many tokens as the context of all slots
	TokenBytes    int64   // memory of one token's keys and values; 0: not known, so that host memory never fills up
	Similarity    float32 // a slot is taken for a prompt of which it holds more than this part; 0: the one used longest ago is taken
	SaveIdle      bool    // prompts of idle slots are saved when another request begins
	Unified       bool    // the slots share one KV cache, so that idle ones are emptied into host memory
	Partial       bool    // a sliding window or a recurrent state: only checkpoints can be taken up
}

// slots is the model of such a cache.
type slots struct {
	o    SlotOptions
	all  []*slot
	host [][]int32 // prompts in host memory, oldest first
	lost []loss    // what was thrown away, oldest first
	now  int       // number of requests so far
}

type slot struct {
	tokens []int32
	used   int // number of its last request; -1: none
}

// loss is a sequence that the cache no longer holds, and why.
type loss struct {
	tokens []int32
	cause  Cause
}

// mostLosses is how many losses are remembered.
const mostLosses = 256

func newSlots(o SlotOptions) *slots {
	s := &slots{o: o}
	s.reset()
	return s
}

// reset empties the cache, as a restart does.
func (s *slots) reset() {
	s.all, s.host, s.lost, s.now = nil, nil, nil, 0
	for range max(s.o.Slots, 1) {
		s.all = append(s.all, &slot{used: -1})
	}
}

// look finds a slot for a prompt.
func (s *slots) look(prompt []int32, _ string) (hit int, leave func(kept []int32, need int, output []int32)) {
	taken, changed := s.choose(prompt)
	if changed && s.o.HostBytes != 0 {
		s.save(taken.tokens)
		s.load(taken, prompt)
	}
	s.now++
	taken.used = s.now
	hit = LCP(taken.tokens, prompt)
	if hit == len(prompt) && hit > 0 { // at least one token is computed
		hit--
	}
	for _, other := range s.all {
		if other != taken && s.o.HostBytes != 0 && s.o.SaveIdle {
			s.save(other.tokens)
			if s.o.Unified {
				other.tokens = nil
			}
		}
	}
	return hit, func(kept []int32, _ int, _ []int32) { s.leave(taken, kept) }
}

// choose gives the slot whose tokens are most of the prompt, or else the one that was used longest ago. changed says that the slot loses
// so much that its prompt is saved first.
func (s *slots) choose(prompt []int32) (taken *slot, changed bool) {
	best := float32(0)
	for _, x := range s.all {
		if len(x.tokens) == 0 || s.o.Similarity == 0 {
			continue
		}
		if sim := float32(LCP(x.tokens, prompt)) / float32(len(prompt)); sim > best && sim > s.o.Similarity {
			best, taken = sim, x
		}
	}
	if taken != nil {
		return taken, best*float32(len(prompt))/float32(len(taken.tokens)) < 0.5
	}
	for _, x := range s.all {
		if taken == nil || x.used <= taken.used {
			taken = x
		}
	}
	return taken, true
}

// save copies a prompt to host memory. One that is held there already, or is too large, is not saved.
func (s *slots) save(tokens []int32) {
	if len(tokens) == 0 || slices.ContainsFunc(s.host, func(h []int32) bool { return LCP(h, tokens) == len(tokens) }) {
		return
	}
	need := s.bytes(tokens)
	if s.o.HostBytes > 0 && need > s.o.HostBytes {
		s.lose(tokens, HostMemoryFull)
		return
	}
	s.host = slices.DeleteFunc(s.host, func(h []int32) bool { return LCP(h, tokens) == len(h) })
	for s.o.HostBytes > 0 && len(s.host) > 0 && s.hostBytes()+need > s.o.HostBytes {
		s.lose(s.host[0], HostMemoryFull)
		s.host = s.host[1:]
	}
	s.host = append(s.host, tokens)
	for s.hostTokens() > s.mostHostTokens() {
		s.lose(s.host[0], HostMemoryFull)
		s.host = s.host[1:]
	}
}

// mostHostTokens is how many tokens host memory holds where its bytes have no limit. The server's limit is then the context of all slots.
func (s *slots) mostHostTokens() int {
	switch {
	case s.o.HostBytes >= 0 || s.o.ContextTokens == 0:
		return math.MaxInt
	case s.o.Unified:
		return s.o.ContextTokens
	}
	return s.o.ContextTokens * len(s.all)
}

func (s *slots) hostTokens() (sum int) {
	for _, h := range s.host {
		sum += len(h)
	}
	return sum
}

// load brings back the prompt that shares more with the new one than the slot does, and keeps more of itself. A prompt of which less than
// a quarter would be used stays where it is.
func (s *slots) load(to *slot, prompt []int32) {
	shared := LCP(to.tokens, prompt)
	keep, sim := float32(-1), float32(shared)/float32(len(prompt))
	if len(to.tokens) > 0 {
		keep = float32(shared) / float32(len(to.tokens))
	}
	found := -1
	for i, h := range s.host {
		n := LCP(h, prompt)
		k, m := float32(n)/float32(len(h)), float32(n)/float32(len(prompt))
		if k >= 0.25 && k > keep && m > sim {
			keep, sim, found = k, m, i
		}
	}
	if found >= 0 {
		to.tokens = s.host[found]
		s.host = slices.Delete(s.host, found, found+1)
	}
}

func (s *slots) bytes(tokens []int32) int64 { return int64(len(tokens)) * s.o.TokenBytes }

func (s *slots) hostBytes() (sum int64) {
	for _, h := range s.host {
		sum += s.bytes(h)
	}
	return sum
}

// lose remembers that a sequence is no longer held.
func (s *slots) lose(tokens []int32, cause Cause) {
	if len(s.lost) == mostLosses {
		s.lost = s.lost[1:]
	}
	s.lost = append(s.lost, loss{tokens, cause})
}

// leave records what a request left in its slot. Generating beyond the context shifts it: half of the tokens are thrown away, from the
// beginning.
func (s *slots) leave(taken *slot, kept []int32) {
	if LCP(taken.tokens, kept) < len(taken.tokens) { // the slot was taken over in place
		s.lose(taken.tokens, SlotTaken)
	}
	taken.tokens = kept
	for limit := s.o.ContextTokens; limit > 0 && len(taken.tokens) > limit; {
		s.lose(taken.tokens, ContextShifted)
		taken.tokens = taken.tokens[max(limit/2, 1):]
	}
}

// found puts a sequence in the place of an earlier one, in a slot or in host memory.
func (s *slots) found(earlier, now []int32, _ string) {
	same := func(x []int32) bool { return len(x) > 0 && len(x) == len(earlier) && &x[0] == &earlier[0] }
	for _, x := range s.all {
		if same(x.tokens) {
			x.tokens = now
		}
	}
	for i, h := range s.host {
		if same(h) {
			s.host[i] = now
		}
	}
}

// why gives the cause for which the cache does not give back more than hit tokens of a prompt, although it held more. What it still holds
// was too small a share to be used. Unknown means that neither explains it.
func (s *slots) why(prompt []int32, hit int) Cause {
	for _, x := range s.all {
		if LCP(x.tokens, prompt) > hit {
			return SmallShare
		}
	}
	if slices.ContainsFunc(s.host, func(h []int32) bool { return LCP(h, prompt) > hit }) {
		return SmallShare
	}
	cause, most := Unknown, hit
	for _, l := range s.lost {
		if n := LCP(l.tokens, prompt); n >= most && n > hit {
			cause, most = l.cause, n
		}
	}
	return cause
}
