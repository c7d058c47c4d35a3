package compare

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestGate(t *testing.T) {
	if raced { // the tests of queries/stats run its workers
		t.Skip("it takes minutes under the race detector")
	}
	gates, err := ParseGate("ttft<=+3%, hit_ratio>=-1pp,tok_s>=-2.5%")
	if err != nil || len(gates) != 3 || gates[0].Limit != 0.03 || !gates[0].AtMost || gates[1].Limit != -0.01 || gates[2].Limit != -0.025 {
		t.Fatalf("%+v (%v)", gates, err)
	}
	for _, bad := range []string{
		"", "ttft", "ttft<3%", "nope<=3%", "ttft<=3", "ttft<=3pp", "hit_ratio>=1%", "ttft<=x%", "ttft<=NaN%", "ttft<=3%%",
	} {
		if g, err := ParseGate(bad); err == nil {
			t.Errorf("%q is %+v", bad, g)
		}
	}
	rng := rand.New(rand.NewPCG(6, 9))
	of := func(passes int, factor float64) []Verdict {
		return []Verdict{verdictOf(synthetic(rng, "b", passes, 1), synthetic(rng, "h", passes, factor), 0.02)}
	}
	foreign := of(10, 1.2)
	foreign[0].Foreign = true
	for name, tt := range map[string]struct {
		v    []Verdict
		want GateState
	}{
		"above": {of(10, 1.06), GateBreached}, "at": {of(10, 1.03), GateOpen}, "below": {of(10, 1.01), GateHolds}, "few": {of(1, 1.2), GateOpen},
		"nothing": {nil, GateUnknown}, "foreign": {foreign, GateForeign},
		"no figures": {[]Verdict{{Metric: Metrics()[0], Group: all}}, GateUnknown},
	} {
		if got := CheckGates(gates[:1], tt.v); got[0] != tt.want {
			t.Errorf("%s: %s, want %s: %+v", name, got[0], tt.want, tt.v)
		}
	}
	// no figure can fall by more than 100 %
	if got := CheckGates([]Gate{{Metric: "ttft", Limit: -2}, {Metric: "ttft", AtMost: true, Limit: -2}}, of(10, 1.01)); got[0] != GateHolds ||
		got[1] != GateBreached {
		t.Errorf("limits of -200 %%: %v", got)
	}
	// the exact test of six sessions reaches p = 0.03: enough for one limit, not for one of two
	six := of(2, 1.3)
	two := []Gate{{Metric: "ttft", AtMost: true, Limit: 0.29}, gates[0]}
	if one, both := CheckGates(gates[:1], six)[0], CheckGates(two, six)[1]; one != GateBreached || both != GateOpen {
		t.Errorf("one of one limit is %s, one of two %s", one, both)
	}
	// if the change is exactly the limit, at most 2.5 of 100 gates are breached
	called := 0
	for range 300 {
		if CheckGates(gates[:1], of(3, 1.03))[0] == GateBreached {
			called++
		}
	}
	if called > 16 { // 7.5, and three standard deviations
		t.Errorf("%d of 300 are called breached at the limit itself", called)
	}
}

func FuzzGate(f *testing.F) {
	f.Add("ttft<=+3%,hit_ratio>=-1pp")
	f.Fuzz(func(t *testing.T, s string) {
		gates, err := ParseGate(s)
		for _, g := range gates {
			if err == nil && (math.IsNaN(g.Limit) || math.IsInf(g.Limit, 0)) {
				t.Errorf("%q gives %v", s, g.Limit)
			}
		}
	})
}

// The state of a gate depends on the interval and on the test of the limit.
func TestGateState(t *testing.T) {
	atMost, atLeast := Gate{Metric: "ttft", AtMost: true, Limit: 0.03}, Gate{Metric: "tok_s", Limit: -0.03}
	for name, c := range map[string]struct {
		gate      Gate
		low, high float64
		p         float64
		want      GateState
	}{
		"within":                       {atMost, -0.01, 0.02, 0.01, GateHolds},
		"up to the limit":              {atMost, 0.02, 0.03, 1, GateHolds},
		"around the limit":             {atMost, 0.02, 0.04, 1, GateOpen},
		"beyond":                       {atMost, 0.04, 0.05, 0.01, GateBreached},
		"beyond, and not certainly so": {atMost, 0.04, 0.05, 0.06, GateOpen},
		"above the least":              {atLeast, -0.02, 0.1, 0.01, GateHolds},
		"below the least":              {atLeast, -0.2, -0.1, 0.01, GateBreached},
	} {
		v := Verdict{}
		v.Low, v.High, v.Enough = c.low, c.high, true
		if got := c.gate.state(&v, c.p); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
