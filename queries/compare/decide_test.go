package compare

import (
	"fmt"
	"math"
	"testing"
)

func TestOutcome(t *testing.T) {
	lower, higher := Metrics()[0], Metric{Name: "tok_s", Higher: true}
	for name, c := range map[string]struct {
		metric    Metric
		low, high float64
		p         float64
		enough    bool
		want      Outcome
	}{
		"more is slower":                    {lower, 0.05, 0.15, 0.01, true, Slower},
		"less is faster":                    {lower, -0.15, -0.05, 0.01, true, Faster},
		"more is better":                    {higher, 0.05, 0.15, 0.01, true, Faster},
		"less is worse":                     {higher, -0.15, -0.05, 0.01, true, Slower},
		"inside the margin":                 {lower, -0.01, 0.015, 0.9, true, Equivalent},
		"certain, and inside the margin":    {lower, 0.01, 0.015, 0.001, true, Equivalent},
		"the interval holds 0":              {lower, -0.05, 0.15, 0.01, true, Inconclusive},
		"the test does not reject chance":   {lower, 0.05, 0.15, 0.06, true, Inconclusive},
		"too few":                           {lower, 0.05, 0.15, 0.01, false, Inconclusive},
		"too few, and inside of the margin": {lower, 0, 0, 1, false, Inconclusive},
	} {
		v := Verdict{Metric: c.metric}
		v.Low, v.High, v.Adjusted, v.Enough = c.low, c.high, c.p, c.enough
		if got := v.outcome(0.02); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestMore(t *testing.T) {
	for name, c := range map[string]struct {
		change, half float64
		evidence     Evidence
		questions    int
		want         int
	}{
		"three sessions want three more":       {0.1, 0.05, Evidence{Sessions: 3, Paired: true}, 1, 3},
		"twice the interval wants four times":  {0.1, 0.2, Evidence{Sessions: 10, Paired: true, Enough: true}, 1, 30},
		"into the margin is as near":           {0, 0.04, Evidence{Sessions: 10, Paired: true, Enough: true}, 1, 30},
		"six cannot answer two questions":      {0.1, 0.05, Evidence{Sessions: 6, Paired: true, Enough: true}, 2, 1},
		"more than a thousand is not said":     {0.001, 0.5, Evidence{Sessions: 10, Paired: true, Enough: true}, 1, 0},
		"a process more, told in sessions":     {0.1, 0.05, Evidence{Sessions: 12, Processes: 3, Paired: true}, 1, 4},
		"a process more, in sessions of which": {0.1, 0.2, Evidence{Sessions: 8, Processes: 4, Paired: true, Enough: true}, 1, 24},
	} {
		v := Verdict{}
		v.Change, v.Low, v.High, v.Evidence = c.change, c.change-c.half, c.change+c.half, c.evidence
		if got := v.more(0.02, c.questions); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The first metric is primary. The others are corrected for being several, as far as they have figures.
func TestAdjust(t *testing.T) {
	group := make([]Verdict, 4)
	for i, p := range []float64{0.01, 0.01, 0.02, math.NaN()} {
		group[i].P, group[i].Measured = p, i < 3
	}
	questions := adjust(group)
	got := fmt.Sprint(questions, group[0].Adjusted, group[1].Adjusted, group[2].Adjusted, group[3].Adjusted)
	if got != "[1 2 2 2] 0.01 0.02 0.02 NaN" {
		t.Error(got)
	}
}

// An equivalent verdict needs no more sessions, and neither does a metric without figures.
func TestSettle(t *testing.T) {
	same := Verdict{More: 9}
	same.Evidence = Evidence{Sessions: 10, Enough: true, Measured: true, Paired: true}
	if same.settle(0.02, 1); same.Outcome != Equivalent || same.More != 0 {
		t.Errorf("%+v", same)
	}
	none := Verdict{More: 9}
	if none.settle(0.02, 1); none.Outcome != Inconclusive || none.More != 0 {
		t.Errorf("%+v", none)
	}
}
