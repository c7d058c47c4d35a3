package compare

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// turnOf gives a measured turn of a run, as it is loaded.
func turnOf(run, conversation, variant string, nth, turn int64) Turn {
	return Turn{Run: run, Conversation: conversation, Variant: variant, Nth: nth, Turn: turn, PromptTokens: 100, OutputTokens: 64,
		Values: []float64{10}}
}

func TestObserve(t *testing.T) {
	cut, warm := turnOf("r1", "a", "system", 1, 2), turnOf("r1", "a", "system", 2, 1)
	cut.Truncated, warm.BeganWarm = true, new(true)
	one := []Turn{turnOf("r1", "a", "system", 1, 1), cut, warm, turnOf("r2", "a", "system", 1, 1)}
	for name, c := range map[string]struct {
		turns []Turn
		skip  *bool
		want  string // conversation, variant, pass and turn
	}{
		"sessions are counted over all runs, and a cut turn is left out": {one, nil, "[{{a  1} 0} {{a  1} 1} {{a  1} 2}]"},
		"without warm sessions":                    {one, new(true), "[{{a  1} 0} {{a  1} 1}]"},
		"without cold sessions, where it is known": {one, new(false), "[{{a  1} 0} {{a  1} 1} {{a  1} 2}]"},
		"variants tell turns apart where there are several": {
			[]Turn{turnOf("r1", "a", "x", 1, 1), turnOf("r1", "a", "y", 1, 1)}, nil, "[{{a x 1} 0} {{a y 1} 0}]",
		},
	} {
		var keys []key
		for _, o := range observe(c.turns, "", c.skip) {
			keys = append(keys, o.key)
		}
		if got := fmt.Sprint(keys); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestGroupOf(t *testing.T) {
	x := turnOf("r", "qa", "", 1, 7)
	x.PromptTokens = 1025
	for by, want := range map[string]string{"": all, byTurn: "turn  7", byConversation: "qa", byContext: "up to    2048 tokens"} {
		if got := groupOf(x, by); got != want {
			t.Errorf("by %q: %q, want %q", by, got, want)
		}
	}
	if x.PromptTokens = unknownTokens; groupOf(x, byContext) != "tokens not known" {
		t.Errorf("by context, without a count: %q", groupOf(x, byContext))
	}
}

// sideOf gives the turns of one session, one for each number of prompt tokens.
func sideOf(conversation string, prompts ...int64) (out []observation) {
	for i, n := range prompts {
		o := observed(conversation, 0, i+1, 10)
		o.prompt = n
		out = append(out, o)
	}
	return out
}

func TestPair(t *testing.T) {
	for name, c := range map[string]struct {
		base, head []observation
		paired     bool
		agree      float64
		strangers  bool
	}{
		"all agree":               {sideOf("a", 1, 2, 3, 4, 5), sideOf("a", 1, 2, 3, 4, 5), true, 1, false},
		"four of five agree":      {sideOf("a", 1, 2, 3, 4, 5), sideOf("a", 1, 2, 3, 4, 9), true, 0.8, false},
		"three of five agree":     {sideOf("a", 1, 2, 3, 4, 5), sideOf("a", 1, 2, 3, 8, 9), false, 0.6, false},
		"a short side":            {sideOf("a", 1, 2, 3), sideOf("a", 1, 2, 3, 4, 5), true, 1, false},
		"counts are not known":    {sideOf("a", unknownTokens), sideOf("a", unknownTokens), false, 0, false},
		"nothing in common":       {sideOf("a", 1), sideOf("b", 1), false, 0, true},
		"one in common of two":    {slices.Concat(sideOf("a", 1), sideOf("b", 1)), sideOf("b", 1), true, 1, false},
		"met seldom, and as well": {sideOf("a", 1, 2, 3, 4), slices.Concat(sideOf("a", 1), sideOf("b", 1, 2, 3)), false, 0.25, false},
	} {
		p := pair(c.base, c.head)
		if p.paired != c.paired || p.agree != c.agree || p.strangers != c.strangers {
			t.Errorf("%s: %v %v %v, want %v %v %v", name, p.paired, p.agree, p.strangers, c.paired, c.agree, c.strangers)
		}
	}
}

func TestGroups(t *testing.T) {
	a, b := observed("a", 0, 1, 1), observed("a", 0, 2, 1)
	a.group, b.group = "turn  2", "turn 10"
	p := pair([]observation{b}, []observation{a})
	if got := fmt.Sprint(p.groups(byTurn)); got != "[all turn  2 turn 10]" {
		t.Error(got)
	}
	if in := p.within("turn  2"); len(in.base) != 0 || len(in.head) != 1 {
		t.Errorf("%+v", in)
	}
}

func TestWarmthOf(t *testing.T) {
	side := func(cold, warm int) (s Side) {
		for i := range int64(cold + warm) {
			x := turnOf("r", "a", "", i, 1)
			x.BeganWarm = new(i >= int64(cold))
			s.Turns = append(s.Turns, x, x) // two turns of one session
		}
		return s
	}
	for _, c := range []struct {
		baseCold, baseWarm, headCold, headWarm int
		want                                   string // what is left out
	}{
		{4, 0, 4, 0, "none"}, {0, 4, 0, 4, "none"}, {4, 0, 1, 3, "warm"}, {0, 4, 1, 3, "cold"}, {4, 0, 0, 4, "apart"}, {2, 2, 2, 2, "warm"},
		{0, 0, 2, 2, "none"},
	} {
		w := warmthOf(side(c.baseCold, c.baseWarm), side(c.headCold, c.headWarm))
		got := "none"
		switch {
		case w.apart:
			got = "apart"
		case w.skip != nil:
			got = map[bool]string{true: "warm", false: "cold"}[*w.skip]
		}
		if got != c.want || w.begun[0] != (begun{c.baseWarm, c.baseCold}) {
			t.Errorf("%+v: %s of %+v", c, got, w)
		}
	}
}

func TestBySession(t *testing.T) {
	x, y := observed("a", 0, 1, 3), observed("a", 0, 2, 5)
	z, unknown := observed("b", 0, 1, 1), observed("c", 0, 1, math.NaN())
	x.process, y.process, z.process = "p", "p", "p"
	os := []observation{x, y, z, unknown}
	value := func(o observation) float64 { return o.values[0] }
	if got := fmt.Sprint(bySession(os, value)); got != "[4 1]" {
		t.Errorf("by session %s", got)
	}
	got, sessions := byProcess(os, value)
	if fmt.Sprint(got) != "[2.5]" || sessions != 2 {
		t.Errorf("by process %v of %d sessions", got, sessions)
	}
}
