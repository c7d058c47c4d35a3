package load

import "math/rand/v2"

// newPoisson makes arrivals with exponentially distributed gaps, as many independent users make them.
func newPoisson(s Settings) Arrivals {
	rng := rand.New(rand.NewPCG(uint64(s.Seed), 0xa441)) //nolint:gosec // a seed for arrivals, not a secret
	return &gaps{rate: s.Rate, next: rng.ExpFloat64}
}
