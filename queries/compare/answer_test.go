package compare

import (
	"strings"
	"testing"

	"wb/queries/table"
)

// settled gives a settled verdict on a metric.
func settled(name string, outcome Outcome, base, head, change, low, high float64) Verdict {
	m, _ := MetricNamed(name)
	return Verdict{
		Metric: m, Group: all, Outcome: outcome,
		Estimate: Estimate{Base: base, Head: head, Change: change, Low: low, High: high},
		Evidence: Evidence{Sessions: 8, Turns: 40, Paired: true, Enough: true, Measured: true},
	}
}

func TestAnswer(t *testing.T) {
	lower := settled("ttft", Faster, 84.1, 61.7, -0.264, -0.29, -0.24)
	open := settled("e2e", Inconclusive, 100, 103, 0.03, -0.03, 0.09)
	open.More = 5
	sure := settled("hit_ratio", Inconclusive, 0, 0.9, 0.9, 0.89, 0.91)
	sure.More = 2
	turn := lower
	turn.Group = "turn  2"
	absent := Verdict{Metric: Metrics()[7], Group: all, Outcome: Inconclusive}
	oneSide := settled("j_per_token", Inconclusive, 1, 1, 0, 0, 0)
	oneSide.Sessions = 0
	for want, verdicts := range map[string][]Verdict{
		"TTFT 26 % lower (95 %: 24 to 29 %), faster; hit ratio 0 → 84 % (95 %: +83 to +85 points), better; " +
			"time per token and tokens/s unchanged (within ±2 %)": {
			lower, settled("tpot", Equivalent, 14, 14, 0, -0.01, 0.01), settled("hit_ratio", Faster, 0, 0.84, 0.84, 0.83, 0.85),
			settled("tok_s", Equivalent, 70, 70, 0, -0.01, 0.01), turn, absent,
		},
		"TTFT 12 % higher (95 %: 11 to 14 %), slower": {settled("ttft", Slower, 1, 1, 0.12, 0.11, 0.14)},
		"ITL p99 3.4 % higher (95 %: 3.1 to 3.9 %), slower; time of a turn not settled (−3 to +9 %; " +
			"about 5 more sessions a side would settle it)": {settled("itl_p99", Slower, 1, 1, 0.034, 0.031, 0.039), open},
		"TTFT 26 % lower (95 %: 24 to 29 %), faster; hit ratio not settled (+89 to +91 points; about 2 more sessions a side would " +
			"settle it, as 2 metrics are compared at once)": {lower, sure},
		"Tokens/s 12.1 % higher (95 %: 12.1 to 12.2 %), better": {
			settled("tok_s", Faster, 1, 1, 0.1214, 0.1212, 0.1216),
		},
		"Peak memory 3.2 times as high (95 %: 3.1 to 3.3), worse": {
			settled("peak_mem", Slower, 1, 3, 2.2, 2.1, 2.3),
		},
		"TTFT 26 % lower (95 %: 24 to 29 %), faster; energy per token measured on one side only": {lower, oneSide},
		"No verdict: none of the metrics was measured":                                           {absent},
	} {
		r := quiet()
		r.Verdicts = verdicts
		if got := r.Answer(); got.Line != want || got.Commands != nil {
			t.Errorf("got  %+v\nwant %s", got, want)
		}
	}
}

// What forbids a verdict stands in the answer, and what would give one.
func TestAnswerWithoutVerdict(t *testing.T) {
	few := func(r *Result, metrics int) {
		r.Verdicts = nil
		for _, m := range Metrics()[:metrics] {
			r.Verdicts = append(r.Verdicts, Verdict{Metric: m, Group: all, Outcome: Inconclusive, Evidence: Evidence{Sessions: 2, Measured: true}})
		}
	}
	for want, change := range map[string]func(*Result){
		"No verdict: one side is simulated and the other is not": func(r *Result) {
			r.Head.Runs = []table.RunRef{{Simulated: true}}
		},
		"No verdict: one side began with a warm prefix cache and the other with a cold one":   func(r *Result) { r.warmth.apart = true },
		"No verdict: 2 sessions a side, and 6 are the least: play both sides with --repeat 3": func(r *Result) { few(r, 1) },
		"No verdict: 2 sessions a side, and 6 metrics need 8 (one metric needs 6): play both sides with --repeat 4\n" +
			"wb run --name off --repeat 4\nwb run --name on --repeat 4 -- --max-num-seqs 4": func(r *Result) {
			few(r, 6)
			r.Facts.Commands = []string{"/opt/wb run --repeat 1 --name off", "wb run --name on -- --max-num-seqs 4"}
		},
		"No verdict: 2 sessions a side, and 6 are the least: play both sides with --repeat 3\nwb run plan.yaml --repeat 3": func(r *Result) {
			few(r, 1)
			r.Facts.Commands = []string{"wb run plan.yaml --repeat=2", "wb run plan.yaml"}
		},
		"No verdict: 3 server processes a side, and 4 are the least, as sessions of one process are not independent evidence: " +
			"play more runs and restart the server between them, or play both sides with --isolation restart": func(r *Result) {
			few(r, 1)
			r.Verdicts[0].Processes = 3
			r.Facts.Commands = []string{"wb run --name off", "wb run --name on"}
		},
		"No verdict: 1 server process a side, and 6 metrics need 5 (one metric needs 4), as sessions of one process are not independent " +
			"evidence: play the plan with --repeat 5\nwb run plan.yaml --repeat 5": func(r *Result) {
			few(r, 6)
			for i := range r.Verdicts {
				r.Verdicts[i].Processes = 1
			}
			r.Facts.Commands = []string{"wb run plan.yaml", "wb run plan.yaml"}
		},
		"No verdict: 2 server processes a side, and 4 are the least, as sessions of one process are not independent evidence: " +
			"play more runs and restart the server between them, or play both sides with --isolation restart": func(r *Result) {
			few(r, 1)
			r.Verdicts[0].Processes = 2
			r.Facts.Commands = []string{"wb run --url http://h:1", "wb run --url http://h:1"} // one command, recorded twice, is no plan
		},
		"No verdict: 2 sessions a side, and 6 are the least: play both sides with --repeat 3\nwb run --repeat 3": func(r *Result) {
			few(r, 2)
			r.Verdicts[0].Sessions = 0
			r.Facts.Commands = []string{"wb run"}
		},
		"No verdict: none of the metrics was measured on both sides": func(r *Result) {
			few(r, 1)
			r.Verdicts[0].Sessions = 0
		},
		"Not like for like, with no conversation in common: TTFT unchanged (within ±2 %)": func(r *Result) { r.pairing.strangers = true },
	} {
		r := quiet()
		change(r)
		got := r.Answer()
		if text := strings.Join(append([]string{got.Line}, got.Commands...), "\n"); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
}

// As many sessions as LeastSessions says can give a verdict on every metric, and one fewer cannot.
func TestLeastSessions(t *testing.T) {
	for metrics, want := range map[int]int{1: 6, 2: 6, 3: 7, 4: 7, 6: 8} {
		if got := LeastSessions(metrics); got != want {
			t.Errorf("%d metrics: %d, want %d", metrics, got, want)
		}
	}
}

func TestLeastProcesses(t *testing.T) {
	for metrics, want := range map[int]int{1: 4, 2: 4, 3: 5, 6: 5} {
		if got := LeastProcesses(metrics); got != want {
			t.Errorf("%d metrics: %d, want %d", metrics, got, want)
		}
	}
}

func TestWithRepeat(t *testing.T) {
	for argv, want := range map[string]string{
		"":                                    "",
		"wb":                                  "",
		"wb run":                              "wb run --repeat 8",
		"/usr/bin/wb run --repeat 2 --name x": "wb run --name x --repeat 8",
		"wb run --repeat=2 'a -- b' -- --repeat 3":       "wb run 'a -- b' --repeat 8 -- --repeat 3",
		`wb run --name 'it'\''s it' --tag a=b`:           `wb run --name 'it'\''s it' --tag a=b --repeat 8`,
		"wb run --resume --db x.duckdb":                  "",
		"wb run --until-ci 2% --max-repeats=3":           "wb run --repeat 8",
		"wb selftest --name x":                           "",
		"wb calibrate --repeat 3 --url http://localhost": "wb calibrate --url http://localhost --repeat 8",
	} {
		if got, _ := withRepeat(argv, 8); got != want {
			t.Errorf("%q: got %q, want %q", argv, got, want)
		}
	}
}
