package compare

import (
	"fmt"
	"strings"
)

// Kinds of warnings about metrics that few turns have, or none.
const (
	KindFewFigures  Kind = "few_figures"
	KindNotMeasured Kind = "not_measured"
)

// FewFigures is a metric that less than half of the turns have.
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

// NotMeasured is metrics that neither side has.
type NotMeasured struct{ Metrics []string }

// Kind is KindNotMeasured.
func (NotMeasured) Kind() Kind { return KindNotMeasured }

// Note names them.
func (w NotMeasured) Note() string { return "Not measured: " + strings.Join(w.Metrics, ", ") + "." }

func notMeasured(r *Result) []Warning {
	var none []string
	for _, v := range r.Verdicts {
		if v.Group == all && !v.Measured {
			none = append(none, v.Metric.Name)
		}
	}
	if len(none) == 0 {
		return nil
	}
	return []Warning{NotMeasured{none}}
}
