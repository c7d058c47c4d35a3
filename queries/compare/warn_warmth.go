package compare

import "fmt"

// Kinds of warnings about sessions that began warm, with their first prompt in the prefix cache.
const (
	KindLeftOutSessions Kind = "left_out_sessions" // some began warm and others cold
	KindWarmAndCold     Kind = "warm_and_cold"     // one side began warm and the other cold
)

// LeftOutSessions counts the sessions of a side that are not compared.
type LeftOutSessions struct {
	Side         string // base or head
	Sessions, Of int
	Warm         bool // they began warm, or else cold
}

// Kind is KindLeftOutSessions.
func (LeftOutSessions) Kind() Kind { return KindLeftOutSessions }

// Note says how many they are and how they began.
func (w LeftOutSessions) Note() string {
	how := "they began cold, and the others warm"
	if w.Warm {
		how = "they began warm, with their first prompt in the prefix cache"
	}
	return fmt.Sprintf("%d of %d sessions of %s are left out: %s.", w.Sessions, w.Of, w.Side, how)
}

// WarmAndCold counts the sessions of both sides by how they began.
type WarmAndCold struct {
	BaseWarm, HeadWarm, BaseCold, HeadCold int
}

// Kind is KindWarmAndCold.
func (WarmAndCold) Kind() Kind { return KindWarmAndCold }

// Note says that there is no verdict.
func (w WarmAndCold) Note() string {
	return fmt.Sprintf("%d sessions of base and %d of head began warm, with their first prompt in the prefix cache, "+
		"and %d and %d cold: these are different experiments, and there is no verdict.", w.BaseWarm, w.HeadWarm, w.BaseCold, w.HeadCold)
}

func leftOutSessions(r *Result) (out []Warning) {
	w := r.warmth
	if w.apart {
		return []Warning{WarmAndCold{w.begun[0].warm, w.begun[1].warm, w.begun[0].cold, w.begun[1].cold}}
	}
	if w.skip == nil {
		return nil
	}
	for i, side := range []string{"base", "head"} {
		if n := w.begun[i].as(*w.skip); n > 0 {
			out = append(out, LeftOutSessions{side, n, w.begun[i].warm + w.begun[i].cold, *w.skip})
		}
	}
	return out
}
