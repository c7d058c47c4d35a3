package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wb/collect"
	"wb/queries"
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
			return o.execute(cmd, plan, stdout, stderr)
		},
	}
	o.flags(cmd)
	return cmd
}

// noise tells what a calibration found.
func (x *execution) noise(verdicts []queries.Verdict) {
	for _, v := range verdicts {
		switch {
		case v.Sessions == 0:
		case v.Metric.Ratio:
			x.line("noise of %s: up to %.1f points", v.Metric.Name, 100*max(-v.Low, v.High))
		default:
			x.line("noise of %s: up to %.1f %%", v.Metric.Name, 100*max(-v.Low, v.High))
		}
	}
	if len(verdicts) > 0 {
		fmt.Fprintf(x.stderr, "%s compare shows it beside every change on this machine, with this server and model\n", self())
	}
}
