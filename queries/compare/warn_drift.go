package compare

import "fmt"

// KindDrift says that a metric changed during a run.
const KindDrift Kind = "drift"

// Kind is KindDrift.
func (Drift) Kind() Kind { return KindDrift }

// Note gives the remark of the saved query.
func (w Drift) Note() string {
	return fmt.Sprintf("%s of run %s: %s (wb query drift).", w.Metric, w.Run, w.Remark)
}

func drifts(r *Result) (out []Warning) {
	for _, d := range r.Facts.Drift {
		out = append(out, d)
	}
	return out
}
