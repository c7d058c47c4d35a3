// Package talk tells people on standard error what a run, a server and a download do meanwhile.
// It must not know how anything is measured, nor what is written to standard output.
package talk

import (
	"fmt"
	"io"
	"sync"
	"time"

	"wb/collect/bench"
	"wb/viz/output"
)

// NewProgress makes the progress of a run. With quiet it prints only warnings.
func NewProgress(stderr io.Writer, quiet bool) *Progress {
	return &Progress{LiveLine: output.NewLiveLine(stderr), quiet: quiet, told: map[string]bool{}}
}

// Progress prints one line per turn. On a terminal it shows the turn under way and replaces that line by the result. Several goroutines
// may use it, since the turns of several users and warnings come at the same time.
type Progress struct {
	*output.LiveLine
	quiet bool
	mu    sync.Mutex      // guards told
	told  map[string]bool // warnings that were printed, which the runs of a plan would repeat
}

// Warn prints a warning, unless it was printed before.
func (p *Progress) Warn(msg string) {
	p.mu.Lock()
	before := p.told[msg]
	p.told[msg] = true
	p.mu.Unlock()
	if !before {
		p.Say("warning: " + msg)
	}
}

// Note prints a line, unless the user asked for quiet.
func (p *Progress) Note(text string) {
	if !p.quiet {
		p.Say(text)
	}
}

// Turn shows a turn that is about to be sent, and prints one that has ended.
func (p *Progress) Turn(t bench.TurnInfo) {
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
		p.Say(where + "  " + t.Line() + p.left(t))
	case p.Live && t.Ahead.Turns > 1:
		p.Show(where + " …  " + t.Ahead.Text())
	case p.Live:
		p.Show(where + " …")
	}
}

// left is the end of the line of a turn. A log shows once per session how long the rest takes, if that is long.
func (p *Progress) left(t bench.TurnInfo) string {
	if p.Live || t.Turn < t.Turns || t.Ahead.Left < time.Minute {
		return ""
	}
	return "  " + t.Ahead.Text()
}

// Load shows the progress of several users; it is called once per second.
func (p *Progress) Load(c bench.LoadInfo) {
	if p.quiet {
		return
	}
	if p.Live {
		p.Show(c.Line())
	} else {
		p.Say(c.Line())
	}
}
