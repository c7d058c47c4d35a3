package main

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
)

// calibration is a plan of two equal cells. Its text is recorded: --resume finds a calibration of an older wb by an equal text.
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
	o := runOptions{start: time.Now(), stdout: stdout, stderr: stderr, memory: true}
	cmd := &cobra.Command{
		Use:   "calibrate [-- SERVER-ARGUMENTS]",
		Short: "Measure this machine's noise by comparing equal runs",
		Long: `Play two equal runs, interleaved, and compare them. Whatever differs between them is this machine's noise.
The runs stay in the file. On the same machine, with the same server, model, users and rate, wb compare shows the noise beside
every change.

Where the server runs on this machine, the command first measures for about a second how fast the processors read main memory.
The limits that wb query roofline shows for a model on processors come from that figure.

The command takes the flags of wb run. Give those with which you will measure.`,
		Example: `  wb calibrate                                                  # on the simulator, under a minute
  wb calibrate --engine vllm --model smollm2-135m --isolation salt
  wb calibrate --url http://localhost:8001 --repeat 10`,
		Args: func(cmd *cobra.Command, a []string) error {
			if d := cmd.ArgsLenAtDash(); len(a) > 0 && d != 0 {
				return usageHint(cmd, "calibrate: takes no argument %q; arguments of the server come after --", a[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			o.words = a
			return o.run(cmd, func() (*bench.PlanFile, error) { return bench.ParsePlan("calibrate", []byte(calibration)) })
		},
	}
	o.flags(cmd)
	for name, value := range map[string]string{"repeat": "5", "max-tokens": "32", "ignore-eos": "true", "replies": "scripted",
		"conversations": "simple_qa,rag_topk"} { // --help shows the values of the plan
		f := cmd.Flags().Lookup(name)
		f.DefValue = value
		f.Usage, _, _ = strings.Cut(f.Usage, " (default:")
	}
	return cmd
}
