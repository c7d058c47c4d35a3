package compare

import (
	"math"
	"slices"
)

// noise fills in how much equal runs differ: the two runs of a calibration, or else the repeats of base compared with each other.
func (r *Result) noise(metrics []Metric) {
	equals := r.Facts.Calibration.verdicts(metrics, r.Comparison)
	if len(equals) > 0 {
		r.noiseOf = r.Facts.Calibration.Day
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Outcome == NotCompared {
			continue
		}
		if r.pairing.unit != unitProcess { // repeats in one process do not show how processes differ
			v.Noise = noiseWithin(r.pairing.base, slices.Index(metrics, v.Metric), v.Metric, v.Group)
		}
		for _, e := range equals {
			if e.Metric == v.Metric && e.Group == v.Group {
				v.Noise = math.Max(math.Abs(e.Low), math.Abs(e.High))
			}
		}
	}
}

// verdicts compares the two halves of a calibration, which are equal on purpose. Metrics with too few figures are left out.
func (c *Calibration) verdicts(metrics []Metric, asked Comparison) []Verdict {
	if c == nil {
		return nil
	}
	w := warmthOf(c.Base, c.Head)
	if w.apart {
		return nil
	}
	p := pair(observe(c.Base.Turns, asked.By, w.skip), observe(c.Head.Turns, asked.By, w.skip))
	return slices.DeleteFunc(decide(p, metrics, asked), func(v Verdict) bool { return math.IsNaN(v.Low) || !v.Enough })
}

// noiseWithin compares a side with itself: repeats 1, 3, 5 … with 2, 4, 6 … It gives the largest change within the interval, or NaN where
// that is not known.
func noiseWithin(side []observation, i int, m Metric, group string) float64 {
	scale, back := m.scales()
	turns := byKey(side)
	d := bySession(side, func(o observation) float64 {
		if o.pass%2 != 0 || (group != all && o.group != group) {
			return math.NaN()
		}
		next := o.key
		next.pass++
		n, ok := turns[next]
		if !ok {
			return math.NaN()
		}
		return scale(n.values[i]) - scale(o.values[i])
	})
	if len(d) < fewSessions {
		return math.NaN()
	}
	low, high := interval(d, m.seeded(streamNoise))
	return math.Max(math.Abs(back(low)), math.Abs(back(high)))
}
