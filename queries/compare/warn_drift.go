package compare

import "fmt"

// KindDrift is a metric of a run that did not hold still.
const KindDrift Kind = "drift"

// Kind is KindDrift.
func (Drift) Kind() Kind { return KindDrift }

// Note says what the saved query remarks.
func (w Drift) Note() string {
	return fmt.Sprintf("%s of run %s: %s (wb query drift).", w.Metric, w.Run, w.Remark)
}

func drifts(r *Result) (out []Warning) {
	for _, d := range r.Facts.Drift {
		out = append(out, d)
	}
	return out
}
