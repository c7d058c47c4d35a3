//go:build duckdb_arrow

package history

import (
	"fmt"

	"wb/data/plain"
)

// Moved counts what Export, Import or Push did with runs.
type Moved struct {
	Added, Renewed int // renewed: the run had been resumed or tagged since
	Present        int // left out: an equal copy is there
	Older          int // left out: a different copy is there that is not older
	Running        int // left out: the run has not ended
}

// decide reports whether a run is to be copied, and counts it. here is the copy at hand, and there is the copy at the destination, if any.
func (m *Moved) decide(here runCopy, there ...runCopy) (bring bool) {
	switch {
	case here.status == "running":
		m.Running++
	case len(there) == 0:
		m.Added++
		return true
	case there[0].state == here.state && there[0].executions == here.executions:
		m.Present++
	case here.newerThan(there[0]):
		m.Renewed++
		return true
	default:
		m.Older++
	}
	return false
}

func (m Moved) plus(o Moved) Moved {
	return Moved{m.Added + o.Added, m.Renewed + o.Renewed, m.Present + o.Present, m.Older + o.Older, m.Running + o.Running}
}

// Says returns what was done with the runs, such as "2 runs added, 1 here before". where is "here" or "there".
func (m Moved) Says(where string) string {
	s := plain.Count(m.Added, "run") + " added"
	if m.Renewed > 0 {
		s += fmt.Sprintf(", %d renewed", m.Renewed)
	}
	s += fmt.Sprintf(", %d %s before", m.Present, where)
	if m.Older > 0 {
		s += fmt.Sprintf(", %d left as they are %s: not older", m.Older, where)
	}
	return s + m.unended()
}

// Rest returns which runs were left out, "" for none.
func (m Moved) Rest(where string) string {
	if m.Older == 0 {
		return m.unended()
	}
	return fmt.Sprintf("; %d left as they are %s: not older", m.Older, where) + m.unended()
}

func (m Moved) unended() string {
	if m.Running == 0 {
		return ""
	}
	return fmt.Sprintf("; %s left out: not ended yet", plain.Count(m.Running, "run"))
}
