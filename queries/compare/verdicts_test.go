package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Where nothing differs, at most 5 of 100 comparisons find a difference. A change of 3 % is found within 10 repeats in at least
// 95 of 100 comparisons. A change of 0.5 % is equivalent.
func TestVerdicts(t *testing.T) {
	if raced { // the tests of queries/stats run its workers
		t.Skip("it takes minutes under the race detector")
	}
	rng := rand.New(rand.NewPCG(6, 1))
	const trials = 100 // and twice as many trials of equal sides
	falseAlarms, found, same := 0, 0, 0
	for i := range 2 * trials {
		base := synthetic(rng, "b", 10, 1)
		// the margin is almost 0
		if v := verdictOf(base, synthetic(rng, "h", 10, 1), 0.001); v.Outcome == Faster || v.Outcome == Slower {
			falseAlarms++
		}
		if i >= trials {
			continue
		}
		if v := verdictOf(base, synthetic(rng, "h", 10, 1.03), 0.02); v.Outcome == Slower {
			found++
		}
		if v := verdictOf(base, synthetic(rng, "h", 10, 1.005), 0.02); v.Outcome == Equivalent {
			same++
		}
	}
	// 5 % of 200 are 10; with three standard deviations of chance 19
	if falseAlarms > 19 {
		t.Errorf("%d of %d comparisons of equals call a difference", falseAlarms, 2*trials)
	}
	if found < trials*95/100 {
		t.Errorf("3 %% are called in %d of %d", found, trials)
	}
	if same < trials*95/100 {
		t.Errorf("0.5 %% are called equivalent in %d of %d", same, trials)
	}
}

// served gives sessions that server processes of one side served. Each process serves so many repeats, and has a random level (2 %).
func served(rng *rand.Rand, side string, processes, passes int, factor float64) (out []observation) {
	pass := 0
	for p := range processes {
		level := math.Exp(rng.NormFloat64() * 0.02)
		for range passes {
			for _, conv := range []string{"a", "b"} {
				session := math.Exp(rng.NormFloat64() * 0.003)
				for turn := range 3 {
					itl := float64(10+turn) * factor * level * session * math.Exp(rng.NormFloat64()*0.003)
					o := observed(conv, pass, turn+1, itl)
					o.session, o.process, o.prompt = fmt.Sprint(side, conv, pass), fmt.Sprint(side, p), int64(100*turn)
					out = append(out, o)
				}
			}
			pass++
		}
	}
	return out
}

// Sessions of one server process are not independent. With the process as the unit, at most 5 of 100 comparisons of equal sides find a
// difference. With the session as the unit far more do, as there are 16 sessions per side.
func TestVerdictsOfProcesses(t *testing.T) {
	if raced { // the tests of queries/stats run its workers
		t.Skip("it takes minutes under the race detector")
	}
	rng := rand.New(rand.NewPCG(6, 3))
	apart := func(os []observation) (out []observation) {
		for _, o := range os {
			o.process = ""
			out = append(out, o)
		}
		return out
	}
	different := func(v Verdict) bool { return v.Outcome == Faster || v.Outcome == Slower }
	const trials = 200
	falseAlarms, naive, found := 0, 0, 0
	for range trials {
		base, head := served(rng, "b", 4, 2, 1), served(rng, "h", 4, 2, 1)
		v := verdictOf(base, head, 0.001)
		if v.Processes != 4 || v.Sessions != 16 || v.Turns != 48 {
			t.Fatalf("%+v", v)
		}
		if different(v) {
			falseAlarms++
		}
		if different(verdictOf(apart(base), apart(head), 0.001)) {
			naive++
		}
		if verdictOf(base, served(rng, "h", 4, 2, 1.1), 0.02).Outcome == Slower {
			found++
		}
	}
	if falseAlarms > 19 || naive < 50 || found < trials*95/100 {
		t.Errorf("of %d: equals called different %d times, %d by session; 10 %% called %d times", trials, falseAlarms, naive, found)
	}
	// if token counts differ from repeat to repeat, but not between the sides, no repeat is left out
	uneven := func(os []observation) []observation {
		for i := range os {
			if os[i].pass == 1 || os[i].pass == 3 {
				os[i].output++
			}
		}
		return os
	}
	v := verdictOf(uneven(served(rng, "b", 6, 2, 1)), uneven(served(rng, "h", 6, 2, 1.2)), 0.02)
	if v.Outcome != Slower || v.Processes != 6 || v.Sessions != 24 || v.Turns != 72 {
		t.Errorf("uneven passes: %+v", v)
	}
	base := served(rng, "b", 3, 4, 1)
	if v := verdictOf(base, served(rng, "h", 3, 4, 2), 0.02); v.Outcome != Inconclusive || v.More != 8 || !math.IsNaN(v.Low) {
		t.Errorf("three processes a side: %+v", v)
	}
	one, other := served(rng, "b", 1, 4, 1), served(rng, "h", 1, 4, 1)
	if got := unitOf(one, other); got != unitOneEach {
		t.Errorf("one process a side: %d", got)
	}
	for i := range other { // the process of both sides
		other[i].process = one[0].process
	}
	if got := unitOf(one, other); got != unitSession {
		t.Errorf("one process for both sides: %d", got)
	}
	if got := unitOf(served(rng, "b", 8, 1, 1)[:3], served(rng, "h", 8, 1, 1)[:3]); got != unitSession {
		t.Errorf("a process for each session: %d", got)
	}
}

func TestVerdictEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	if v := verdictOf(synthetic(rng, "b", 1, 1), synthetic(rng, "h", 1, 2), 0.02); v.Outcome != Inconclusive || v.More != 3 {
		t.Errorf("three sessions: %+v", v)
	}
	if v := verdictOf(synthetic(rng, "b", 3, 1), synthetic(rng, "h", 3, 1.012), 0.005); v.Outcome != Inconclusive || v.More < 1 {
		t.Errorf("2 %% in nine sessions: %+v", v)
	}
	// prompts that differ are not paired, and the answer is the same, less sharp
	head := synthetic(rng, "h", 10, 1.2)
	for i := range head {
		head[i].prompt++
	}
	p := pair(synthetic(rng, "b", 10, 1), head)
	if v := decide(p, ttft(), Comparison{Margin: 0.02}); p.paired || p.agree != 0 || v[0].Paired || v[0].Change < 0.1 {
		t.Errorf("unpaired: %+v", v[0])
	}
	// more is better for some
	up := synthetic(rng, "h", 10, 1.2)
	w := decide(pair(synthetic(rng, "b", 10, 1), up), []Metric{{Name: "tok_s", Higher: true}}, Comparison{Margin: 0.02})
	if w[0].Outcome != Faster {
		t.Errorf("more tokens per second are %s", w[0].Outcome)
	}
	if n := noiseWithin(synthetic(rng, "b", 10, 1), 0, Metric{}, "all"); math.IsNaN(n) || n <= 0 || n > 0.02 {
		t.Errorf("noise %v", n)
	}
}
