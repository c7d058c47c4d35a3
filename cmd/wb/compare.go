package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/queries/compare"
)

// gateError is the error of a comparison with a gate that failed; wb exits with 3.
type gateError struct{ error }

const compareHelp = `Compare two selections of runs: by how much HEAD differs from BASE, the interval of that difference, and a verdict. The
verdict is faster, slower, equivalent or inconclusive.
The unit of evidence is a session: a verdict needs at least six on each side (--repeat). The first line is the answer in words.

change_ratio is head over base, less 1, so -0.42 means 42 % less (for hit_ratio it is the difference); low_ratio and high_ratio are
its 95 % interval. faster means better and slower means worse, for every metric. noise_ratio says how far equal runs differ on this
machine, and more_sessions how many more would give a verdict. docs/reference/comparing.md has the statistics.
Of different engines, turns that were asked the same text are compared; figures in tokens of different tokenisers are not.

With --gate, wb exits with 3 when a limit is certainly breached: the whole interval lies beyond the limit, and the test rejects
a change that is only as large as the limit.`

func newCompare(stdout, stderr io.Writer) *cobra.Command {
	var q queryOptions
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare BASE HEAD",
		Short: "Compare two runs, or two groups of runs, and give a verdict",
		Long:  compareHelp,
		Example: `  wb compare latest~1 latest
  wb compare tag:apc=off tag:apc=on --metric ttft,itl_p50,hit_ratio --by turn
  wb compare baseline latest --gate 'ttft<=+3%,hit_ratio>=-1pp'`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx := cmd.Context()
			o.Base, o.Head = a[0], a[1]
			gates, err := o.check(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			if err := q.chooseFormat(cmd); err != nil {
				return err
			}
			db, err := openRead(ctx, q.db, stderr)
			if err != nil {
				return err
			}
			r, err := compare.Run(ctx, db, o.Comparison)
			if err = errors.Join(err, db.Close()); err != nil {
				return err
			}
			if err := q.write(stdout, stderr, r.Table()); err != nil {
				return err
			}
			return checkGates(stderr, gates, r.Verdicts, o.gateOn == "inconclusive")
		},
	}
	historyFlag(cmd, &q.db)
	f := cmd.Flags()
	names := strings.Join(compare.MetricNames(), ", ")
	f.StringSliceVar(&o.Metrics, "metric", compare.Usual(), "`metrics` to compare, the most important first: "+names)
	f.StringVar(&o.By, "by", "", "compare also for each turn, context or conversation")
	f.StringVar(&o.margin, "margin", "2%", "a difference within this `percentage` counts as none")
	f.StringVar(&o.gate, "gate", "", "`limits` on changes, such as 'ttft<=+3%,hit_ratio>=-1pp'; exit 3 when one is breached")
	f.StringVar(&o.gateOn, "gate-on", "breach", "when a gate fails: breach (if it is certainly breached) or inconclusive (if it may be)")
	q.outputFlags(cmd)
	return cmd
}

// compareOptions are the flags of wb compare.
type compareOptions struct {
	compare.Comparison
	margin, gate, gateOn string
}

// check reads the values of the flags, and gives the gates. changed says whether a flag was given.
func (o *compareOptions) check(changed func(flag string) bool) (gates []compare.Gate, err error) {
	if o.Margin, err = bench.Percentage(o.margin); err != nil || o.margin == "" {
		return nil, usagef("flag --margin: wants a percentage such as 2%%, not %q", o.margin)
	}
	switch {
	case o.By != "" && o.By != "turn" && o.By != "context" && o.By != "conversation":
		return nil, usagef("flag --by: wants turn, context or conversation, not %q", o.By)
	case o.gateOn != "breach" && o.gateOn != "inconclusive":
		return nil, usagef("flag --gate-on: wants breach or inconclusive, not %q", o.gateOn)
	case changed("gate-on") && !changed("gate"):
		return nil, usagef("flag --gate-on: needs --gate")
	}
	if changed("gate") { // an empty one is refused, too: it could come from an unset variable
		if gates, err = compare.ParseGate(o.gate); err != nil {
			return nil, plain.Mistake(err)
		}
	}
	for _, g := range gates { // a gate needs its metric
		if !slices.Contains(o.Metrics, g.Metric) {
			o.Metrics = append(o.Metrics, g.Metric)
		}
	}
	if len(o.Metrics) == 0 {
		return nil, usagef("flag --metric: wants some of %s", strings.Join(compare.MetricNames(), ", "))
	}
	for _, m := range o.Metrics {
		if known := compare.MetricNames(); !slices.Contains(known, m) {
			return nil, usagef("flag --metric: no metric is named %q%s", m, plain.Instead(m, known))
		}
	}
	return gates, nil
}

// checkGates prints the state of each gate. Its error names the gates that failed. With strict, a gate fails unless it is shown to hold.
func checkGates(stderr io.Writer, gates []compare.Gate, verdicts []compare.Verdict, strict bool) error {
	var broken []string
	for i, state := range compare.CheckGates(gates, verdicts) {
		why := map[compare.GateState]string{
			compare.GateHolds:    "holds",
			compare.GateBreached: "breached: the whole interval lies beyond the limit",
			compare.GateOpen:     "undecided: too few sessions, or they differ too much",
			compare.GateUnknown:  "not checked: not measured on both sides",
			compare.GateForeign:  "not checked: the two sides did different things (see the notes)",
		}[state]
		fmt.Fprintf(stderr, "gate %s: %s\n", gates[i].Text, why)
		if state == compare.GateBreached || (state != compare.GateHolds && strict) {
			broken = append(broken, gates[i].Text)
		}
	}
	if len(broken) > 0 {
		return gateError{fmt.Errorf("compare runs: gate %s failed", strings.Join(broken, ", "))}
	}
	return nil
}
