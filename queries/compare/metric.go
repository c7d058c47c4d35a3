package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"wb/data/plain"
)

// Metric is a figure by which two sets of runs are compared.
type Metric struct {
	Name   string // as on the command line
	Column string // column of the saved query compare_turns
	Words  string // as in a sentence
	Ratio  bool   // a ratio from 0 to 1, which is compared by its difference; other metrics are compared by their quotient
	Higher bool   // more is better
	Tokens bool   // it counts tokens, so that sides with different tokenisers cannot be compared by it
	Whole  bool   // the time of whole replies, which grows with their length
}

// bytesPerSecond is the speed of a reply that can be compared where tokens cannot.
const bytesPerSecond = "bytes_s"

// Metrics lists what can be compared, the primary one first.
func Metrics() []Metric {
	return []Metric{
		{Name: "ttft", Column: "ttft_ms", Words: "TTFT"},
		{Name: "itl_p50", Column: "itl_p50_ms", Words: "ITL p50", Tokens: true},
		{Name: "itl_p99", Column: "itl_p99_ms", Words: "ITL p99", Tokens: true},
		{Name: "tpot", Column: "tpot_ms", Words: "time per token", Tokens: true},
		{Name: "e2e", Column: "e2e_ms", Words: "time of a turn", Whole: true},
		{Name: "tok_s", Column: "decode_tokens_per_s", Words: "tokens/s", Higher: true, Tokens: true},
		{Name: "hit_ratio", Column: "hit_ratio", Words: "hit ratio", Ratio: true, Higher: true, Tokens: true},
		{Name: "j_per_token", Column: "energy_per_token_j", Words: "energy per token", Tokens: true},
		{Name: "peak_mem", Column: "peak_memory_bytes", Words: "peak memory"},
		{Name: bytesPerSecond, Column: "text_bytes_per_s", Words: "bytes of text/s", Higher: true},
	}
}

// time says whether the metric is a time, of which less is faster.
func (m Metric) time() bool { return strings.HasSuffix(m.Column, "_ms") }

// MetricNames lists the names of Metrics.
func MetricNames() (names []string) {
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return names
}

// Usual lists the metrics that are compared where none is named.
func Usual() []string { return []string{"ttft", "tpot", "itl_p99", "e2e", "tok_s", "hit_ratio"} }

// MetricNamed finds a metric by name; ok is false if there is none.
func MetricNamed(name string) (m Metric, ok bool) {
	i := slices.IndexFunc(Metrics(), func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return Metrics()[i], true
}

// metrics gives the metrics that are compared, each once. An unknown metric or grouping is an error.
func (c Comparison) metrics() ([]Metric, error) {
	var out []Metric
	for k, name := range c.Metrics {
		if slices.Contains(c.Metrics[:k], name) { // it was named before
			continue
		}
		m, ok := MetricNamed(name)
		if !ok {
			return nil, plain.Mistakef("choose metric %q: no metric has this name%s", name, plain.Instead(name, MetricNames()))
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

// withBytes adds bytes of text per second to metrics that do not have them.
func withBytes(metrics []Metric) []Metric {
	m, _ := MetricNamed(bytesPerSecond)
	if slices.Contains(metrics, m) {
		return metrics
	}
	return append(slices.Clone(metrics), m)
}

// timesTokens says whether the speed of tokens is among the metrics.
func timesTokens(metrics []Metric) bool {
	return slices.ContainsFunc(metrics, func(m Metric) bool { return m.Tokens && (m.time() || m.Name == "tok_s") })
}

// scales gives two functions: scale turns a figure into the value of which differences are taken, and back turns a difference into a
// change.
func (m Metric) scales() (scale, back func(float64) float64) {
	if m.Ratio {
		same := func(v float64) float64 { return v }
		return same, same
	}
	return math.Log, math.Expm1
}

// step turns a change into a difference of scaled values. A figure cannot fall by more than 100 %.
func (m Metric) step(change float64) float64 {
	if m.Ratio {
		return change
	}
	return math.Log1p(math.Max(change, -1))
}

// seeded gives the random numbers for intervals of a metric. The same figures give the same interval, whatever else is compared.
func (m Metric) seeded(stream uint64) *rand.Rand {
	i := slices.IndexFunc(Metrics(), func(k Metric) bool { return k.Name == m.Name })
	return rand.New(rand.NewPCG(stream, uint64(i))) //nolint:gosec // statistics, and -1 for no metric is a seed too
}
