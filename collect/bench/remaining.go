package bench

import (
	"fmt"
	"time"

	"wb/collect/client"
)

// Ahead says how far a job is, in turns, and about how long the rest takes.
type Ahead struct {
	Done, Turns int           // turns that have ended or will not be sent, and all; warm-ups are left out. 0 of 0: not known
	Left        time.Duration // 0: too little was played to tell
}

// Text is what a person sees: "12 of 34 turns, about 20 s left", or less of it where less is known.
func (a Ahead) Text() string {
	if a.Turns == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d turns", a.Done, a.Turns)
	if a.Left > 0 {
		text += ", " + a.LeftText()
	}
	return text
}

// LeftText is "about 20 s left", or "" where that is not known.
func (a Ahead) LeftText() string {
	if a.Left <= 0 {
		return ""
	}
	return "about " + roughly(a.Left) + " left"
}

// evidence is how many turns must have been played before a time is estimated.
const evidence = 3

// forecast estimates how long the rest of a job takes that one user plays. The time of a turn is taken to grow with its expected prompt,
// as the turns so far show. The time between sessions, with restarts of the server and warm-ups, is added for each session.
type forecast struct {
	sessions [][]float64 // of each session that is left, the one under way first: expected prompt tokens of its turns that are left
	turns    int         // of the whole job
	restarts bool        // the server is restarted between sessions, and before the first one it may not have been

	begun           bool // a session is under way
	underWay        bool // a turn is
	sentNs, endedNs int64
	expected        float64 // prompt of the turn under way
	gaps, gapNs     float64 // between sessions: their number and sum
	turnTimes       turnTimes
}

// turnTimes sums over the turns that went well: x is the expected prompt in tokens, y the time in ns.
type turnTimes struct{ n, x, y, xx, xy float64 }

func (s *turnTimes) add(x, y float64) {
	s.n++
	s.x += x
	s.y += y
	s.xx += x * x
	s.xy += x * y
}

// newForecast makes the forecast of some sessions that begin now.
func newForecast(todo []SessionPlan, maxTurns int, restarts bool, now int64) *forecast {
	f := &forecast{restarts: restarts, endedNs: now}
	for _, s := range todo {
		sizes := expectedPrompts(s, maxTurns)
		f.turns += len(sizes)
		f.sessions = append(f.sessions, sizes)
	}
	return f
}

// expectedPrompts gives the size of each prompt of a session, as if the context grew evenly, in tokens.
func expectedPrompts(s SessionPlan, maxTurns int) []float64 {
	all := len(s.Conversation.Turns)
	n := all
	if maxTurns > 0 {
		n = min(n, maxTurns)
	}
	sizes := make([]float64, n)
	for i := range sizes {
		sizes[i] = float64(s.Conversation.Tokens()) * float64(i+1) / float64(all)
	}
	return sizes
}

// told takes a turn that is about to be sent, or that has ended, and says how far the job is.
func (f *forecast) told(now int64, t TurnInfo) Ahead {
	switch {
	case f == nil || t.Warmup || len(f.sessions) == 0:
		return Ahead{}
	case !t.Done && t.Turn == 1:
		f.begin(now)
	case !t.Done:
		f.send(now)
	default:
		f.end(now, t.Reply)
	}
	return f.ahead()
}

// begin notes that the first turn of a session is about to be sent. Turns of the session before it that were not sent are dropped.
func (f *forecast) begin(now int64) {
	if f.begun && len(f.sessions) > 1 {
		f.sessions = f.sessions[1:]
	}
	f.begun = true
	f.gaps++
	f.gapNs += float64(now - f.endedNs)
	f.send(now)
}

func (f *forecast) send(now int64) {
	f.sentNs, f.underWay, f.expected = now, true, 0
	if left := f.sessions[0]; len(left) > 0 {
		f.expected = left[0]
		f.sessions[0] = left[1:]
	}
}

func (f *forecast) end(now int64, re *client.Reply) {
	f.endedNs, f.underWay = now, false
	if re == nil || re.Status != client.StatusOK {
		return
	}
	f.turnTimes.add(f.expected, float64(now-f.sentNs))
}

// ahead says how far the job is. While a turn is under way, it counts as one that is left.
func (f *forecast) ahead() Ahead {
	var left []float64
	for _, s := range f.sessions {
		left = append(left, s...)
	}
	if f.underWay {
		left = append(left, f.expected)
	}
	a := Ahead{Done: max(f.turns-len(left), 0), Turns: f.turns}
	sessions := float64(len(f.sessions) - 1)
	if f.turnTimes.n < evidence || f.restarts && f.gaps < 2 && sessions > 0 {
		return a
	}
	each, perToken := f.turnTimes.fit()
	sum := sessions * f.gapNs / f.gaps
	for _, x := range left {
		sum += each + perToken*x
	}
	if len(left) > 0 {
		a.Left = time.Duration(sum)
	}
	return a
}

// fit gives the time that each turn takes, and what each token of its prompt adds to it, in ns. Neither is negative. It is the line of
// least squares through the turns so far.
func (s *turnTimes) fit() (each, perToken float64) {
	spread := s.n*s.xx - s.x*s.x
	if spread <= 1e-9*s.n*s.xx { // all prompts were equally long
		return s.y / s.n, 0
	}
	perToken = max((s.n*s.xy-s.x*s.y)/spread, 0)
	if each = (s.y - perToken*s.x) / s.n; each < 0 {
		return 0, s.xy / s.xx
	}
	return each, perToken
}

// aheadOfUsers says how far several users are. The rest is taken to go as fast as the part so far.
func aheadOfUsers(elapsed time.Duration, ended, all, users int) Ahead {
	a := Ahead{Done: min(ended, all), Turns: all}
	if ended >= max(evidence, users) && ended < all {
		a.Left = time.Duration(float64(elapsed) * float64(all-ended) / float64(ended))
	}
	return a
}
