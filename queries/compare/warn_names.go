package compare

import (
	"fmt"
	"strings"
)

// KindSameName says that several runs have the name that was given: perhaps only one of them was meant.
const KindSameName Kind = "same_name"

// SameName is a selector that is the name of several runs.
type SameName struct {
	Name string
	IDs  []string // starts of their ids, long enough to select one
}

// Kind is KindSameName.
func (SameName) Kind() Kind { return KindSameName }

// Note names the runs.
func (w SameName) Note() string {
	return fmt.Sprintf("%d runs have the name %s and count as repeats of one; the start of an id selects one of them: %s.",
		len(w.IDs), w.Name, strings.Join(w.IDs, ", "))
}

func sameNames(r *Result) (out []Warning) {
	for _, s := range r.sides() {
		var ids []string
		for _, run := range s.Runs {
			id := run.ID[:min(8, len(run.ID))]
			if run.Name == s.Selector+" "+id { // the view runs gives such names to runs with the same name
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 && len(ids) == len(s.Runs) {
			out = append(out, SameName{s.Selector, ids})
		}
	}
	return out
}
