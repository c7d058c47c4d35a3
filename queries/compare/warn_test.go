package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"wb/queries/table"
)

// quiet gives a result without warnings: enough paired sessions of two conversations.
func quiet() *Result {
	side := func(name string) (s Side, os []observation) {
		s = Side{Selector: name, Runs: []table.RunRef{{ID: name + "-run-id", Name: name}}}
		for pass := range 3 {
			for _, conversation := range []string{"a", "b"} {
				s.Turns = append(s.Turns, turnOf(name, conversation, "", int64(pass+1), 1))
				os = append(os, observed(conversation, pass, 1, 10))
			}
		}
		return s, os
	}
	r := &Result{Comparison: Comparison{Margin: 0.02}}
	var b, h []observation
	r.Base, b = side("one")
	r.Head, h = side("two")
	r.pairing = pair(b, h)
	r.Verdicts = decide(r.pairing, ttft(), r.Comparison)
	r.Verdicts[0].Noise = 0.001
	return r
}

// plantedWarning is a check, a change that makes it warn, and the expected warning.
type plantedWarning struct {
	check  check
	change func(*Result)
	kinds  string
	notes  string
}

// strangersOf makes the sides have no conversation in common.
func strangersOf(r *Result) {
	for i := range r.pairing.head {
		r.pairing.head[i].conversation = "c"
	}
	r.pairing = pair(r.pairing.base, r.pairing.head)
}

// plantedInPairs are changes of names, noise, servers and pairs.
func plantedInPairs() map[string]plantedWarning {
	return map[string]plantedWarning{
		"same name": {sameNames, func(r *Result) {
			r.Head.Runs = []table.RunRef{{ID: "aaaaaaaa-1", Name: "two aaaaaaaa"}, {ID: "bbbbbbbb-2", Name: "two bbbbbbbb"}}
		}, "same_name", "2 runs have the name two and count as repeats of one; the start of an id selects one of them: aaaaaaaa, bbbbbbbb."},
		"calibration": {calibratedNoise, func(r *Result) { r.noiseOf = "2026-11-30" },
			"calibrated_noise", "noise_ratio: equal runs on this machine, 2026-11-30 (wb calibrate)."},
		"unknown noise": {unknownNoise, func(r *Result) { r.Verdicts[0].Noise = math.NaN() },
			"unknown_noise", "noise_ratio, by how much equal runs differ, is not known: wb calibrate measures it, and so does a side with " +
				"at least 12 sessions, each of them repeated."},
		"unknown noise, too few sessions": {unknownNoise, func(r *Result) { r.Verdicts[0].Enough = false }, "", ""},
		"within noise": {withinNoise, func(r *Result) {
			v := &r.Verdicts[0]
			v.Outcome, v.Change, v.Noise, v.Group = Slower, 0.03, 0.03, "turn  2"
		}, "within_noise", "ttft (turn 2): the change is no larger than differences between equal runs on this machine (noise_ratio)."},
		"noise is not known": {withinNoise, func(r *Result) { r.Verdicts[0].Outcome, r.Verdicts[0].Noise = Slower, math.NaN() }, "", ""},
		"processes": {serverProcesses, func(r *Result) { r.pairing.unit = unitProcess },
			"processes_are_units", "Server processes served several"},
		"one process each": {serverProcesses, func(r *Result) { r.pairing.unit = unitOneEach },
			"one_process_each", "Each side was served by one"},
		"strangers": {strangers, strangersOf, "strangers", "The sides have no conversation in common"},
		"without equal": {withoutEqual, func(r *Result) {
			r.pairing.head[0].prompt++
		}, "without_equal without_equal", "1 of 6 turns of base have no equal on the other side, and count in no figure."},
		"without equal, by process": {withoutEqual, func(r *Result) { r.pairing.head[0].prompt++; r.pairing.unit = unitProcess }, "", ""},
		"unpaired": {unpairedTurns, func(r *Result) { r.pairing.paired, r.pairing.agree = false, 0.25 },
			"unpaired", "Turns are not paired: prompt and output tokens agree in 25 % of them; sessions are compared"},
		"unpaired, live": {unpairedTurns, func(r *Result) { r.pairing.paired, r.Facts.Unequal.Live = false, true },
			"unpaired", "; --replies scripted and --ignore-eos make the token counts of runs equal."},
		"unpaired, by settings": {unpairedTurns, func(r *Result) {
			r.pairing.paired, r.Facts.Unequal = false, Unequal{"api and model", true}
		}, "unpaired", "; api and model differ, and sessions are"},
	}
}

// plantedInRuns are changes of sessions, turns, settings and machines.
func plantedInRuns() map[string]plantedWarning {
	return map[string]plantedWarning{
		"left out, warm": {leftOutSessions, func(r *Result) { r.warmth = warmth{skip: new(true), begun: [2]begun{{1, 5}, {0, 6}}} },
			"left_out_sessions", "1 of 6 sessions of base are left out: they began warm, with"},
		"left out, cold": {leftOutSessions, func(r *Result) { r.warmth = warmth{skip: new(false), begun: [2]begun{{6, 0}, {5, 1}}} },
			"left_out_sessions", "1 of 6 sessions of head are left out: they began cold, and the others warm."},
		"apart": {leftOutSessions, func(r *Result) { r.warmth = warmth{apart: true, begun: [2]begun{{6, 0}, {0, 5}}} },
			"warm_and_cold", "6 sessions of base and 0 of head began warm, with their first prompt in the prefix cache, and 0 and 5 cold"},
		"cut and buffered": {doubtfulTurns, func(r *Result) {
			r.Base.Turns[0].Truncated, r.Base.Turns[1].Buffered = true, true
		}, "cut_turns buffered_turns", "1 of 6 turns of base are left out: the server cut their history (context_truncated)."},
		"few figures": {fewFigures, func(r *Result) {
			v := r.Verdicts[0]
			v.Metric, v.Turns = Metrics()[1], 2
			r.Verdicts = append(r.Verdicts, v)
		}, "few_figures", "itl_p50: only 2 of 6 turns have a figure on both sides."},
		"not measured": {notMeasured, func(r *Result) { r.Verdicts[0].Measured = false }, "not_measured", "Not measured: ttft."},
		"one conversation": {oneConversation, func(r *Result) {
			r.pairing.base, r.pairing.head = sideOf("a", 1), sideOf("a", 1)
		}, "one_conversation", "All sessions are of a: the result may be different for other conversations."},
		"notes of runs": {runNotes, func(r *Result) { r.Base.Notes, r.Head.Notes = []string{"x"}, []string{"y"} }, "run_note run_note", "x\ny"},
		"one simulated": {oneSimulated, func(r *Result) { r.Head.Runs[0].Simulated = true }, "one_simulated", "One side is simulated"},
		"two simulated": {oneSimulated, func(r *Result) { r.Base.Runs[0].Simulated, r.Head.Runs[0].Simulated = true, true }, "", ""},
		"too few": {tooFew, func(r *Result) { r.Verdicts[0].Evidence = Evidence{Sessions: 1, Measured: true} },
			"too_few", "Only 1 session per side: at least 6 are needed for any verdict (--repeat)."},
		"too few processes": {tooFew, func(r *Result) { r.Verdicts[0].Evidence = Evidence{Sessions: 8, Processes: 2, Measured: true} },
			"too_few", "Only 2 server processes on a side: at least 4 are needed for any verdict"},
		"settings": {differingSettings, func(r *Result) { r.Facts.Differing = strings.Fields("a b c d e f g h i j") },
			"differing_settings", "Settings that differ: a, b, c, d, e, f, g, h and 2 more (wb query run_differences)."},
		"machine": {machineTroubles, func(r *Result) { r.Facts.Machine = Machine{2, 3, 0.95, 2000, 1900} }, "frozen hot other_clock client_busy",
			"The GPU's SM clock was not the same: 2000 MHz (median while busy) in base, 1900 in head."},
		"too little to matter": {machineTroubles, func(r *Result) { r.Facts.Machine = Machine{0, 0, 0.9, 2000, 1961} }, "", ""},
		"drift": {drifts, func(r *Result) { r.Facts.Drift = []Drift{{"ttft", "one", "it got slower"}} },
			"drift", "ttft of run one: it got slower (wb query drift)."},
	}
}

// Each check gives no warning for a quiet result, and warns after the change.
func TestChecks(t *testing.T) {
	cases := plantedInPairs()
	maps.Copy(cases, plantedInRuns())
	for name, c := range cases {
		r := quiet()
		if w := c.check(r); w != nil {
			t.Errorf("%s: %v of a quiet result", name, w)
		}
		c.change(r)
		var kinds, notes []string
		for _, w := range c.check(r) {
			kinds, notes = append(kinds, string(w.Kind())), append(notes, w.Note())
		}
		if got := strings.Join(kinds, " "); got != c.kinds {
			t.Errorf("%s: %q, want %q", name, got, c.kinds)
		}
		if got := strings.Join(notes, "\n"); !strings.Contains(got, c.notes) {
			t.Errorf("%s: %q, want %q", name, got, c.notes)
		}
	}
}

// Long is an example of a warning that one file adds, with its kind, its check and its text.
type Long struct{ Turns int }

const kindLong Kind = "long"

func (Long) Kind() Kind     { return kindLong }
func (w Long) Note() string { return fmt.Sprintf("The sides have %d turns.", w.Turns) }

func long(r *Result) []Warning {
	if n := len(r.Base.Turns) + len(r.Head.Turns); n > 10 {
		return []Warning{Long{n}}
	}
	return nil
}

// A new warning needs a kind, a check, a text and a line in the list. Its note has the place of that line.
func TestWarningIsOneFile(t *testing.T) {
	r := quiet()
	r.Facts.Differing = []string{"plan.x"}
	r.Warnings = warn(r, slices.Concat([]check{long}, checks()))
	if got := fmt.Sprint(r.Table().Notes); got != "[The sides have 12 turns. Settings that differ: plan.x (wb query run_differences).]" {
		t.Error(got)
	}
}

// The notes are in the order of the list, in a result that has nearly all of them.
func TestWarningsInOrder(t *testing.T) {
	r, plants := quiet(), plantedInPairs()
	maps.Copy(plants, plantedInRuns())
	for _, name := range []string{
		"same name", "few figures", "drift", "machine", "settings", "one simulated", "notes of runs", "one conversation",
		"cut and buffered", "left out, warm", "unpaired", "processes", "within noise", "calibration",
	} {
		plants[name].change(r)
	}
	r.Verdicts[0].Enough = false
	r.Verdicts = append(r.Verdicts, Verdict{Metric: Metrics()[2], Group: "all"})
	var kinds []string
	for _, w := range warn(r, checks()) {
		kinds = append(kinds, string(w.Kind()))
	}
	want := "same_name calibrated_noise within_noise processes_are_units unpaired left_out_sessions cut_turns buffered_turns few_figures " +
		"not_measured one_conversation run_note run_note one_simulated too_few differing_settings frozen hot other_clock client_busy drift"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
