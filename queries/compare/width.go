package compare

import (
	"context"
	"errors"
	"fmt"
	"math"

	"wb/store"
)

// ErrNoFigures is returned when a metric was not measured.
var ErrNoFigures = errors.New("no figures of this metric")

// Width says how precisely a metric is known: half of the 95 % interval, as a share. For several runs it is the widest interval of the
// changes against the first run. For one run it is the interval of its level, which comes from the differences between its repeats. It is
// NaN with too few sessions. ErrNoFigures says that the metric was not measured.
func Width(ctx context.Context, db *store.DB, metric string, runs []string) (float64, error) {
	switch len(runs) {
	case 0:
		return math.NaN(), nil
	case 1:
		return runWidth(ctx, db, metric, runs[0])
	}
	widest := 0.0
	for _, head := range runs[1:] {
		r, err := Run(ctx, db, Comparison{Base: runs[0], Head: head, Metrics: []string{metric}})
		if err != nil {
			return 0, err
		}
		v := r.Verdicts[0]
		if !v.Measured {
			return 0, ErrNoFigures
		}
		h := v.half()
		if math.IsNaN(h) {
			return h, nil
		}
		widest = max(widest, h)
	}
	return widest, nil
}

// half gives half of the width of the interval; NaN where there are too few sessions.
func (v Verdict) half() float64 {
	if !v.Enough {
		return math.NaN()
	}
	return (v.High - v.Low) / 2
}

// runWidth is Width of one run.
func runWidth(ctx context.Context, db *store.DB, metric, run string) (float64, error) {
	m, ok := MetricNamed(metric)
	if !ok {
		return 0, fmt.Errorf("choose metric %q: there is none of that name", metric)
	}
	side, err := loadSide(ctx, db, run, []Metric{m})
	if err != nil {
		return 0, err
	}
	os := observe(side.Turns, "", warmthOf(side, side).skip)
	if len(known(os, func(o observation) float64 { return o.values[0] })) == 0 {
		return 0, ErrNoFigures
	}
	return levelInterval(os, m).half(), nil
}

// levelInterval gives the interval of the level of one side. Each turn is compared with the mean of the same turn over n repeats. The
// factor √(n/(n−1)) corrects for the error of that mean.
func levelInterval(os []observation, m Metric) Verdict {
	scale, back := m.scales()
	sum, n := map[kind]float64{}, map[kind]float64{}
	for _, o := range os {
		if v := scale(o.values[0]); !math.IsNaN(v) {
			sum[o.kind] += v
			n[o.kind]++
		}
	}
	d := bySession(os, func(o observation) float64 {
		k := o.kind
		if n[k] < 2 {
			return math.NaN()
		}
		return (scale(o.values[0]) - sum[k]/n[k]) * math.Sqrt(n[k]/(n[k]-1))
	})
	v := Verdict{Metric: m}
	v.Evidence = Evidence{Sessions: len(d), Enough: len(d) >= fewSessions}
	v.Low, v.High = math.NaN(), math.NaN()
	if len(d) > 0 {
		low, high := interval(d, m.seeded(streamLevel))
		v.Low, v.High = back(low), back(high)
	}
	return v
}
