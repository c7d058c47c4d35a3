package compare

// warmth says which sessions of two sides are compared: those that began cold, or those that began warm, with their first prompt in the
// prefix cache. These are different experiments: a cached prompt takes a hundredth of the time.
type warmth struct {
	skip  *bool // true: sessions that began warm are left out; false: cold ones; nil: none
	apart bool  // one side began warm and the other cold: there is no verdict
	begun [2]begun
}

// begun counts the sessions of a side by how they began, where that is known.
type begun struct{ warm, cold int }

func (b begun) as(warm bool) int {
	if warm {
		return b.warm
	}
	return b.cold
}

// warmthOf finds out how sessions began. If there are both warm and cold sessions, those are compared of which both sides have more.
// Sessions of which it is not known are always compared.
func warmthOf(base, head Side) (w warmth) {
	w.begun = [2]begun{base.begun(), head.begun()}
	b, h := w.begun[0], w.begun[1]
	both := func(warm bool) int { return min(b.as(warm), h.as(warm)) }
	switch {
	case b.warm+h.warm == 0 || b.cold+h.cold == 0:
	case both(true)+both(false) > 0:
		w.skip = new(both(false) >= both(true))
	case b.warm+b.cold > 0 && h.warm+h.cold > 0:
		w.apart = true
	}
	return w
}

// begun counts the side's sessions by how they began.
func (s Side) begun() (b begun) {
	type session struct {
		run, conversation, variant string
		nth                        int64
		warm                       bool
	}
	seen := map[session]bool{}
	for _, t := range s.Turns {
		if t.BeganWarm == nil {
			continue
		}
		k := session{t.Run, t.Conversation, t.Variant, t.Nth, *t.BeganWarm}
		if seen[k] {
			continue
		}
		seen[k] = true
		if k.warm {
			b.warm++
		} else {
			b.cold++
		}
	}
	return b
}
