package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries/stats"
)

// Gate is a limit on a change, such as ttft<=+3% or hit_ratio>=-1pp.
type Gate struct {
	Metric string
	AtMost bool
	Limit  float64 // as a share: 0.03 for 3 % or 3 points
	Text   string  // as it was given
}

// ParseGate reads limits, separated by commas. A limit that cannot be read, or that names an unknown metric, is an error.
func ParseGate(text string) ([]Gate, error) {
	var out []Gate
	for part := range strings.SplitSeq(text, ",") {
		g, err := parseLimit(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("read gate %q: %w", strings.TrimSpace(part), err)
		}
		out = append(out, g)
	}
	return out, nil
}

func parseLimit(text string) (Gate, error) {
	g := Gate{Text: text, AtMost: true}
	name, limit, ok := strings.Cut(text, "<=")
	if !ok {
		g.AtMost = false
		if name, limit, ok = strings.Cut(text, ">="); !ok {
			return g, fmt.Errorf("wants METRIC<=LIMIT or METRIC>=LIMIT, such as ttft<=+3%%")
		}
	}
	g.Metric = strings.TrimSpace(name)
	m, ok := MetricNamed(g.Metric)
	if !ok {
		return g, fmt.Errorf("there is no metric %q%s", g.Metric, plain.Instead(g.Metric, MetricNames()))
	}
	unit := "%"
	if m.Ratio {
		unit = "pp"
	}
	limit = strings.TrimSpace(limit)
	number, ok := strings.CutSuffix(limit, unit)
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &g.Limit); err != nil || !ok || math.IsNaN(g.Limit) || math.IsInf(g.Limit, 0) {
		return g, fmt.Errorf("wants a limit in %s, not %q", unit, limit)
	}
	g.Limit /= 100
	return g, nil
}

// GateState is the result of checking a gate.
type GateState string

// States of a gate.
const (
	GateHolds    GateState = "holds"
	GateBreached GateState = "breached"     // certainly
	GateOpen     GateState = "not shown"    // neither shown to hold nor to be breached
	GateUnknown  GateState = "not measured" // there is nothing to check
	GateForeign  GateState = "not checked"  // the sides cannot be compared
)

// CheckGates checks each gate against the verdicts over all turns. A gate is breached when the whole interval lies beyond the limit and
// Wilcoxon's test rejects a change as large as the limit at 5 %, after Holm's correction over the limits. A gate holds when the whole
// interval is within the limit.
func CheckGates(gates []Gate, verdicts []Verdict) []GateState {
	p := make([]float64, len(gates))
	for i, g := range gates {
		p[i] = math.NaN()
		if v := g.verdict(verdicts); v != nil && v.pAt != nil {
			p[i] = v.pAt(g.Limit)
		}
	}
	p = stats.Holm(nanToOne(p))
	out := make([]GateState, len(gates))
	for i, g := range gates {
		out[i] = g.state(g.verdict(verdicts), p[i])
	}
	return out
}

// verdict finds the verdict that the gate is about; nil where there is nothing to check.
func (g Gate) verdict(verdicts []Verdict) *Verdict {
	i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Metric.Name == g.Metric && v.Group == all })
	switch {
	case i < 0:
		return nil
	case verdicts[i].Outcome == NotCompared:
		return &verdicts[i]
	case !verdicts[i].Measured || verdicts[i].pAt == nil:
		return nil
	}
	return &verdicts[i]
}

// state gives the state of the gate. p is the p value if the true change were the limit.
func (g Gate) state(v *Verdict, p float64) GateState {
	switch {
	case v == nil:
		return GateUnknown
	case v.Foreign:
		return GateForeign
	case !v.Enough:
		return GateOpen
	case (g.AtMost && v.Low > g.Limit || !g.AtMost && v.High < g.Limit) && p <= 1-level:
		return GateBreached
	case g.AtMost && v.High <= g.Limit || !g.AtMost && v.Low >= g.Limit:
		return GateHolds
	}
	return GateOpen
}
