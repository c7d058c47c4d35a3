package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// observed is a turn of a conversation's pass, with its figures.
func observed(conversation string, pass, turn int, values ...float64) observation {
	return observation{
		key:     key{kind{conversation, "system", int64(turn)}, pass},
		session: fmt.Sprint(conversation, pass), group: all, prompt: 100, output: 64, values: values,
	}
}

// ttft is the only metric that is compared.
func ttft() []Metric { return Metrics()[:1] }

// synthetic gives the turns of some passes through three conversations: TTFT grows with the prompt, a session has its own
// level, a turn its own jitter, and factor is what the side is slower by.
func synthetic(rng *rand.Rand, side string, passes int, factor float64) (out []observation) {
	for i, conv := range []string{"a", "b", "c"} { // in order: the same seed gives the same figures
		turns := []int{5, 8, 6}[i]
		for pass := range passes {
			level := math.Exp(rng.NormFloat64() * 0.01)
			for turn := range turns {
				ttft := float64(40+10*turn) * factor * level * math.Exp(rng.NormFloat64()*0.02)
				o := observed(conv, pass, turn+1, ttft)
				o.session, o.prompt = fmt.Sprint(side, conv, pass), int64(100*turn)
				out = append(out, o)
			}
		}
	}
	return out
}

func verdictOf(base, head []observation, margin float64) Verdict {
	return decide(pair(base, head), ttft(), Comparison{Margin: margin})[0]
}
