package compare

// Kinds of warnings about runs as a whole.
const (
	KindRunNote      Kind = "run_note"      // a note that any query gives about these runs
	KindOneSimulated Kind = "one_simulated" // a simulated side and a measured one
)

// RunNote is a note of saved queries about a run of one side, such as that it failed.
type RunNote struct{ Text string }

// Kind is KindRunNote.
func (RunNote) Kind() Kind { return KindRunNote }

// Note gives the note of the query.
func (w RunNote) Note() string { return w.Text }

func runNotes(r *Result) (out []Warning) {
	for _, s := range r.sides() {
		for _, n := range s.Notes {
			out = append(out, RunNote{n})
		}
	}
	return out
}

// OneSimulated says that one side is simulated and the other is not.
type OneSimulated struct{}

// Kind is KindOneSimulated.
func (OneSimulated) Kind() Kind { return KindOneSimulated }

// Note says what that means for the difference.
func (OneSimulated) Note() string {
	return "One side is simulated and the other measured: their difference says nothing about a server."
}

func oneSimulated(r *Result) []Warning {
	if r.Base.Simulated() == r.Head.Simulated() {
		return nil
	}
	return []Warning{OneSimulated{}}
}
