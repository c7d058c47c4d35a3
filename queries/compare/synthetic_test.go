package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// observed gives a turn of one session of a conversation, with its figures.
func observed(conversation string, pass, turn int, values ...float64) observation {
	return observation{
		key:     key{kind{conversation, "system", int64(turn)}, pass},
		session: fmt.Sprint(conversation, pass), group: all, prompt: 100, output: 64, values: values,
	}
}

// ttft gives the only metric that is compared.
func ttft() []Metric { return Metrics()[:1] }

// synthetic gives the turns of some sessions of three conversations. TTFT grows with the prompt. Each session has a random level, and each
// turn has jitter. The side is slower by factor.
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
