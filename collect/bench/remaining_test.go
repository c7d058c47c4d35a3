//go:build duckdb_arrow

package bench

import (
	"testing"
	"time"

	"wb/collect/client"
	"wb/data"
)

// talkOf makes a conversation that reaches a size with its last turn.
func talkOf(id string, turns, tokens int) *data.Conversation {
	return &data.Conversation{ID: id, Title: id, Turns: make([]data.Turn, turns), ExpectedTokens: tokens}
}

// replay plays a forecast's sessions. Before each session a gap passes, and each turn takes what took says.
// It gives what was told at the beginning and end of each turn, by the number of turns played.
func replay(f *forecast, todo []SessionPlan, gap time.Duration, took func(session, turn int) (time.Duration, client.Status)) []Ahead {
	var now time.Duration
	var told []Ahead
	for i, s := range todo {
		now += gap
		n := len(s.Conversation.Turns)
		for turn := 1; turn <= n; turn++ {
			told = append(told, f.told(int64(now), TurnInfo{Turn: turn, Turns: n}))
			d, status := took(i, turn)
			now += d
			told = append(told, f.told(int64(now), TurnInfo{Turn: turn, Turns: n, Done: true, Reply: &client.Reply{Status: status}}))
			if status != client.StatusOK {
				break
			}
		}
	}
	return told
}

func TestForecast(t *testing.T) {
	todo := []SessionPlan{{Conversation: talkOf("a", 4, 400), Repeat: 1}, {Conversation: talkOf("b", 4, 4000), Repeat: 1}}
	ok := func(d time.Duration) (time.Duration, client.Status) { return d, client.StatusOK }

	// turns that take equally long
	told := replay(newForecast(todo, 0, false, 0), todo, 0, func(int, int) (time.Duration, client.Status) { return ok(2 * time.Second) })
	for i, want := range []Ahead{{0, 8, 0}, {1, 8, 0}, {1, 8, 0}, {2, 8, 0}, {2, 8, 0}, {3, 8, 10 * time.Second}, {3, 8, 10 * time.Second},
		{4, 8, 8 * time.Second}} {
		if told[i] != want {
			t.Errorf("equal turns, %d: %+v, want %+v", i, told[i], want)
		}
	}
	if end := told[len(told)-1]; end != (Ahead{8, 8, 0}) {
		t.Errorf("at the end: %+v", end)
	}

	// a second for each turn, and one more for each thousand tokens of its prompt: 4 s and 10 s for the turns of b
	told = replay(newForecast(todo, 0, false, 0), todo, 0, func(i, turn int) (time.Duration, client.Status) {
		return ok(time.Second + time.Duration(expectedPrompts(todo[i], 0)[turn-1])*time.Millisecond)
	})
	if got := told[7].Left.Round(time.Millisecond); got != 14*time.Second {
		t.Errorf("turns that take longer with their prompts: %v left before the second session, want 14 s", got)
	}

	// the time between sessions counts; where the server is restarted, it is known when the second session begins
	three := append(todo, SessionPlan{Conversation: talkOf("c", 4, 400), Repeat: 1})
	for _, restarts := range []bool{false, true} {
		told = replay(newForecast(three, 0, restarts, 0), three, 30*time.Second, func(int, int) (time.Duration, client.Status) {
			return ok(time.Second)
		})
		before := 68 * time.Second
		if restarts {
			before = 0
		}
		if got := told[7].Left; got != before {
			t.Errorf("restarts %v: %v left before the second session, want %v", restarts, got, before)
		}
		if got := told[8].Left; got != 38*time.Second {
			t.Errorf("restarts %v: %v left in the second session, want 38 s", restarts, got)
		}
	}

	// a turn that fails ends its session, and says nothing about the others
	told = replay(newForecast(three, 0, false, 0), three, 0, func(i, turn int) (time.Duration, client.Status) {
		if i == 1 && turn == 2 {
			return time.Hour, client.StatusTimeout
		}
		return ok(time.Second)
	})
	if got := told[12]; got != (Ahead{8, 12, 4 * time.Second}) {
		t.Errorf("after a session that was cut short: %+v", got)
	}
}

func TestForecastKnowsNothing(t *testing.T) {
	var none *forecast
	if got := none.told(1, TurnInfo{Turn: 1}); got != (Ahead{}) {
		t.Errorf("without sessions: %+v", got)
	}
	f := newForecast([]SessionPlan{{Conversation: talkOf("a", 4, 400)}}, 2, false, 0)
	if got := f.told(1, TurnInfo{Warmup: true, Turn: 1}); got != (Ahead{}) || f.turns != 2 {
		t.Errorf("a warm-up: %+v of %d", got, f.turns)
	}
}

func TestAheadText(t *testing.T) {
	for _, c := range []struct {
		a    Ahead
		want string
	}{
		{Ahead{}, ""},
		{Ahead{Done: 2, Turns: 34}, "2 of 34 turns"},
		{Ahead{Done: 12, Turns: 34, Left: 19500 * time.Millisecond}, "12 of 34 turns, about 20 s left"},
		{Ahead{Done: 12, Turns: 340, Left: 12 * time.Minute}, "12 of 340 turns, about 12 min left"},
	} {
		if got := c.a.Text(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.a, got, c.want)
		}
	}
	line := LoadInfo{Elapsed: 10 * time.Second, Streams: 4, Turns: 20, Sessions: 4, Total: 8, TokensPerS: 100,
		Ahead: aheadOfUsers(10*time.Second, 20, 40, 4)}.Line()
	if want := "  10 s  20 of 40 turns, about 10 s left  4 streams  4 of 8 sessions  100.0 tokens/s"; line != want {
		t.Errorf("%q, want %q", line, want)
	}
	for _, c := range []struct {
		ended, all, users int
		left              time.Duration
	}{{2, 40, 1, 0}, {3, 40, 4, 0}, {4, 40, 4, 90 * time.Second}, {40, 40, 4, 0}, {41, 40, 4, 0}} {
		if got := aheadOfUsers(10*time.Second, c.ended, c.all, c.users); got.Left != c.left || got.Done > c.all {
			t.Errorf("%d of %d turns by %d users: %+v, want %v left", c.ended, c.all, c.users, got, c.left)
		}
	}
}
