package compare

import (
	"fmt"
	"slices"
	"strings"
)

// KindDifferingSettings says that settings are not the same on both sides.
const KindDifferingSettings Kind = "differing_settings"

// shownSettings is how many settings a note names at most.
const shownSettings = 8

// DifferingSettings names the settings, such as plan.users.
type DifferingSettings struct{ Names []string }

// Kind is KindDifferingSettings.
func (DifferingSettings) Kind() Kind { return KindDifferingSettings }

// Note names some of them, and counts the others.
func (w DifferingSettings) Note() string {
	more := ""
	if n := len(w.Names) - shownSettings; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	shown := w.Names[:min(shownSettings, len(w.Names))]
	return "Settings that differ: " + strings.Join(shown, ", ") + more + " (wb query run_differences)."
}

func differingSettings(r *Result) []Warning {
	others := slices.DeleteFunc(slices.Clone(r.Facts.Differing), r.engines.told)
	if len(others) == 0 {
		return nil
	}
	return []Warning{DifferingSettings{others}}
}
