package compare

import (
	"fmt"
	"slices"

	"wb/data/plain"
)

// Kinds of warnings about what counts as evidence.
const (
	KindProcessesAreUnits Kind = "processes_are_units" // sessions shared server processes
	KindOneProcessEach    Kind = "one_process_each"    // each side had one server process
	KindTooFew            Kind = "too_few"             // too few sessions or processes for any verdict
)

// ProcessesAreUnits says that server processes are the unit of evidence.
type ProcessesAreUnits struct{}

// Kind is KindProcessesAreUnits.
func (ProcessesAreUnits) Kind() Kind { return KindProcessesAreUnits }

// Note says why, and what makes sessions the unit.
func (ProcessesAreUnits) Note() string {
	return "Server processes served several sessions each, and some processes are faster than others: processes are the unit of evidence " +
		"(--isolation restart starts one for each session)."
}

// OneProcessEach says that each side was served by one process.
type OneProcessEach struct{}

// Kind is KindOneProcessEach.
func (OneProcessEach) Kind() Kind { return KindOneProcessEach }

// Note says what that means for the change.
func (OneProcessEach) Note() string {
	return "Each side was served by one server process. Processes differ from each other, often by some percent, " +
		"and that is part of the change (a plan, or --isolation restart, uses several processes)."
}

func serverProcesses(r *Result) []Warning {
	switch r.pairing.unit {
	case unitProcess:
		return []Warning{ProcessesAreUnits{}}
	case unitOneEach:
		return []Warning{OneProcessEach{}}
	}
	return nil
}

// TooFew says that there is not enough for any verdict.
type TooFew struct {
	Sessions  int
	Processes int // server processes; 0 where sessions are the unit
}

// Kind is KindTooFew.
func (TooFew) Kind() Kind { return KindTooFew }

// Note says how many there are, and how to get more.
func (w TooFew) Note() string {
	if w.Processes > 0 {
		return fmt.Sprintf("Only %s on a side: at least %d are needed for any verdict (--repeat in a plan, or more runs with the server "+
			"restarted between them).", plain.Count(w.Processes, "server process", "server processes"), LeastProcesses(1))
	}
	return fmt.Sprintf("Only %s per side: at least %d are needed for any verdict (--repeat).",
		plain.Count(w.Sessions, "session"), fewSessions)
}

func tooFew(r *Result) []Warning {
	i := slices.IndexFunc(r.Verdicts, func(v Verdict) bool { return v.Measured })
	if i < 0 || r.Verdicts[i].Enough {
		return nil
	}
	return []Warning{TooFew{r.Verdicts[i].Sessions, r.Verdicts[i].Processes}}
}
