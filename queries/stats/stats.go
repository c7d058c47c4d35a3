// Package stats says whether two sets of measurements differ, and by how much. Each function says what it assumes. None of them
// assumes a normal distribution. The tests compare them with SciPy and NumPy.
package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Median gives the middle value, or the mean of the two middle ones of an even number of values; NaN for no values.
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

// Mean is the arithmetic mean, NaN for no values.
func Mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
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

// exactLimit is the largest number of differences for which the signed-rank distribution is counted exactly. SciPy has the same limit.
const exactLimit = 50

// SignedRank is Wilcoxon's test of whether paired differences are centred on 0: the smaller rank sum and the two-sided p. Zeros
// are left out. Up to 50 differences p is exact, counted over all signs that the ranks could have (mid-ranks where values tie).
// Beyond that p is the normal approximation, with a correction for ties and none for continuity. p is NaN when no difference is
// left. It assumes independent, symmetric differences.
func SignedRank(d []float64) (statistic, p float64, exact bool) {
	var x []float64
	for _, v := range d {
		if v != 0 {
			x = append(x, v)
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
	if n <= exactLimit {
		return statistic, signedRankP(ranks, statistic), true
	}
	mean := float64(n*(n+1)) / 4
	variance := float64(n*(n+1)*(2*n+1))/24 - ties/48
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

// signedRankP gives the share of sign patterns whose rank sum is at most w, on both sides. Mid-ranks are halves, so it counts in halves.
func signedRankP(ranks []float64, w float64) float64 {
	n := len(ranks)
	count := make([]float64, n*(n+1)+1)
	count[0] = 1
	for _, r := range ranks {
		for s := len(count) - 1; s >= int(2*r); s-- {
			count[s] += count[s-int(2*r)]
		}
	}
	sum := 0.0
	for _, c := range count[:int(2*w)+1] {
		sum += c
	}
	return math.Min(1, 2*sum/math.Exp2(float64(n)))
}

func normalTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// SignedRankFloor is the smallest p that SignedRank can give for n differences.
func SignedRankFloor(n int) float64 { return math.Min(1, math.Exp2(float64(1-n))) }

// RankSumFloor is the smallest p that RankSum can give for samples of n and m values: all of one are above all of the other.
func RankSumFloor(n, m int) float64 {
	p := 2.0
	for i := 1; i <= m; i++ { // 2 divided by (n+m choose m)
		p *= float64(i) / float64(n+i)
	}
	return math.Min(1, p)
}

// ShiftInterval gives the interval of Shift: all shifts that RankSum does not reject at 1−level. It is exact for few values, and covers
// at least level, as the distribution has steps (Moses; Bauer 1972). It is NaN when even the outermost differences do not cover level.
func ShiftInterval(a, b []float64, level float64) (low, high float64) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 || RankSumFloor(n, m) > 1-level {
		return math.NaN(), math.NaN()
	}
	d := make([]float64, 0, n*m)
	for _, y := range b {
		for _, x := range a {
			d = append(d, y-x)
		}
	}
	slices.Sort(d)
	k := 0 // differences left out on each side: a shift with at most k pairs beyond it is rejected
	if n*m <= exactPairs {
		for rankSumP(n, m, n*m-k-1) <= 1-level {
			k++
		}
	} else {
		half := float64(n*m) / 2
		z := math.Sqrt(float64(n*m)*float64(n+m+1)/12) * math.Sqrt2 * math.Erfinv(level)
		k = max(int(half-z-0.5), 0)
	}
	return d[k], d[len(d)-1-k]
}

// RankSum is the two-sided p of Mann and Whitney's test of whether b tends to lie above or below a. Up to 900 pairs it is exact,
// counted over all ways to divide the ranks between both samples (mid-ranks where values tie). Beyond that it is the normal
// approximation with corrections for ties and continuity. It assumes independent samples.
func RankSum(a, b []float64) (p float64, exact bool) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return math.NaN(), false
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	ranks, ties := rank(all, func(v float64) float64 { return v })
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
	switch {
	case n*m <= exactPairs && ties == 0:
		return rankSumP(n, m, int(math.Max(u, float64(n*m)-u))), true
	case n*m <= exactPairs:
		return tiedRankSumP(ranks, m, u+float64(m*(m+1))/2), true
	}
	u = math.Max(u, float64(n*m)-u)
	total := float64(n + m)
	variance := float64(n*m) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return 1, false
	}
	return math.Min(1, 2*normalTail((u-float64(n*m)/2-0.5)/math.Sqrt(variance))), false
}

// exactPairs is the largest number of pairs for which the rank-sum distribution is counted exactly.
const exactPairs = 900

// tiedRankSumP gives the share of ways to choose m of the ranks whose sum is as far out as w, counted in halves. The two tails can differ;
// the result is twice the smaller one.
func tiedRankSumP(ranks []float64, m int, w float64) float64 {
	total := 0
	for _, r := range ranks {
		total += int(2 * r)
	}
	count := make([][]float64, m+1)
	for j := range count {
		count[j] = make([]float64, total+1)
	}
	count[0][0] = 1
	for i, rank := range ranks {
		r := int(2 * rank)
		for j := min(m, i+1); j >= 1; j-- {
			for s := total; s >= r; s-- {
				count[j][s] += count[j-1][s-r]
			}
		}
	}
	all, above, below := 0.0, 0.0, 0.0
	for s, c := range count[m] {
		all += c
		if s >= int(2*w) {
			above += c
		}
		if s <= int(2*w) {
			below += c
		}
	}
	return math.Min(1, 2*math.Min(above, below)/all)
}

// rankSumP gives the share of arrangements in which b is above in at least u pairs, on both sides.
func rankSumP(n, m, u int) float64 {
	// count[j][s]: ways to choose j of the ranks seen so far, with a sum that is s above the smallest possible one
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

// Holm adjusts the p values of several tests of the same data, so that the chance of any false alarm stays what it is for one test
// (Holm 1979). The order is kept.
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

// Bootstrap gives a percentile interval of a statistic of independent parts, drawn with replacement. Parts are values, or clusters of
// values that depend on each other, such as turns of one conversation. level is the coverage, such as 0.95. With fewer than five parts
// the interval says little. With few parts it is too narrow unless level comes from SmallSample. The statistic gets the drawn parts in
// their original order, and is computed for several draws in parallel. The interval is NaN without parts.
func Bootstrap[T any](parts []T, statistic func([]T) float64, level float64, draws int, rng *rand.Rand) (low, high float64) {
	if len(parts) == 0 || draws < 1 {
		return math.NaN(), math.NaN()
	}
	found := Draws(draws, func() []T { return Drawn(parts, rng) }, statistic)
	return Quantile(found, (1-level)/2), Quantile(found, (1+level)/2)
}

// SmallSample gives the level that a percentile bootstrap of n values needs to hold the true value in about level of all cases. The
// bootstrap does not take into account that the spread is known from n values only. The ends move out as far as the ends of Student's
// interval are beyond those of the normal interval with the spread over n instead of n−1 (Hesterberg 2015, "What Teachers Should Know
// About the Bootstrap", section 3.3: the expanded percentile interval).
func SmallSample(level float64, n int) float64 {
	if n < 2 {
		return math.NaN()
	}
	t := studentQuantile((1+level)/2, n-1)
	return 1 - 2*normalTail(math.Sqrt(float64(n)/float64(n-1))*t)
}

// studentQuantile gives a quantile of Student's distribution; q is above 0.5. It inverts the closed form for whole degrees of freedom
// (Abramowitz and Stegun 26.7.3 and 26.7.4) by bisection.
func studentQuantile(q float64, freedom int) float64 {
	within := func(t float64) float64 { // the probability of −t to t
		theta := math.Atan(t / math.Sqrt(float64(freedom)))
		sin, cos := math.Sincos(theta)
		odd := freedom % 2
		term, sum := 1.0, 0.0
		if odd == 1 {
			term = cos
		}
		for k := 1 + odd; k < freedom; k += 2 {
			sum += term
			term *= cos * cos * float64(k) / float64(k+1)
		}
		if odd == 1 {
			return 2 / math.Pi * (theta + sin*sum)
		}
		return sin * sum
	}
	low, high := 0.0, 1.0
	for within(high) < 2*q-1 {
		high *= 2
	}
	for range 60 {
		if mid := (low + high) / 2; within(mid) < 2*q-1 {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}
