//go:build duckdb_arrow

package history

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
