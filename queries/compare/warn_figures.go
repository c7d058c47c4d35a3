package compare

import (
	"fmt"
	"strings"
)

// Kinds of warnings about metrics of which few turns have a figure, or none.
const (
	KindFewFigures  Kind = "few_figures"
	KindNotMeasured Kind = "not_measured"
)

// FewFigures is a metric of which less than half of the turns have a figure.
type FewFigures struct {
	Metric    string
	Turns, Of int
}

// Kind is KindFewFigures.
func (FewFigures) Kind() Kind { return KindFewFigures }

// Note says how many turns have it.
func (w FewFigures) Note() string {
	return fmt.Sprintf("%s: only %d of %d turns have a figure on both sides.", w.Metric, w.Turns, w.Of)
}

func fewFigures(r *Result) (out []Warning) {
	most := 0
	for _, v := range r.Verdicts {
		most = max(most, v.Turns)
	}
	for _, v := range r.Verdicts {
		if v.Group == all && v.Measured && v.Turns < most/2 {
			out = append(out, FewFigures{v.Metric.Name, v.Turns, most})
		}
	}
	return out
}

// NotMeasured lists metrics of which neither side has a figure.
type NotMeasured struct{ Metrics []string }

// Kind is KindNotMeasured.
func (NotMeasured) Kind() Kind { return KindNotMeasured }

// Note names them.
func (w NotMeasured) Note() string { return "Not measured: " + strings.Join(w.Metrics, ", ") + "." }

func notMeasured(r *Result) []Warning {
	var none []string
	for _, v := range r.Verdicts {
		if v.Group == all && !v.Measured && v.Outcome != NotCompared {
			none = append(none, v.Metric.Name)
		}
	}
	if len(none) == 0 {
		return nil
	}
	return []Warning{NotMeasured{none}}
}
