package stats_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"wb/queries/stats"
)

// Two small samples of times to first token, in milliseconds, of the same eight sessions before and after a change.
var (
	before = []float64{102, 98, 120, 111, 95, 107, 101, 99}
	after  = []float64{109, 104, 131, 116, 103, 112, 110, 101}
)

// The samples are paired, so the differences are estimated. The seed is fixed, and the interval is the same each time.
// SmallSample widens the interval, as a bootstrap of eight values is too narrow without it.
func ExampleHodgesLehmann() {
	differences := make([]float64, len(before))
	for i := range before {
		differences[i] = after[i] - before[i]
	}
	slices.Sort(differences)
	rng := rand.New(rand.NewPCG(1, 2))
	level := stats.SmallSample(0.95, len(differences))
	low, high := stats.Bootstrap(differences, stats.HodgesLehmann, level, 1000, rng)
	_, p, exact := stats.SignedRank(differences)
	fmt.Printf("slower by %.2f ms (95 %% interval %.2f to %.2f)\n", stats.HodgesLehmann(differences), low, high)
	fmt.Printf("p = %.4f, exact: %v\n", p, exact)
	// Output:
	// slower by 6.50 ms (95 % interval 4.50 to 9.00)
	// p = 0.0078, exact: true
}

// If the samples are not paired, the shift between them is estimated. Its interval is exact and needs no random numbers.
func ExampleShift() {
	low, high := stats.ShiftInterval(before, after, 0.95)
	p, exact := stats.RankSum(before, after)
	fmt.Printf("shifted by %.2f ms (95 %% interval %.2f to %.2f)\n", stats.Shift(before, after), low, high)
	fmt.Printf("p = %.4f, exact: %v\n", p, exact)
	// Output:
	// shifted by 6.00 ms (95 % interval -2.00 to 14.00)
	// p = 0.1108, exact: true
}
