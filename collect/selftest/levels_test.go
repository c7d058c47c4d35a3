package selftest

import (
	"fmt"
	"testing"
	"time"

	"wb/collect/bench"
)

func TestLevelsOf(t *testing.T) {
	for _, c := range []struct {
		streams []int
		want    string
	}{
		{[]int{8, 64}, "[8x100 64x100] <nil>"},
		{[]int{5}, "[5x100] <nil>"},
		{nil, "[] wants at least one number"},
		{[]int{0}, "[] wants 1 to 1024, not 0"},
	} {
		all, err := LevelsOf(c.streams)
		names := []string{}
		for _, l := range all {
			names = append(names, l.Name())
		}
		if got := fmt.Sprint(names, " ", err); got != c.want {
			t.Errorf("%v: %s, want %s", c.streams, got, c.want)
		}
	}
}

// A level gives the time that the server takes for a turn, and the job that is played.
func TestLevel(t *testing.T) {
	all := Levels()
	if last := all[len(all)-1]; last.Name() != "stall" || last.String() != "a stall of 500 ms" {
		t.Errorf("the last level is %s, %s", last.Name(), last)
	}
	l := Level{Streams: 2, Pace: 100, Turns: 3, Loop: true}
	if got := l.turn(); got <= time.Second || got > 1100*time.Millisecond { // 100 tokens, and the frontend
		t.Errorf("a turn takes %v", got)
	}
	j := l.job(time.Time{}, bench.Build{})
	if j.Ramp != 0 || j.Users != 2 || len(j.Conversations[0].Turns) != 3 || j.MaxTokens != 100 || j.Name != "selftest/loop-2x100" {
		t.Errorf("%+v", j)
	}
}
