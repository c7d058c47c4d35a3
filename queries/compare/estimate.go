package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"wb/queries/stats"
)

// Estimate says by how much head differs from base. A figure that is not known is NaN.
type Estimate struct {
	Base, Head  float64                      // medians over the turns that are compared, in the metric's unit
	Change      float64                      // quotient less 1, or difference of ratios; positive: head has more
	Low, High   float64                      // 95 % interval of Change
	P, Adjusted float64                      // Wilcoxon's p, and the same after Holm's correction over the metrics of the group
	pAt         func(change float64) float64 // Wilcoxon's p if the true change were this one; nil where nothing was compared
}

// Evidence says how much data an estimate is based on.
type Evidence struct {
	Sessions  int  // pairs of sessions, or the smaller number of sessions when they are not paired
	Processes int  // server processes, the smaller number of both sides; 0 where sessions are the unit of evidence
	Turns     int  // the smaller number of both sides
	Paired    bool // each turn was compared with the same turn of the other side
	Enough    bool // there are enough sessions, or processes, for a verdict
	Measured  bool // there are figures of the metric that can be compared, on one side at least
}

const (
	level = 0.95
	draws = 1000
	// with few sessions the ends are far out in the tails and need more draws, which cost little
	fewDraws, fewUnits = 2000, 40
	// draws of many sessions cost much, and the ends of 500 draws vary only by 3 % of the interval
	manyDraws, manyUnits = 500, 400
	// fewer sessions than this are not enough for a verdict: an exact two-sided test of 5 cannot reach p = 0.05
	fewSessions = 6
)

// The streams of random numbers. Each use has a separate stream, so that one interval does not change another.
const (
	streamChange = 20
	streamNoise  = 21
	streamLevel  = 22
)

// estimate says by how much the sides of a pairing differ in a metric m, which is the i-th of the values of each turn.
func estimate(p pairing, i int, m Metric) (Estimate, Evidence) {
	switch {
	case p.unit == unitProcess:
		return estimateProcesses(p, i, m)
	case p.paired:
		return estimatePaired(p, i, m)
	}
	return estimateSamples(p, i, m)
}

// unestimated gives an estimate that has only the medians of both sides.
func unestimated(p pairing, i int) (Estimate, Evidence) {
	value := func(o observation) float64 { return o.values[i] }
	b, h := known(p.base, value), known(p.head, value)
	nan := math.NaN()
	return Estimate{Base: stats.Median(b), Head: stats.Median(h), Change: nan, Low: nan, High: nan, P: nan, Adjusted: nan},
		Evidence{Paired: p.paired, Measured: len(b)+len(h) > 0}
}

// estimatePaired takes the difference of each turn from the same turn of the other side.
func estimatePaired(p pairing, i int, m Metric) (e Estimate, ev Evidence) {
	scale, back := m.scales()
	e, ev = unestimated(p, i)
	other := byKey(p.base)
	var x, y []float64
	d := bySession(p.head, func(o observation) float64 {
		b, ok := partner(o, other)
		if !ok {
			return math.NaN()
		}
		change := scale(o.values[i]) - scale(b.values[i])
		if !math.IsNaN(change) {
			x, y = append(x, b.values[i]), append(y, o.values[i])
		}
		return change
	})
	ev.Sessions, ev.Turns, ev.Enough = len(d), len(x), len(d) >= fewSessions
	if len(d) == 0 {
		return e, ev
	}
	e.Base, e.Head = stats.Median(x), stats.Median(y) // only of turns that were compared
	e.Change = back(stats.HodgesLehmann(d))
	low, high := interval(d, m.seeded(streamChange))
	e.Low, e.High = back(low), back(high)
	_, e.P, _ = stats.SignedRank(d)
	e.pAt = func(change float64) float64 {
		moved := slices.Clone(d)
		for i := range moved {
			moved[i] -= m.step(change)
		}
		_, p, _ := stats.SignedRank(moved)
		return p
	}
	return e, ev
}

// estimateSamples compares sessions as two samples.
func estimateSamples(p pairing, i int, m Metric) (e Estimate, ev Evidence) {
	scale, back := m.scales()
	e, ev = unestimated(p, i)
	value := func(o observation) float64 { return scale(o.values[i]) }
	a, b := bySession(p.base, value), bySession(p.head, value)
	ev.Sessions, ev.Turns = min(len(a), len(b)), min(len(known(p.base, value)), len(known(p.head, value)))
	ev.Enough = ev.Sessions >= fewSessions
	if ev.Sessions == 0 {
		return e, ev
	}
	e.Change = back(stats.Shift(a, b))
	e.P, _ = stats.RankSum(a, b)
	e.pAt = samplesAt(a, b, m)
	if ev.Sessions < 2 {
		return e, ev
	}
	slices.Sort(a)
	slices.Sort(b)
	rng := m.seeded(streamChange)
	draw := func() [2][]float64 { return [2][]float64{stats.Drawn(a, rng), stats.Drawn(b, rng)} }
	shift := func(s [2][]float64) float64 { return stats.Shift(s[0], s[1]) }
	found := stats.Draws(drawsFor(len(a)+len(b)), draw, shift)
	out := (1 - stats.SmallSample(level, ev.Sessions)) / 2
	e.Low, e.High = back(stats.Quantile(found, out)), back(stats.Quantile(found, 1-out))
	return e, ev
}

// estimateProcesses compares server processes as two samples. Each process gives one value. For each of its turns it takes the distance
// from the middle between the means that both sides have for such turns. The value is the median over its sessions of the median over
// their turns. The interval is exact, as a bootstrap of a few processes would be too narrow.
func estimateProcesses(p pairing, i int, m Metric) (e Estimate, ev Evidence) {
	scale, back := m.scales()
	e, ev = unestimated(p, i)
	middle := map[string]float64{}
	if p.paired {
		middle = middles(p, func(o observation) float64 { return scale(o.values[i]) })
	}
	value := func(o observation) float64 {
		x, ok := middle[o.amounts()]
		if p.paired && !ok {
			return math.NaN()
		}
		return scale(o.values[i]) - x
	}
	if p.paired { // base and head are medians of the compared turns only
		compared := func(o observation) float64 {
			if math.IsNaN(value(o)) {
				return math.NaN()
			}
			return o.values[i]
		}
		e.Base, e.Head = stats.Median(known(p.base, compared)), stats.Median(known(p.head, compared))
	}
	a, x := byProcess(p.base, value)
	b, y := byProcess(p.head, value)
	ev.Sessions, ev.Processes = min(x, y), min(len(a), len(b))
	ev.Turns = min(len(known(p.base, value)), len(known(p.head, value)))
	if ev.Processes == 0 {
		return e, ev
	}
	e.Change = back(stats.Shift(a, b))
	low, high := stats.ShiftInterval(a, b, level)
	e.Low, e.High = back(low), back(high)
	e.P, _ = stats.RankSum(a, b)
	e.pAt = samplesAt(a, b, m)
	ev.Enough = !math.IsNaN(low)
	return e, ev
}

// amounts gives a key that is equal for turns that may be compared with each other, in whichever repeat they were played.
func (o observation) amounts() string {
	if o.byText {
		return fmt.Sprint(o.kind, " ", o.text)
	}
	return fmt.Sprint(o.kind, " ", o.prompt, " ", o.output)
}

// middles gives the middle between the means of both sides, for the turns that both have.
func middles(p pairing, value func(observation) float64) map[string]float64 {
	means := func(os []observation) map[string]float64 {
		per := map[string][]float64{}
		for _, o := range os {
			if x := value(o); !math.IsNaN(x) {
				per[o.amounts()] = append(per[o.amounts()], x)
			}
		}
		out := map[string]float64{}
		for k, x := range per {
			out[k] = stats.Mean(x)
		}
		return out
	}
	middle, b := map[string]float64{}, means(p.base)
	for k, y := range means(p.head) {
		if x, ok := b[k]; ok {
			middle[k] = (x + y) / 2
		}
	}
	return middle
}

// samplesAt gives a function for the p of RankSum if the true change were the given one.
func samplesAt(a, b []float64, m Metric) func(float64) float64 {
	return func(change float64) float64 {
		moved := slices.Clone(a)
		for i := range moved {
			moved[i] += m.step(change)
		}
		p, _ := stats.RankSum(moved, b)
		return p
	}
}

// drawsFor says how many bootstrap draws are made for n sessions.
func drawsFor(n int) int {
	switch {
	case n <= fewUnits:
		return fewDraws
	case n > manyUnits:
		return manyDraws
	}
	return draws
}

// interval bootstraps the Hodges–Lehmann estimate of paired differences, one per session; NaN for fewer than two.
func interval(d []float64, rng *rand.Rand) (low, high float64) {
	if len(d) < 2 {
		return math.NaN(), math.NaN()
	}
	return stats.Bootstrap(slices.Sorted(slices.Values(d)), stats.HodgesLehmann, stats.SmallSample(level, len(d)), drawsFor(len(d)), rng)
}
