package compare

import (
	"fmt"
	"math"
)

// Kinds of warnings about noise.
const (
	KindCalibratedNoise Kind = "calibrated_noise" // the noise comes from a calibration
	KindUnknownNoise    Kind = "unknown_noise"    // nothing says how much equal runs differ
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

// UnknownNoise says that no figure of noise is known.
type UnknownNoise struct{}

// Kind is KindUnknownNoise.
func (UnknownNoise) Kind() Kind { return KindUnknownNoise }

// Note says what would make it known.
func (UnknownNoise) Note() string {
	return fmt.Sprintf("noise_ratio, by how much equal runs differ, is not known: wb calibrate measures it, and so does a side with "+
		"at least %d sessions, each of them repeated.", 2*fewSessions)
}

// unknownNoise applies where there are verdicts: without them, more is missing than noise.
func unknownNoise(r *Result) []Warning {
	enough := false
	for _, v := range r.Verdicts {
		if !math.IsNaN(v.Noise) {
			return nil
		}
		enough = enough || v.Enough
	}
	if !enough {
		return nil
	}
	return []Warning{UnknownNoise{}}
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
