package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/collect"
	"wb/queries/compare"
)

// calibration is a plan of two equal cells: whatever differs between them is noise.
const calibration = `name: calibrate
about: two equal cells, taken in turns; whatever differs between them is this machine's noise
tags: {calibration: aa}
conversations: [simple_qa, rag_topk]
max_tokens: 32
ignore_eos: true
replies: scripted
repeats: 5
variants:
  a:
  b:
`

func newCalibrate(stdout, stderr io.Writer) *cobra.Command {
	o := runOptions{start: time.Now()}
	cmd := &cobra.Command{
		Use:   "calibrate [-- VLLM-ARGUMENTS]",
		Short: "Measure this machine's noise: equal runs against each other",
		Long: `Play two equal runs in turns and compare them: what differs is this machine's noise. The runs stay in the file, and wb compare shows the noise beside
every change on the same machine, server and model. Takes the flags of wb run; give the ones that you measure with.`,
		Example: `  wb calibrate                                                  # on the simulator, under a minute
  wb calibrate --engine vllm --model smollm2-135m --isolation salt
  wb calibrate --url http://localhost:8001 --repeat 10`,
		Args: func(cmd *cobra.Command, a []string) error {
			if d := cmd.ArgsLenAtDash(); len(a) > 0 && d != 0 {
				return hinted{usagef("calibrate: takes no argument %q; vLLM's own arguments come after --", a[0]), cmd.CommandPath() + " --help shows how it is used"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			o.words = a
			plan, err := collect.ParsePlan("calibrate", []byte(calibration))
			if err != nil {
				return err
			}
			if err := o.reach(cmd, stderr); err != nil {
				return err
			}
			return o.pushed(cmd.Context(), o.execute(cmd, plan, stdout, stderr), stderr)
		},
	}
	o.flags(cmd)
	for name, value := range map[string]string{"repeat": "5", "max-tokens": "32", "ignore-eos": "true", "replies": "scripted", "conversations": "simple_qa,rag_topk"} { // the plan's, for --help
		f := cmd.Flags().Lookup(name)
		f.DefValue = value
		f.Usage, _, _ = strings.Cut(f.Usage, " (default:")
	}
	return cmd
}

// noise tells what a calibration found.
func (x *execution) noise(verdicts []compare.Verdict) {
	known := false
	for _, v := range verdicts {
		known = known || v.Enough
		switch {
		case !v.Enough:
		case v.Metric.Ratio:
			x.line("noise of %s: up to %.1f points", v.Metric.Name, 100*max(-v.Low, v.High))
		default:
			x.line("noise of %s: up to %.1f %%", v.Metric.Name, 100*max(-v.Low, v.High))
		}
	}
	switch {
	case known:
		fmt.Fprintf(x.stderr, "%s compare shows it beside every change on this machine, with this server, model and as many users\n", self())
	case len(verdicts) > 0:
		fmt.Fprintln(x.stderr, "noise is not known from so few sessions: more --repeat")
	}
}
