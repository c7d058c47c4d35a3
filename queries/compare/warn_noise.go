package compare

import (
	"fmt"
	"math"
)

// Kinds of warnings about noise.
const (
	KindCalibratedNoise Kind = "calibrated_noise" // the noise comes from a calibration
	KindWithinNoise     Kind = "within_noise"     // there is a verdict, but equal runs differ as much
)

// CalibratedNoise says which calibration the noise comes from.
type CalibratedNoise struct{ Day string }

// Kind is KindCalibratedNoise.
func (CalibratedNoise) Kind() Kind { return KindCalibratedNoise }

// Note gives the day of the calibration.
func (w CalibratedNoise) Note() string {
	return "noise_ratio: equal runs on this machine, " + w.Day + " (wb calibrate)."
}

func calibratedNoise(r *Result) []Warning {
	if r.noiseOf == "" {
		return nil
	}
	return []Warning{CalibratedNoise{r.noiseOf}}
}

// WithinNoise is a change that is no larger than differences between equal runs.
type WithinNoise struct{ Metric, Group string }

// Kind is KindWithinNoise.
func (WithinNoise) Kind() Kind { return KindWithinNoise }

// Note names the metric and the group.
func (w WithinNoise) Note() string {
	return fmt.Sprintf("%s (%s): the change is no larger than differences between equal runs on this machine (noise_ratio).",
		w.Metric, w.Group)
}

func withinNoise(r *Result) (out []Warning) {
	for _, v := range r.Verdicts {
		if (v.Outcome == Faster || v.Outcome == Slower) && math.Abs(v.Change) <= v.Noise {
			out = append(out, WithinNoise{v.Metric.Name, groupLabel(v.Group)})
		}
	}
	return out
}
