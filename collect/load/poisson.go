package load

import "math/rand/v2"

// newPoisson gives exponential gaps: what many independent users look like.
func newPoisson(s Settings) Arrivals {
	rng := rand.New(rand.NewPCG(uint64(s.Seed), 0xa441)) //nolint:gosec // a seed for arrivals, not a secret
	return &gaps{rate: s.Rate, next: rng.ExpFloat64}
}
