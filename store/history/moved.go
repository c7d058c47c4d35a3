//go:build duckdb_arrow

package history

import (
	"fmt"

	"wb/data/plain"
)

// Moved is what Export, Import and Push did with each run.
type Moved struct {
	Added, Renewed int // renewed: it had been resumed or labelled since
	Present        int // there as it stands here
	Older          int // left out: what is there is newer, or as new
	Running        int // left out, since they go on
}

// sort says what to do with a run, and counts it: there is how the run stands where it is to go, empty for not at all.
func (m *Moved) sort(here listed, there ...listed) (bring bool) {
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

// Says tells what became of runs, as "2 runs added, 1 here before"; where is "here" or "there".
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

// Rest tells of the runs that were left out; "" for none.
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
