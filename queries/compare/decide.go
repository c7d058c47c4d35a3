package compare

import (
	"cmp"
	"math"
	"slices"

	"wb/queries/stats"
)

// Outcome is what an estimate means.
type Outcome string

// Outcomes.
const (
	Faster       Outcome = "faster" // better, for what is no time
	Slower       Outcome = "slower"
	Equivalent   Outcome = "equivalent" // the interval lies within the margin
	Inconclusive Outcome = "inconclusive"
)

// Verdict is the answer for one metric and group.
type Verdict struct {
	Metric Metric
	Group  string // "all", or a value of what it is grouped by
	Estimate
	Evidence
	Noise   float64 // the largest change that the interval of equal runs holds; NaN: not known
	Foreign bool    // the sides do not do the same: one is simulated, or they have no conversation in common
	Outcome Outcome
	More    int // sessions that would settle an inconclusive one; 0: not known, or more than a thousand
}

// manySessions are so many that nobody wants to hear of more.
const manySessions = 1000

// decide gives the verdicts, by group and in each by metric.
func decide(p pairing, metrics []Metric, c Comparison) (out []Verdict) {
	for _, g := range p.groups(c.By) {
		in := p.within(g)
		first := len(out)
		for i, m := range metrics {
			v := Verdict{Metric: m, Group: g, Noise: math.NaN(), Outcome: Inconclusive}
			v.Estimate, v.Evidence = estimate(in, i, m)
			out = append(out, v)
		}
		questions := adjust(out[first:])
		for i := range out[first:] {
			out[first+i].settle(c.Margin, questions[i])
		}
	}
	return out
}

// adjust fills in Adjusted for the metrics of one group, and gives how many questions each is one of. The first metric is the question; the
// others are looked at besides, and their verdicts pay for it: those that there is something to see of.
func adjust(group []Verdict) (questions []int) {
	var p []float64
	var besides []int
	for i := range group {
		group[i].Adjusted = group[i].P
		if i > 0 && group[i].Measured {
			besides, p = append(besides, i), append(p, group[i].P)
		}
	}
	for i, adjusted := range stats.Holm(nanToOne(p)) {
		group[besides[i]].Adjusted = adjusted
	}
	questions = make([]int, len(group))
	for i := range questions {
		questions[i] = len(besides)
		if i == 0 {
			questions[i] = 1
		}
	}
	return questions
}

func nanToOne(p []float64) []float64 {
	out := slices.Clone(p)
	for i, v := range out {
		if math.IsNaN(v) {
			out[i] = 1
		}
	}
	return out
}

// settle gives the outcome; questions is how many are asked at once.
func (v *Verdict) settle(margin float64, questions int) {
	v.Outcome = v.outcome(margin)
	v.More = 0
	if v.Outcome == Inconclusive && v.Measured {
		v.More = v.more(margin, questions)
	}
}

// outcome says what the estimate means. Equivalence goes first: a difference that is certain and of no account is no difference.
func (v *Verdict) outcome(margin float64) Outcome {
	up, down := Slower, Faster
	if v.Metric.Higher {
		up, down = Faster, Slower
	}
	switch {
	case !v.Enough:
		return Inconclusive
	case v.Low >= -margin && v.High <= margin:
		return Equivalent
	case v.Low > 0 && v.Adjusted <= 1-level:
		return up
	case v.High < 0 && v.Adjusted <= 1-level:
		return down
	}
	return Inconclusive
}

// more says how many sessions more would settle it; 0 for not known, or too many.
func (v *Verdict) more(margin float64, questions int) int {
	units, more := cmp.Or(v.Processes, v.Sessions), 0
	switch {
	case !v.Enough && v.Processes > 0:
		more = 1
	case !v.Enough:
		more = fewSessions - v.Sessions
	default:
		// the interval shrinks with the root of the number of sessions; it has to get off 0, or into the margin
		half := (v.High - v.Low) / 2
		off := math.Max(math.Abs(v.Change), margin-math.Abs(v.Change))
		if off > 0 && half > 0 {
			factor := half / off
			more = max(int(math.Ceil(float64(units)*factor*factor))-units, 1)
		}
	}
	// with fewer, not even differences that all point one way reach p: the exact tests' floor, times the questions asked
	floor := stats.SignedRankFloor
	if !v.Paired || v.Processes > 0 {
		floor = func(n int) float64 { return stats.RankSumFloor(n, n) }
	}
	least := units
	for floor(least)*float64(questions) > 1-level {
		least++
	}
	more = max(more, least-units)
	if v.Processes > 0 { // told in sessions, as the others are
		more = (more*v.Sessions + v.Processes - 1) / v.Processes
	}
	if more > manySessions {
		return 0
	}
	return more
}
