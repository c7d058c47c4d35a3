package compare

import (
	"fmt"
	"math"
)

// Kinds of warnings about the machine.
const (
	KindFrozen     Kind = "frozen"      // wb was kept from running
	KindHot        Kind = "hot"         // the GPU was slowed down
	KindOtherClock Kind = "other_clock" // the GPU ran at another clock
	KindClientBusy Kind = "client_busy" // wb itself was busy
)

const (
	clockMargin = 0.02 // clocks that differ by less than this share are taken as the same
	busyCores   = 0.9  // wb is busy if it uses more cores than this
)

// Frozen counts how often the machine kept wb from running.
type Frozen struct{ Times int64 }

// Kind is KindFrozen.
func (Frozen) Kind() Kind { return KindFrozen }

// Note says what that means for times.
func (w Frozen) Note() string {
	return fmt.Sprintf("The machine kept wb from running %d times; times around these moments include delays of wb (wb query run_events).",
		w.Times)
}

// Hot counts the samples in which the GPU was slowed down by heat or hardware.
type Hot struct{ Samples int64 }

// Kind is KindHot.
func (Hot) Kind() Kind { return KindHot }

// Note says how many they are.
func (w Hot) Note() string {
	return fmt.Sprintf("The GPU was slowed down by heat or by its hardware in %d samples (wb query gpu_timeline).", w.Samples)
}

// OtherClock holds the clocks of the GPU's SMs, medians while busy.
type OtherClock struct{ BaseMHz, HeadMHz float64 }

// Kind is KindOtherClock.
func (OtherClock) Kind() Kind { return KindOtherClock }

// Note gives both clocks.
func (w OtherClock) Note() string {
	return fmt.Sprintf("The GPU's SM clock was not the same: %.0f MHz (median while busy) in base, %.0f in head.", w.BaseMHz, w.HeadMHz)
}

// ClientBusy says how many cores wb itself kept busy, as the 90th percentile of the readings.
type ClientBusy struct{ Cores float64 }

// Kind is KindClientBusy.
func (ClientBusy) Kind() Kind { return KindClientBusy }

// Note says what that means for times.
func (w ClientBusy) Note() string {
	return fmt.Sprintf("wb itself was busy (%.1f cores at p90), so times may include delays of wb.", w.Cores)
}

func machineTroubles(r *Result) (out []Warning) {
	m := r.Facts.Machine
	if m.Frozen > 0 {
		out = append(out, Frozen{m.Frozen})
	}
	if m.HotSamples > 0 {
		out = append(out, Hot{m.HotSamples})
	}
	if a, b := m.BaseClockMHz, m.HeadClockMHz; a > 0 && b > 0 && math.Abs(b/a-1) > clockMargin {
		out = append(out, OtherClock{a, b})
	}
	if m.ClientCores > busyCores {
		out = append(out, ClientBusy{m.ClientCores})
	}
	return out
}
