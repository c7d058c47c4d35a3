package sim

import (
	"math"
	"testing"
	"time"
)

// measured holds figures of real servers in ms, measured at the client; see profiles.yaml.
var measured = map[string]struct{ cold, cached, itl [4]float64 }{
	"eager":  {[4]float64{73, 252, 1161, 5488}, [4]float64{55, 67, 125, 288}, [4]float64{14.2, 14.3, 16.0, 16.0}},
	"graphs": {[4]float64{48, 147, 722, 4190}, [4]float64{32, 67, 151, 278}, [4]float64{3.43, 4.16, 7.01, 16.1}},
}

var (
	coldAt   = [4]int{907, 7071, 28223, 88367}
	cachedAt = [4]int{991, 7155, 28307, 88451}
)

// The model is within 10 % of every measured figure. With -v the test prints the table of docs/design/simulator.md.
func TestFit(t *testing.T) {
	for _, name := range []string{"eager", "graphs"} {
		c, err := Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := measured[name]
		hold := func(what string, at int, want float64, got time.Duration) {
			g := float64(got) / float64(time.Millisecond)
			off := 100 * (g/want - 1)
			t.Logf("| %s | %s | %d | %.4g | %.4g | %+.1f %% |", name, what, at, want, g, off)
			if math.Abs(off) > 10 {
				t.Errorf("%s %s at %d: model %.4g ms, measured %.4g ms", name, what, at, g, want)
			}
		}
		for i := range 4 {
			hold("TTFT, nothing cached", coldAt[i], m.cold[i], c.TTFT(coldAt[i], 0))
			hold("TTFT, all but 35 cached", cachedAt[i], m.cached[i], c.TTFT(cachedAt[i], cachedAt[i]-35))
			hold("inter-token latency", cachedAt[i], m.itl[i], c.Step(nil, []int{cachedAt[i]}))
		}
	}
	if _, err := Profile("nope"); err == nil {
		t.Error("an unknown profile was found")
	}
}
