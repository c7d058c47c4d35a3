package compare

import (
	"math"
	"testing"
)

// passes gives sessions of one turn and one figure each. amounts is how many tokens came back.
func passes(process string, amounts int64, figures ...float64) (out []observation) {
	for i, f := range figures {
		o := observed("a", i, 1, f)
		o.process, o.output = process, amounts
		out = append(out, o)
	}
	return out
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// A tenth more in each of six sessions, estimated in each way.
func TestEstimate(t *testing.T) {
	base, head := []float64{10, 20, 30, 40, 50, 60}, []float64{11, 22, 33, 44, 55, 66}
	metric := Metrics()[0]
	t.Run("paired", func(t *testing.T) {
		e, ev := estimate(pair(passes("", 64, base...), passes("", 64, head...)), 0, metric)
		if !near(e.Change, 0.1) || !near(e.Low, 0.1) || !near(e.High, 0.1) || e.Base != 35 || e.Head != 38.5 || !near(e.P, 2.0/64) {
			t.Errorf("%+v", e)
		}
		if ev != (Evidence{Sessions: 6, Turns: 6, Paired: true, Enough: true, Measured: true}) {
			t.Errorf("%+v", ev)
		}
		if at, off := e.pAt(0.1), e.pAt(0.5); at < 0.5 || !near(off, 2.0/64) {
			t.Errorf("p of the change itself is %v, and of a half %v", at, off)
		}
	})
	t.Run("samples", func(t *testing.T) {
		e, ev := estimate(pair(passes("", 64, base...), passes("", 65, head...)), 0, metric)
		if !near(e.Change, 0.1) || e.Low > 0 || e.High < 0.1 || e.P < 0.5 || ev.Paired || ev.Sessions != 6 || !ev.Enough {
			t.Errorf("%+v %+v", e, ev)
		}
	})
	t.Run("ratios", func(t *testing.T) {
		m, _ := MetricNamed("hit_ratio")
		e, _ := estimate(pair(passes("", 64, 0.5, 0.5), passes("", 64, 0.25, 0.25)), 0, m)
		if e.Change != -0.25 || e.Low != -0.25 || e.High != -0.25 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("no figures", func(t *testing.T) {
		none := math.NaN()
		e, ev := estimate(pair(passes("", 64, none), passes("", 64, none)), 0, metric)
		if !math.IsNaN(e.Change) || e.pAt != nil || ev.Measured || ev.Enough || ev.Turns != 0 {
			t.Errorf("%+v %+v", e, ev)
		}
	})
	t.Run("one session has no interval", func(t *testing.T) {
		e, ev := estimate(pair(passes("", 64, 10), passes("", 64, 11)), 0, metric)
		if !near(e.Change, 0.1) || !math.IsNaN(e.Low) || ev.Enough {
			t.Errorf("%+v %+v", e, ev)
		}
	})
}

// With two sessions per process, the unit is the process, and its figures are compared with the middle of both sides.
func TestEstimateProcesses(t *testing.T) {
	side := func(name string, factor float64) (out []observation) {
		for i := range 8 {
			o := observed("a", i, 1, 10*factor)
			o.process, o.session = name+string(rune('0'+i/2)), name+o.session
			out = append(out, o)
		}
		return out
	}
	e, ev := estimate(pair(side("b", 1), side("h", 1.5)), 0, Metrics()[0])
	if !near(e.Change, 0.5) || !near(e.Low, 0.5) || !near(e.High, 0.5) || e.Base != 10 || e.Head != 15 {
		t.Errorf("%+v", e)
	}
	if ev != (Evidence{Sessions: 8, Processes: 4, Turns: 8, Paired: true, Enough: true, Measured: true}) {
		t.Errorf("%+v", ev)
	}
}

func TestNoiseWithin(t *testing.T) {
	var side []observation
	for i := range 12 { // every second repeat takes 1 % more than the one before
		side = append(side, passes("", 64, make([]float64, i+1)...)[i])
		side[i].values = []float64{10 * math.Pow(1.01, float64(i%2))}
	}
	if got := noiseWithin(side, 0, Metrics()[0], all); !near(got, 0.01) {
		t.Errorf("noise %v", got)
	}
	if got := noiseWithin(side[:10], 0, Metrics()[0], all); !math.IsNaN(got) {
		t.Errorf("noise of five pairs of passes %v", got)
	}
}
