// Package stats says whether two sets of measurements differ, and by how much. Each function names what it assumes; none of
// them assumes a normal distribution. Held against SciPy and NumPy in the tests.
package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Median gives the middle value, the mean of the two middle ones for an even number, NaN for none.
func Median(x []float64) float64 {
	return Quantile(x, 0.5)
}

// Quantile interpolates linearly between order statistics (Hyndman and Fan's type 7, as NumPy does); NaN for no values.
func Quantile(x []float64, q float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := slices.Clone(x)
	slices.Sort(s)
	at := q * float64(len(s)-1)
	i := int(math.Floor(at))
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// middle is Median for a slice that may be rearranged: quickselect instead of sorting.
func middle(x []float64) float64 {
	n := len(x)
	if n == 0 {
		return math.NaN()
	}
	upper := nth(x, n/2)
	if n%2 == 1 {
		return upper
	}
	return (slices.Max(x[:n/2]) + upper) / 2 // nth left the smaller ones before it
}

// nth gives the k-th smallest value and leaves nothing larger before it (Hoare's quickselect).
func nth(x []float64, k int) float64 {
	low, high := 0, len(x)-1
	for low < high {
		pivot := x[(low+high)/2]
		i, j := low, high
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			high = j
		case k >= i:
			low = i
		default:
			return x[k]
		}
	}
	return x[k]
}

// HodgesLehmann estimates the centre of paired differences: the median of all means of two of them, each with itself too.
// It assumes that the differences are distributed symmetrically about it, and stands 29 % of outliers. Quadratic in len(d).
func HodgesLehmann(d []float64) float64 {
	w := make([]float64, 0, len(d)*(len(d)+1)/2)
	for i := range d {
		for j := i; j < len(d); j++ {
			w = append(w, (d[i]+d[j])/2)
		}
	}
	return middle(w)
}

// Shift estimates by how much b lies above a, for samples that are not paired: the median of all differences.
func Shift(a, b []float64) float64 {
	w := make([]float64, 0, len(a)*len(b))
	for _, y := range b {
		for _, x := range a {
			w = append(w, y-x)
		}
	}
	return middle(w)
}

// exactLimit is up to how many differences the signed-rank distribution is counted out (SciPy's limit too).
const exactLimit = 50

// SignedRank is Wilcoxon's test of whether paired differences are centred on 0: the smaller rank sum and the two-sided p. Zeros
// are left out. Up to 50 differences without ties p is exact, beyond it is the normal approximation with correction for ties
// and none for continuity. p is NaN when no difference is left. It assumes independent, symmetric differences.
func SignedRank(d []float64) (statistic, p float64, exact bool) {
	var x []float64
	zeros := false
	for _, v := range d {
		if v != 0 {
			x = append(x, v)
		} else {
			zeros = true
		}
	}
	n := len(x)
	if n == 0 {
		return 0, math.NaN(), false
	}
	slices.SortFunc(x, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	ranks, ties := rank(x, math.Abs)
	plus, minus := 0.0, 0.0
	for i, v := range x {
		if v > 0 {
			plus += ranks[i]
		} else {
			minus += ranks[i]
		}
	}
	statistic = math.Min(plus, minus)
	if ties == 0 && !zeros && n <= exactLimit {
		return statistic, signedRankP(n, int(statistic)), true
	}
	mean := float64(n*(n+1)) / 4
	variance := float64(n*(n+1)*(2*n+1))/24 - ties/48
	if variance <= 0 {
		return statistic, 1, false
	}
	return statistic, math.Min(1, 2*normalTail(math.Abs(statistic-mean)/math.Sqrt(variance))), false
}

// rank gives the mid-ranks of values sorted by key, and the sum of t³−t over groups of ties.
func rank(x []float64, key func(float64) float64) (ranks []float64, ties float64) {
	ranks = make([]float64, len(x))
	for i := 0; i < len(x); {
		j := i
		for j < len(x) && key(x[j]) == key(x[i]) {
			j++
		}
		for k := i; k < j; k++ {
			ranks[k] = float64(i+j+1) / 2
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// signedRankP counts the sign patterns whose rank sum is at most w, on both sides.
func signedRankP(n, w int) float64 {
	count := make([]float64, n*(n+1)/2+1)
	count[0] = 1
	for k := 1; k <= n; k++ {
		for s := len(count) - 1; s >= k; s-- {
			count[s] += count[s-k]
		}
	}
	sum := 0.0
	for s := 0; s <= w; s++ {
		sum += count[s]
	}
	return math.Min(1, 2*sum/math.Exp2(float64(n)))
}

func normalTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// RankSum is the two-sided p of Mann and Whitney's test of whether b tends to lie above or below a. Without ties and up to
// 900 pairs it is exact, beyond it is the normal approximation with corrections for ties and continuity. It assumes
// independent samples.
func RankSum(a, b []float64) (p float64, exact bool) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return math.NaN(), false
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	_, ties := rank(all, func(v float64) float64 { return v })
	u := 0.0 // pairs in which b is above
	for _, y := range b {
		for _, x := range a {
			switch {
			case y > x:
				u++
			case y == x:
				u += 0.5
			}
		}
	}
	u = math.Max(u, float64(n*m)-u)
	if ties == 0 && n*m <= 900 {
		return rankSumP(n, m, int(u)), true
	}
	total := float64(n + m)
	variance := float64(n*m) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return 1, false
	}
	return math.Min(1, 2*normalTail((u-float64(n*m)/2-0.5)/math.Sqrt(variance))), false
}

// rankSumP counts the arrangements in which at least u pairs have b above, on both sides.
func rankSumP(n, m, u int) float64 {
	// count[j][s]: ways to choose j ranks of those seen whose excess over the smallest possible is s
	count := make([][]float64, m+1)
	for j := range count {
		count[j] = make([]float64, n*m+1)
	}
	count[0][0] = 1
	for r := range n + m { // the r-th value from below
		for j := min(m, r+1); j >= 1; j-- {
			add := r + 1 - j // values of a below this one of b
			if add < 0 || add > n {
				continue
			}
			for s := n * m; s >= add; s-- {
				count[j][s] += count[j-1][s-add]
			}
		}
	}
	total, tail := 0.0, 0.0
	for s, c := range count[m] {
		total += c
		if s >= u {
			tail += c
		}
	}
	return math.Min(1, 2*tail/total)
}

// Holm adjusts p values of several questions asked of the same data, so that the chance of any false answer stays what it was
// for one (Holm 1979). The order is kept.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out := make([]float64, len(p))
	run := 0.0
	for k, i := range order {
		run = math.Max(run, math.Min(1, float64(len(p)-k)*p[i]))
		out[i] = run
	}
	return out
}

// ClusterBootstrap gives a percentile interval of a statistic for values that hang together within clusters, such as turns of one
// conversation: whole clusters are drawn, with replacement. level is the coverage, 0.95 for instance. It assumes independent
// clusters, and with fewer than five it tells little. NaN for none.
func ClusterBootstrap(clusters [][]float64, statistic func([]float64) float64, level float64, draws int, rng *rand.Rand) (low, high float64) {
	if len(clusters) == 0 || draws < 1 {
		return math.NaN(), math.NaN()
	}
	found := make([]float64, draws)
	var x []float64
	for i := range found {
		x = x[:0]
		for range clusters {
			x = append(x, clusters[rng.IntN(len(clusters))]...)
		}
		found[i] = statistic(x)
	}
	return Quantile(found, (1-level)/2), Quantile(found, (1+level)/2)
}
