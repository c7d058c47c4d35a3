package stats

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// pairSums selects among the sums of each row with each column, both sorted, without computing all of them: a thousand values have a
// million sums with each other. Sums grow along rows and columns, so that all sums below a limit are counted in one walk along the border
// (Johnson and Mizoguchi 1978, "Selecting the Kth Element in X + Y and X1 + X2 + … + Xm").
type pairSums struct {
	rows, columns []float64
	upper         bool  // row i has only the columns from i on: each pair of one list once, and each value with itself
	from, to      []int // the sums in question of each row: columns from[i] to to[i]-1
	ends          []int // result of count
}

func newPairSums(rows, columns []float64, upper bool) *pairSums {
	p := &pairSums{rows: rows, columns: columns, upper: upper}
	for _, s := range []*[]int{&p.from, &p.to, &p.ends} {
		*s = make([]int, len(rows))
	}
	return p
}

// first gives the first column of a row.
func (p *pairSums) first(row int) int {
	if p.upper {
		return row
	}
	return 0
}

// count gives how many sums lie below a limit, or up to it if with is true. ends then has, for each row, the first column beyond that.
func (p *pairSums) count(limit float64, with bool) (n int) {
	if !with {
		limit = math.Nextafter(limit, math.Inf(-1))
	}
	columns, ends := p.columns, p.ends[:len(p.rows)]
	j := len(columns)
	for i, r := range p.rows {
		for j > 0 && r+columns[j-1] > limit {
			j--
		}
		first := p.first(i)
		ends[i] = max(j, first)
		n += ends[i] - first
	}
	return n
}

// median gives the middle sum, or the mean of the two middle ones; NaN if there are none.
func (p *pairSums) median() float64 {
	total := 0
	for i := range p.rows {
		p.from[i], p.to[i] = p.first(i), len(p.columns)
		total += max(p.to[i]-p.from[i], 0)
	}
	if total == 0 {
		return math.NaN()
	}
	upper := p.nth(total/2, total)
	if total%2 == 1 || p.count(upper, false) < total/2 {
		return upper
	}
	lower := math.Inf(-1)
	for i, end := range p.ends {
		if end > p.first(i) {
			lower = max(lower, p.rows[i]+p.columns[end-1])
		}
	}
	return (lower + upper) / 2
}

// sampled is how many sums in question are drawn to choose two limits between which the wanted sum most likely lies.
const sampled = 128

// nth gives the sum with k smaller ones before it. left sums are in question. Each round leaves about a sixth of them (Floyd and Rivest
// 1975, CACM 18(3), on the expected time of selection).
func (p *pairSums) nth(k, left int) float64 {
	few := 4 * len(p.rows)
	skipped := 0
	state := uint64(1)
	for left > few {
		sample := p.sample(left, &state)
		middle := (k - skipped) * sampled / left
		for _, at := range []int{middle - 11, middle + 11} { // 11: about the root of the sample's size
			p.narrow(k, sample[min(max(at, 0), sampled-1)], false)
		}
		was := left
		if skipped, left = p.inQuestion(); left == was { // many sums are equal
			limit := sample[min(max(middle, 0), sampled-1)]
			if p.narrow(k, limit, false) && !p.narrow(k, limit, true) {
				return limit
			}
			skipped, left = p.inQuestion()
		}
	}
	rest := make([]float64, 0, left)
	for i, r := range p.rows {
		for j := p.from[i]; j < p.to[i]; j++ {
			rest = append(rest, r+p.columns[j])
		}
	}
	return nth(rest, k-skipped)
}

// narrow keeps the half of the sums in question that holds the wanted one: those below the limit, or those from it on (beyond it, if with
// is true). beyond says that it kept the latter.
func (p *pairSums) narrow(k int, limit float64, with bool) (beyond bool) {
	if k < p.count(limit, with) {
		for i, end := range p.ends {
			p.to[i] = max(min(p.to[i], end), p.from[i])
		}
		return false
	}
	for i, end := range p.ends {
		p.from[i] = min(max(p.from[i], end), p.to[i])
	}
	return true
}

// inQuestion counts the sums in question, and those before them.
func (p *pairSums) inQuestion() (skipped, left int) {
	for i := range p.rows {
		skipped += p.from[i] - p.first(i)
		left += p.to[i] - p.from[i]
	}
	return skipped, left
}

// sample draws some of the sums in question and gives them sorted.
func (p *pairSums) sample(left int, state *uint64) []float64 {
	ranks := make([]int, sampled)
	for i := range ranks {
		*state = *state*6364136223846793005 + 1442695040888963407 // Knuth's generator, which is good enough here
		ranks[i] = int(*state>>33) % left
	}
	slices.Sort(ranks)
	out := make([]float64, 0, sampled)
	before := 0
	for i, r := range p.rows {
		width := p.to[i] - p.from[i]
		for len(out) < sampled && ranks[len(out)] < before+width {
			out = append(out, r+p.columns[p.from[i]+ranks[len(out)]-before])
		}
		before += width
	}
	slices.Sort(out)
	return out
}

// sorted gives values in ascending order.
func sorted(x []float64) []float64 {
	if slices.IsSorted(x) {
		return x
	}
	return slices.Sorted(slices.Values(x))
}

// HodgesLehmann estimates the centre of paired differences: the median of the means of all pairs of them, where each difference is also
// paired with itself. It assumes that the differences are distributed symmetrically about the centre, and tolerates 29 % of outliers.
// It is NaN without differences.
func HodgesLehmann(d []float64) float64 {
	s := sorted(d)
	return newPairSums(s, s, true).median() / 2
}

// Shift estimates by how much b lies above a, for samples that are not paired: the median of all differences. It is NaN if one is empty.
func Shift(a, b []float64) float64 {
	less := make([]float64, len(a))
	for i, x := range sorted(a) {
		less[len(a)-1-i] = -x
	}
	return newPairSums(less, sorted(b), false).median()
}

// Drawn draws as many parts as there are, with replacement, and gives them in their original order, so that sorted parts stay sorted.
func Drawn[T any](parts []T, rng *rand.Rand) []T {
	times := make([]int, len(parts))
	for range parts {
		times[rng.IntN(len(parts))]++
	}
	out := make([]T, 0, len(parts))
	for i, n := range times {
		for range n {
			out = append(out, parts[i])
		}
	}
	return out
}

// Draws gives a statistic of n draws, in their order. draw makes the values of one draw, which only one call of statistic gets. The
// statistics are computed in parallel.
func Draws[T any](n int, draw func() T, statistic func(T) float64) []float64 {
	type one struct {
		i     int
		drawn T
	}
	out := make([]float64, n)
	todo := make(chan one, 64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for x := range todo {
				out[x.i] = statistic(x.drawn)
			}
		})
	}
	for i := range n {
		todo <- one{i, draw()}
	}
	close(todo)
	workers.Wait()
	return out
}
