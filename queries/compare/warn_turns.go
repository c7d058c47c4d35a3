package compare

import "fmt"

// Kinds of warnings about single turns.
const (
	KindCutTurns      Kind = "cut_turns"      // the server cut their history
	KindBufferedTurns Kind = "buffered_turns" // their tokens came in bursts
)

// CutTurns counts the turns of a side that are left out because the server cut their history.
type CutTurns struct {
	Side      string // base or head
	Turns, Of int
}

// Kind is KindCutTurns.
func (CutTurns) Kind() Kind { return KindCutTurns }

// Note says how many they are.
func (w CutTurns) Note() string {
	return fmt.Sprintf("%d of %d turns of %s are left out: the server cut their history (context_truncated).", w.Turns, w.Of, w.Side)
}

// BufferedTurns counts the turns of a side whose tokens came in bursts.
type BufferedTurns struct {
	Side      string // base or head
	Turns, Of int
}

// Kind is KindBufferedTurns.
func (BufferedTurns) Kind() Kind { return KindBufferedTurns }

// Note says what their TTFT is.
func (w BufferedTurns) Note() string {
	return fmt.Sprintf("%d of %d turns of %s came in bursts (buffered): their TTFT is the time to the first burst.", w.Turns, w.Of, w.Side)
}

func doubtfulTurns(r *Result) (out []Warning) {
	for _, s := range r.sides() {
		cut, buffered := 0, 0
		for _, t := range s.Turns {
			if t.Truncated {
				cut++
			}
			if t.Buffered {
				buffered++
			}
		}
		if cut > 0 {
			out = append(out, CutTurns{s.name, cut, len(s.Turns)})
		}
		if buffered > 0 {
			out = append(out, BufferedTurns{s.name, buffered, len(s.Turns)})
		}
	}
	return out
}
