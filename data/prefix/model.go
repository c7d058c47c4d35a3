package prefix

// Options describe the cache of a server.
type Options struct {
	UnitTokens     int          // hits are whole multiples of this many tokens: blocks of a pool, or 1
	BlockTokens    int          // of one block of the pool; 0: UnitTokens
	CapacityTokens int          // of the pool; 0: no limit
	AlignTokens    int          // hits end at a multiple of this many tokens; 0: at any unit
	Hybrid         bool         // some layers keep a state, which is cached at certain places only
	Overlapping    bool         // requests of several users overlap, so that it is not known which slots were free
	Slots          *SlotOptions // a cache of slots instead of a pool; nil: a pool
}

// cacheModel is a model of a server's cache.
type cacheModel interface {
	// look tells how many tokens of a prompt are reused. leave must be called with what the request leaves: its prompt and its output
	// without the last token. need is the length of that in tokens, where the output is not known.
	look(prompt []int32, salt string) (hit int, leave func(kept []int32, need int, output []int32))
	// found tells that the output of an earlier request is known now: what it left is now, not earlier.
	found(earlier, now []int32, salt string)
	// why gives the cause for which tokens beyond the hit, which were held once, are not held any more.
	why(prompt []int32, hit int) Cause
	reset()
}

// pool is a pool of blocks.
type pool struct{ *Cache }

func (p pool) look(prompt []int32, salt string) (hit int, leave func(kept []int32, need int, output []int32)) {
	s := p.Open(prompt, salt)
	return s.Hit, func(kept []int32, need int, output []int32) {
		if s.Reserve(need) {
			s.Computed(len(prompt))
			if len(kept) > len(prompt) {
				s.Computed(len(kept), output...)
			}
		}
		s.Close()
	}
}

// found hits the blocks of the prompt again, and adds those of the output.
func (p pool) found(_, now []int32, salt string) {
	q := p.Open(now, salt)
	if q.Reserve(len(now)) {
		q.Computed(len(now))
	}
	q.Close()
}

func (p pool) why([]int32, int) Cause { return Evicted }

func (p pool) reset() { p.Reset() }
