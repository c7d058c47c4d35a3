package main

import (
	"fmt"
	"io"
	"sync"

	"wb/collect/bench"
	"wb/viz/output"
)

func newProgress(stderr io.Writer, quiet bool) *progress {
	return &progress{LiveLine: output.NewLiveLine(stderr), quiet: quiet, told: map[string]bool{}}
}

// progress prints one line per turn. On a terminal it shows the turn under way and replaces that line by the result. Several goroutines
// may use it, since the turns of several users and warnings come at the same time.
type progress struct {
	*output.LiveLine
	quiet bool
	mu    sync.Mutex      // guards told
	told  map[string]bool // warnings that were printed, which the runs of a plan would repeat
}

func (p *progress) warn(msg string) {
	p.mu.Lock()
	before := p.told[msg]
	p.told[msg] = true
	p.mu.Unlock()
	if !before {
		p.Say("warning: " + msg)
	}
}

func (p *progress) note(text string) {
	if !p.quiet {
		p.Say(text)
	}
}

func (p *progress) turn(t bench.TurnInfo) {
	if p.quiet {
		return
	}
	where := fmt.Sprintf("%-16s turn %2d/%-2d", t.Conversation, t.Turn, t.Turns)
	if t.Warmup {
		where = fmt.Sprintf("%-16s %-10s", t.Conversation, "warm-up")
	} else if t.Repeat > 1 {
		where += fmt.Sprintf(" #%d", t.Repeat)
	}
	switch {
	case t.Done:
		p.Say(where + "  " + t.Line())
	case p.Live:
		p.Show(where + " …")
	}
}

// load shows the progress of several users; it is called once per second.
func (p *progress) load(c bench.LoadInfo) {
	if p.quiet {
		return
	}
	if p.Live {
		p.Show(c.Line())
	} else {
		p.Say(c.Line())
	}
}
