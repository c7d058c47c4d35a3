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
	Faster       Outcome = "faster" // better, for figures that are not times
	Slower       Outcome = "slower"
	Equivalent   Outcome = "equivalent" // the interval lies within the margin
	Inconclusive Outcome = "inconclusive"
	NotCompared  Outcome = "not compared" // it counts tokens, and the sides have different tokenisers, or that is not known
)

// Verdict is the answer for one metric and group.
type Verdict struct {
	Metric Metric
	Group  string // "all", or the name of one group
	Estimate
	Evidence
	Noise   float64 // the largest change within the interval of equal runs; NaN where it is not known
	Foreign bool    // the sides cannot be compared: only one is simulated, one began warm, or they have no conversation in common
	Outcome Outcome
	// OtherLengths: replies of the sides differ in length, or that is not known, and the metric is the time of whole replies
	OtherLengths bool
	More         int // further sessions that an inconclusive verdict needs; 0: not known, or more than a thousand
}

// manySessions is the largest value of Verdict.More: nobody plays more than that.
const manySessions = 1000

// decide gives the verdicts, by group and within a group by metric.
func decide(p pairing, metrics []Metric, c Comparison) (out []Verdict) {
	for _, g := range p.groups(c.By) {
		in := p.within(g)
		first := len(out)
		for i, m := range metrics {
			v := Verdict{Metric: m, Group: g, Noise: math.NaN(), Outcome: Inconclusive}
			v.Estimate, v.Evidence = estimate(in, i, m)
			if v.Measured && p.uncounted(m) {
				v.refuse()
			}
			out = append(out, v)
		}
		questions := adjust(out[first:])
		for i := range out[first:] {
			v := &out[first+i]
			v.settle(c.Margin, questions[i])
			in.byLength(v, i, c.Margin, questions[i])
		}
	}
	return out
}

// adjust fills in Adjusted for the metrics of one group, and gives how many tests each of them is one of. The first metric is the primary
// one. The others are secondary, and Holm's correction makes their verdicts stricter; metrics without figures are not counted.
func adjust(group []Verdict) (questions []int) {
	var p []float64
	var secondary []int
	for i := range group {
		group[i].Adjusted = group[i].P
		if i > 0 && group[i].Measured {
			secondary, p = append(secondary, i), append(p, group[i].P)
		}
	}
	for i, adjusted := range stats.Holm(nanToOne(p)) {
		group[secondary[i]].Adjusted = adjusted
	}
	questions = make([]int, len(group))
	for i := range questions {
		questions[i] = len(secondary)
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

// LeastSessions gives how many sessions a side needs for a verdict on each of some metrics that are compared at once. With fewer, not even
// differences of one sign reach p ≤ 0.05: the smallest p of the exact test, times the number of secondary metrics (Holm), is larger.
func LeastSessions(metrics int) int {
	least := fewSessions
	for stats.SignedRankFloor(least)*float64(metrics-1) > 1-level {
		least++
	}
	return least
}

// LeastProcesses is LeastSessions for server processes, where those are the unit of evidence: one sample of them is compared with another.
func LeastProcesses(metrics int) int {
	least := 1
	for stats.RankSumFloor(least, least)*float64(max(metrics-1, 1)) > 1-level {
		least++
	}
	return least
}

// settle sets the outcome and More. questions is how many tests are made at once.
func (v *Verdict) settle(margin float64, questions int) {
	if v.Outcome == NotCompared {
		return
	}
	v.Outcome = v.outcome(margin)
	v.More = 0
	if v.Outcome == Inconclusive && v.Measured {
		v.More = v.more(margin, questions)
	}
}

// outcome says what the estimate means. Equivalence comes first: a difference that is certain but within the margin does not matter.
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

// more says how many further sessions would give a verdict; 0 if that is not known, or too many.
func (v *Verdict) more(margin float64, questions int) int {
	units, more := cmp.Or(v.Processes, v.Sessions), 0
	switch {
	case !v.Enough && v.Processes > 0:
		more = 1
	case !v.Enough:
		more = fewSessions - v.Sessions
	default:
		// the interval shrinks with the root of the number of sessions: it has to exclude 0, or to lie within the margin
		half := (v.High - v.Low) / 2
		off := math.Max(math.Abs(v.Change), margin-math.Abs(v.Change))
		if off > 0 && half > 0 {
			factor := half / off
			more = max(int(math.Ceil(float64(units)*factor*factor))-units, 1)
		}
	}
	// with fewer sessions, not even differences of one sign reach p: the smallest p of the exact tests, times the number of tests
	floor := stats.SignedRankFloor
	if !v.Paired || v.Processes > 0 {
		floor = func(n int) float64 { return stats.RankSumFloor(n, n) }
	}
	least := units
	for floor(least)*float64(questions) > 1-level {
		least++
	}
	more = max(more, least-units)
	if v.Processes > 0 { // given in sessions, as in other cases
		more = (more*v.Sessions + v.Processes - 1) / v.Processes
	}
	if more > manySessions {
		return 0
	}
	return more
}
