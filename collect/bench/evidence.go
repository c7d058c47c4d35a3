package bench

import (
	"fmt"
	"slices"

	"wb/data/plain"
)

// Evidence says how much a side of a comparison needs, and whether a run is going to be compared.
type Evidence struct {
	Sessions  Needed
	Processes Needed // of the server, where several sessions share one
	Compare   bool   // the file holds other runs, with which this one may be compared
}

// Needed says how many a verdict needs on each side. It is 0 where that is not known.
type Needed struct {
	Least int // for a verdict on one metric
	Usual int // for verdicts on all metrics that are compared where none is named
}

// doubts says why no comparison of the spec's runs could give a verdict, one line per reason. sessions is how many one repeat has.
// A run with a name or a tag, a plan with several cells, and a run beside others are likely to be compared; nothing is said of others.
func (s *Spec) doubts(sessions int, e Evidence) (lines []string) {
	c := s.Cells[0]
	if e.Sessions.Least == 0 || sessions == 0 {
		return nil
	}
	if len(s.Cells) == 1 && c.Name == "" && len(c.Tags) == 0 && !e.Compare {
		return nil
	}
	side := "each side"
	if len(s.Cells) > 1 {
		side = "each cell"
	}
	switch n := sessions * s.Repeats; {
	case s.UntilCI != "":
	case s.share(sessions):
		if s.Repeats < e.Processes.Least {
			lines = append(lines, fmt.Sprintf("note: %s: a verdict needs %d on %s, and %d for all metrics, as sessions of one process are not "+
				"independent evidence: --repeat %d", plain.Count(s.Repeats, "server process", "server processes"), e.Processes.Least, side,
				e.Processes.Usual, e.Processes.Usual))
		}
	case n < e.Sessions.Least:
		lines = append(lines, fmt.Sprintf("note: %s: a verdict needs %d on %s, and %d for all metrics: --repeat %d",
			plain.Count(n, "session"), e.Sessions.Least, side, e.Sessions.Usual, (e.Sessions.Usual+sessions-1)/sessions))
	}
	if slices.ContainsFunc(s.Cells, func(c CellSpec) bool { return !c.Scripted() && (!c.IgnoreEOS || c.MaxTokens == 0) }) {
		lines = append(lines, "note: --replies live: lengths of replies differ between runs, so equal turns cannot be paired in a comparison; "+
			"--replies scripted sends equal prompts, and --ignore-eos makes replies equally long")
	}
	return lines
}

// share says whether wb starts a server process for each repeat of a cell, in which all its sessions are played: cells that want different
// servers take turns, so that each repeat begins with a fresh one.
func (s *Spec) share(sessions int) bool {
	first := s.Cells[0]
	return sessions > 1 && first.Target.Engine.Managed() && first.Isolation != IsolationRestart &&
		slices.ContainsFunc(s.Cells, func(c CellSpec) bool { return c.shared() != first.shared() })
}
