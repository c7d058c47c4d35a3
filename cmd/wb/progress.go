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

// progress prints one line per turn; on a terminal the line of the turn under way is replaced by its result. Several users' turns and warnings
// come at once.
type progress struct {
	*output.LiveLine
	quiet bool
	mu    sync.Mutex      // of told
	told  map[string]bool // warnings, which a plan's runs would repeat
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

// load shows several users, with a line each second.
func (p *progress) load(c bench.LoadInfo) {
	if p.quiet {
		return
	}
	text := c.Line()
	if p.Live {
		p.Show(text)
		return
	}
	p.Say(text)
}
