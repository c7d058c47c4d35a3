package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*math.Max(math.Abs(a), math.Abs(b)) || math.Abs(a-b) < 1e-12
}

// The results of SciPy and NumPy for the same data were written by testdata/golden.py.
func TestAgainstSciPy(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		OneSample map[string]struct {
			Data         []float64
			HL           float64 `json:"hodges_lehmann"`
			Statistic, P float64
		} `json:"one_sample"`
		TwoSample map[string]struct {
			A, B     []float64
			Shift, P float64
		} `json:"two_sample"`
		Holm    map[string]struct{ P, Adjusted []float64 }
		Student []struct {
			Q, T    float64
			Freedom int
		}
		Bootstrap struct {
			Clusters  [][]float64
			Low, High float64
		}
	}
	if err := json.Unmarshal(b, &g); err != nil || len(g.OneSample) < 7 || len(g.TwoSample) < 3 {
		t.Fatalf("%d, %d cases (%v)", len(g.OneSample), len(g.TwoSample), err)
	}
	for name, c := range g.OneSample {
		if got := HodgesLehmann(c.Data); !near(got, c.HL, 1e-12) {
			t.Errorf("%s: Hodges–Lehmann %v, want %v", name, got, c.HL)
		}
		if s, p, _ := SignedRank(c.Data); !near(s, c.Statistic, 1e-12) || !near(p, c.P, 1e-9) {
			t.Errorf("%s: signed rank %v p %v, want %v p %v", name, s, p, c.Statistic, c.P)
		}
	}
	for name, c := range g.TwoSample {
		if got := Shift(c.A, c.B); !near(got, c.Shift, 1e-12) {
			t.Errorf("%s: shift %v, want %v", name, got, c.Shift)
		}
		if p, _ := RankSum(c.A, c.B); !near(p, c.P, 1e-9) {
			t.Errorf("%s: rank sum p %v, want %v", name, p, c.P)
		}
	}
	for name, c := range g.Holm {
		for i, got := range Holm(c.P) {
			if !near(got, c.Adjusted[i], 1e-12) {
				t.Errorf("%s: Holm %v, want %v", name, Holm(c.P), c.Adjusted)
				break
			}
		}
	}
	for _, c := range g.Student {
		if got := studentQuantile(c.Q, c.Freedom); !near(got, c.T, 1e-9) {
			t.Errorf("Student's t %v with %d degrees of freedom: %v, want %v", c.Q, c.Freedom, got, c.T)
		}
	}
	if len(g.Student) < 10 {
		t.Errorf("%d quantiles of Student's t", len(g.Student))
	}
	// two Monte-Carlo intervals of the same distribution: the ends of 20,000 draws scatter by about 1 % of its width
	median := func(x [][]float64) float64 { return Median(slices.Concat(x...)) }
	low, high := Bootstrap(g.Bootstrap.Clusters, median, 0.95, 20_000, rand.New(rand.NewPCG(1, 2)))
	width := g.Bootstrap.High - g.Bootstrap.Low
	if math.Abs(low-g.Bootstrap.Low) > 0.05*width || math.Abs(high-g.Bootstrap.High) > 0.05*width {
		t.Errorf("bootstrap %v to %v, want %v to %v", low, high, g.Bootstrap.Low, g.Bootstrap.High)
	}
}

// The estimates are medians over all pairs, which are not computed one by one.
// They are compared with their definitions, with ties and without, for one value and for many.
func TestEstimatesOfPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	values := func(n int, ties bool) []float64 {
		x := make([]float64, n)
		for i := range x {
			if x[i] = rng.NormFloat64(); ties {
				x[i] = float64(rng.IntN(20))
			}
		}
		return x
	}
	for _, n := range []int{1, 2, 3, 5, 8, 9, 20, 59, 60, 211, 400} {
		for _, m := range []int{1, 2, 7, 90, 301} {
			a, b := values(n, m%2 == 0), values(m, m%2 == 0)
			var differences, means []float64
			for i, x := range a {
				for _, y := range b {
					differences = append(differences, y-x)
				}
				for _, y := range a[i:] {
					means = append(means, (x+y)/2)
				}
			}
			if want, got := Median(differences), Shift(a, b); !near(got, want, 1e-12) {
				t.Errorf("shift of %d and %d: %v, want %v", n, m, got, want)
			}
			if want, got := Median(means), HodgesLehmann(a); !near(got, want, 1e-12) {
				t.Errorf("centre of %d: %v, want %v", n, got, want)
			}
		}
	}
	if !math.IsNaN(Shift(nil, []float64{1})) || !math.IsNaN(Shift([]float64{1}, nil)) {
		t.Error("a shift of nothing")
	}
}

// The interval of one metric, which once took a minute for 1,600 sessions.
func BenchmarkInterval(b *testing.B) {
	for _, n := range []int{100, 1600} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(8, 8))
			d := make([]float64, n)
			for i := range d {
				d[i] = rng.NormFloat64()
			}
			slices.Sort(d)
			for b.Loop() {
				Bootstrap(d, HodgesLehmann, 0.95, 1000, rng)
			}
		})
	}
}

func TestEdges(t *testing.T) {
	three := []float64{3, 1, 2}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(HodgesLehmann(nil)) || Quantile(three, 1) != 3 || Quantile(three, 0.25) != 1.5 {
		t.Error("quantiles")
	}
	if _, p, _ := SignedRank([]float64{0, 0}); !math.IsNaN(p) {
		t.Errorf("p of zeros is %v", p)
	}
	if p, exact := RankSum([]float64{1, 1}, []float64{1, 1}); p != 1 || !exact {
		t.Errorf("p of equal values is %v", p)
	}
	if p, _ := RankSum(nil, []float64{1}); !math.IsNaN(p) {
		t.Errorf("p of nothing is %v", p)
	}
	if l, _ := Bootstrap([]float64(nil), Median, 0.95, 10, rand.New(rand.NewPCG(1, 1))); !math.IsNaN(l) {
		t.Error("an interval of nothing")
	}
}

// Where nothing differs, the exact tests find a difference as often as they say they do.
func TestFalseAlarms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	signed, sum := 0, 0
	const trials = 4000
	for range trials {
		d, a, b := make([]float64, 12), make([]float64, 8), make([]float64, 9)
		for _, x := range [][]float64{d, a, b} {
			for i := range x {
				x[i] = rng.NormFloat64()
			}
		}
		if _, p, exact := SignedRank(d); exact && p <= 0.05 {
			signed++
		}
		if p, exact := RankSum(a, b); exact && p <= 0.05 {
			sum++
		}
	}
	// at most 5 %; four standard deviations of 4,000 trials are 1.4 %
	for name, n := range map[string]int{"signed rank": signed, "rank sum": sum} {
		if share := float64(n) / trials; share > 0.064 || share < 0.02 {
			t.Errorf("%s: %.3f false alarms", name, share)
		}
	}
}

// The interval holds exactly the shifts that RankSum does not reject.
func TestShiftInterval(t *testing.T) {
	// Hollander and Wolfe's permeability of membranes: 0.305 (−0.15 to 0.76)
	x, y := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}, []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	if low, high := ShiftInterval(y, x, 0.95); !near(low, -0.15, 1e-9) || !near(high, 0.76, 1e-9) || !near(Shift(y, x), 0.305, 1e-9) {
		t.Errorf("%v (%v to %v)", Shift(y, x), low, high)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, n := range [][2]int{{4, 4}, {5, 4}, {3, 6}, {9, 12}, {40, 35}} {
		a, b := make([]float64, n[0]), make([]float64, n[1])
		for i := range a {
			a[i] = rng.NormFloat64()
		}
		for i := range b {
			b[i] = rng.NormFloat64() + 0.3
		}
		low, high := ShiftInterval(a, b, 0.95)
		const step = 1e-9
		for _, c := range []struct {
			at       float64
			rejected bool
		}{{low - step, true}, {low + step, false}, {high - step, false}, {high + step, true}} {
			moved := make([]float64, len(b))
			for i, v := range b {
				moved[i] = v - c.at
			}
			if p, _ := RankSum(a, moved); (p <= 0.05) != c.rejected {
				t.Errorf("%v: p is %v at %v of %v to %v", n, p, c.at, low, high)
			}
		}
		if p, _ := RankSum(make([]float64, 0), b); !math.IsNaN(p) {
			t.Errorf("p %v of nothing", p)
		}
	}
	if low, high := ShiftInterval([]float64{1, 2, 3}, []float64{7, 8, 9}, 0.95); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Errorf("three against three: %v to %v", low, high)
	}
	if p, _ := RankSum([]float64{1, 2, 3, 4}, []float64{7, 8, 9, 10}); !near(p, RankSumFloor(4, 4), 1e-12) {
		t.Errorf("floor %v, p %v", RankSumFloor(4, 4), p)
	}
	if _, p, _ := SignedRank([]float64{1, 2, 3, 4, 5, 6}); !near(p, SignedRankFloor(6), 1e-12) {
		t.Errorf("floor %v, p %v", SignedRankFloor(6), p)
	}
}

// The interval of a few values holds the true value as often as it says. Without SmallSample it does in 86 of 100 cases for six values.
func TestSmallSample(t *testing.T) {
	if raced { // it starts no goroutine
		t.Skip("it takes minutes under the race detector")
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for _, n := range []int{6, 12} {
		held, plain := 0, 0
		const trials = 600
		for range trials {
			x := make([]float64, n)
			for i := range x {
				x[i] = rng.NormFloat64()
			}
			for _, c := range []struct {
				level float64
				n     *int
			}{{SmallSample(0.95, n), &held}, {0.95, &plain}} {
				if low, high := Bootstrap(x, HodgesLehmann, c.level, 1000, rng); low <= 0 && high >= 0 {
					*c.n++
				}
			}
		}
		t.Logf("%d values: %.3f, without %.3f", n, float64(held)/trials, float64(plain)/trials)
		// three standard deviations of 600 trials are 2.7 %
		if share := float64(held) / trials; share < 0.923 || share > 0.98 {
			t.Errorf("%d values: the interval holds the true value in %.3f of all cases", n, share)
		}
	}
	if !math.IsNaN(SmallSample(0.95, 1)) {
		t.Error("an interval of one value")
	}
}
