package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Metric is something two sets of runs are compared by.
type Metric struct {
	Name   string // as on the command line
	Column string // of the saved query compare_turns
	Ratio  bool   // a ratio from 0 to 1, compared by its difference; everything else by its quotient
	Higher bool   // more is better
}

// Metrics lists what can be compared, the primary one first.
func Metrics() []Metric {
	return []Metric{
		{Name: "ttft", Column: "ttft_ms"},
		{Name: "itl_p50", Column: "itl_p50_ms"},
		{Name: "itl_p99", Column: "itl_p99_ms"},
		{Name: "tpot", Column: "tpot_ms"},
		{Name: "e2e", Column: "e2e_ms"},
		{Name: "tok_s", Column: "decode_tokens_per_s", Higher: true},
		{Name: "hit_ratio", Column: "hit_ratio", Ratio: true, Higher: true},
		{Name: "j_per_token", Column: "energy_per_token_j"},
		{Name: "peak_mem", Column: "peak_memory_bytes"},
	}
}

// MetricNames lists the names of Metrics.
func MetricNames() (names []string) {
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return names
}

// MetricNamed finds a metric; ok is false where there is none of that name.
func MetricNamed(name string) (m Metric, ok bool) {
	i := slices.IndexFunc(Metrics(), func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return Metrics()[i], true
}

// metrics gives what is compared, each metric once, and refuses what there is no metric or grouping of.
func (c Comparison) metrics() ([]Metric, error) {
	var out []Metric
	for k, name := range c.Metrics {
		if slices.Contains(c.Metrics[:k], name) { // asked once is enough
			continue
		}
		m, ok := MetricNamed(name)
		if !ok {
			known := strings.Join(MetricNames(), ", ")
			return nil, fmt.Errorf("choose metric %q: there is none of that name; there are %s", name, known)
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, errors.New("compare runs: no metric is named")
	}
	if !slices.Contains([]string{"", byTurn, byContext, byConversation}, c.By) {
		return nil, fmt.Errorf("compare by %q: wants turn, context or conversation", c.By)
	}
	return out, nil
}

// scales give what differences are taken of, and what a difference means.
func (m Metric) scales() (scale, back func(float64) float64) {
	if m.Ratio {
		same := func(v float64) float64 { return v }
		return same, same
	}
	return math.Log, math.Expm1
}

// step is a change in what differences are taken in. Nothing falls by more than all of it.
func (m Metric) step(change float64) float64 {
	if m.Ratio {
		return change
	}
	return math.Log1p(math.Max(change, -1))
}

// seeded gives the numbers that intervals of a metric are drawn with: the same figures give the same interval, whatever else is asked.
func (m Metric) seeded(stream uint64) *rand.Rand {
	i := slices.IndexFunc(Metrics(), func(k Metric) bool { return k.Name == m.Name })
	return rand.New(rand.NewPCG(stream, uint64(i))) //nolint:gosec // statistics, and -1 for no metric is a seed too
}
