package report

import (
	"fmt"
	"math"
	"strings"

	"wb/queries/compare"
)

// inWords gives the verdicts of a comparison in one sentence. It claims no more than they do.
func inWords(r *compare.Result) string {
	var parts []string
	for _, v := range r.Verdicts {
		if v.Sessions == 0 || math.IsNaN(v.Change) {
			continue
		}
		unit := "%"
		if v.Metric.Ratio {
			unit = "points"
		}
		size := fmt.Sprintf("%s %+.1f %s", v.Metric.Name, 100*v.Change, unit)
		if v.Enough {
			size += fmt.Sprintf(" (95 %%: %+.1f to %+.1f)", 100*v.Low, 100*v.High)
		}
		parts = append(parts, size+", "+string(v.Outcome))
	}
	if len(parts) == 0 {
		return "no metric was measured"
	}
	return strings.Join(parts, "; ")
}
