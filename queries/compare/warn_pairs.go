package compare

import "fmt"

// Kinds of warnings about the pairing of turns.
const (
	KindStrangers     Kind = "strangers"     // no conversation is on both sides
	KindWithoutEqual  Kind = "without_equal" // some turns have no equal on the other side
	KindUnpairedTurns Kind = "unpaired"      // too few turns have an equal
)

// Strangers says that the sides have no conversation in common.
type Strangers struct{}

// Kind is KindStrangers.
func (Strangers) Kind() Kind { return KindStrangers }

// Note says what that means for the difference.
func (Strangers) Note() string {
	return "The sides have no conversation in common: what was asked is a part of the difference."
}

func strangers(r *Result) []Warning {
	if !r.pairing.strangers {
		return nil
	}
	return []Warning{Strangers{}}
}

// WithoutEqual counts a side's turns that have no equal on the other side.
type WithoutEqual struct {
	Side      string // base or head
	Turns, Of int
}

// Kind is KindWithoutEqual.
func (WithoutEqual) Kind() Kind { return KindWithoutEqual }

// Note says how many they are.
func (w WithoutEqual) Note() string {
	return fmt.Sprintf("%d of %d turns of %s have no equal on the other side, and count in no figure.", w.Turns, w.Of, w.Side)
}

// withoutEqual does not apply where server processes are compared: their turns are compared with the middle of both sides.
func withoutEqual(r *Result) (out []Warning) {
	p := r.pairing
	if p.strangers || !p.paired || p.unit == unitProcess {
		return nil
	}
	for _, side := range []struct {
		name         string
		turns, other []observation
	}{{"base", p.base, p.head}, {"head", p.head, p.base}} {
		other, n := byKey(side.other), 0
		for _, o := range side.turns {
			if _, ok := partner(o, other); !ok {
				n++
			}
		}
		if n > 0 {
			out = append(out, WithoutEqual{side.name, n, len(side.turns)})
		}
	}
	return out
}

// UnpairedTurns says that turns are not paired, and why that may be.
type UnpairedTurns struct {
	Agree float64 // share of the turns that have an equal, 0 to 1
	Unequal
}

// Kind is KindUnpairedTurns.
func (UnpairedTurns) Kind() Kind { return KindUnpairedTurns }

// Note says in how many turns token counts agree, and what differs or what would make them agree.
func (w UnpairedTurns) Note() string {
	why := "sessions are compared as two samples"
	switch {
	case w.Settings != "":
		why = w.Settings + " differ, and " + why
	case w.Live:
		why = "--replies scripted and --ignore-eos make the token counts of runs equal"
	}
	return fmt.Sprintf("Turns are not paired: prompt and output tokens agree in %.0f %% of them; %s.", 100*w.Agree, why)
}

func unpairedTurns(r *Result) []Warning {
	if r.pairing.strangers || r.pairing.paired || r.pairing.text != nil {
		return nil
	}
	return []Warning{UnpairedTurns{r.pairing.agree, r.Facts.Unequal}}
}
