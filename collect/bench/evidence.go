package bench

import (
	"fmt"

	"wb/data/plain"
)

// Evidence says how many sessions a side of a comparison needs, and whether a run is going to be compared.
type Evidence struct {
	Least   int  // for a verdict on one metric
	Usual   int  // for verdicts on all metrics that are compared where none is named
	Compare bool // the file holds other runs, with which this one may be compared
}

// doubts says why no comparison of the spec's runs could give a verdict, one line per reason. sessions is how many one repeat has.
// A run with a name or a tag, a plan with several cells, and a run beside others are likely to be compared; nothing is said of others.
func (s *Spec) doubts(sessions int, e Evidence) (lines []string) {
	c := s.Cells[0]
	if e.Least == 0 { // not known
		return nil
	}
	if len(s.Cells) == 1 && c.Name == "" && len(c.Tags) == 0 && !e.Compare {
		return nil
	}
	side := "each side"
	if len(s.Cells) > 1 {
		side = "each cell"
	}
	if n := sessions * s.Repeats; s.UntilCI == "" && n < e.Least && sessions > 0 {
		lines = append(lines, fmt.Sprintf("note: %s: a verdict needs %d on %s, and %d for all metrics: --repeat %d",
			plain.Count(n, "session"), e.Least, side, e.Usual, (e.Usual+sessions-1)/sessions))
	}
	if !c.Scripted() && (!c.IgnoreEOS || c.MaxTokens == 0) {
		lines = append(lines, "note: --replies live: lengths of replies differ between runs, so equal turns cannot be paired in a comparison; "+
			"--replies scripted sends equal prompts, and --ignore-eos makes replies equally long")
	}
	return lines
}
