package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"wb/collect/bench"
	"wb/collect/client"
	"wb/viz/output"
)

func newProgress(stderr io.Writer, quiet bool) *progress {
	return &progress{LiveLine: output.NewLiveLine(stderr), quiet: quiet, told: map[string]bool{}}
}

// progress prints a line a turn; on a terminal the line of the turn under way is replaced by its result. Several users' turns and warnings
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
		p.Say(where + "  " + turnLine(t))
	case p.Live:
		p.Show(where + " …")
	}
}

// crowd shows several users, a line a second.
func (p *progress) crowd(c bench.CrowdInfo) {
	if p.quiet {
		return
	}
	text := fmt.Sprintf("%4.0f s  %4d streams  %5d turns  %d of %d sessions  %8.1f tokens/s", c.Elapsed.Seconds(), c.Streams, c.Turns, c.Sessions, c.Total, c.TokensPerS)
	if c.Streams == 0 && c.Behind > 0 {
		text += fmt.Sprintf("  %d turns to record", c.Behind)
	}
	if p.Live {
		p.Show(text)
		return
	}
	p.Say(text)
}

func turnLine(t bench.TurnInfo) string {
	re := t.Reply
	if re.Status != client.StatusOK {
		return string(re.Status) + ": " + re.Err
	}
	parts := []string{"prompt unknown"}
	if n := re.PromptTokens; n != nil {
		parts[0] = fmt.Sprintf("prompt %6d", *n)
		if re.CachedTokens != nil && *n > 0 {
			parts = append(parts, fmt.Sprintf("cached %6d (%3.0f %%)", *re.CachedTokens, 100*float64(*re.CachedTokens)/float64(*n)))
		}
	}
	if re.FirstNs != nil {
		from := re.SubmitNs
		if re.WrittenNs != nil {
			from = *re.WrittenNs
		}
		parts = append(parts, fmt.Sprintf("TTFT %7.1f ms", float64(*re.FirstNs-from)/1e6))
		if rate, ok := re.DecodeRate(); ok {
			parts = append(parts, fmt.Sprintf("%6.1f tokens/s", rate))
		}
	}
	if t.GPUWatts > 0 {
		parts = append(parts, fmt.Sprintf("GPU %.0f W", t.GPUWatts))
	}
	return strings.Join(parts, "  ")
}
