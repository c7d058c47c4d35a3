package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/cmd/internal/talk"
	"wb/collect/bench"
	"wb/collect/target"
	"wb/data/plain"
)

func newServe(stdout, stderr io.Writer) *cobra.Command {
	var o target.Serve
	cmd := &cobra.Command{
		Use:   "serve MODEL [-- VLLM-ARGUMENTS]",
		Short: "Start vLLM with a model and keep it until Ctrl-C",
		Long: `Find vLLM, download the model if it is missing, check memory and port, start vLLM and wait until it answers. Its URL is
printed on standard output. When wb ends, by Ctrl-C or in any other way, vLLM and everything that it started ends, too.

MODEL is a name that wb models list shows, ORG/NAME[@REVISION] on the hub, or a directory.`,
		Example: `  wb serve smollm2-135m
  wb serve phi-3.5-mini --preset optimized --max-model-len 32K
  wb serve ./my-model --port auto -- --max-num-seqs 4 --dtype half`,
		Args: func(cmd *cobra.Command, a []string) error {
			n := len(a)
			if d := cmd.ArgsLenAtDash(); d >= 0 {
				n = d
			}
			if n != 1 {
				return plain.WithHint(usagef("serve: wants one model, not %d; arguments of vLLM come after --", n), "wb models list shows names")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			ctx := cmd.Context()
			l, err := o.Launch(a[0], a[1:], time.Now())
			if err != nil {
				return err
			}
			// without --host only this machine can reach the server
			l.DevMode = !slices.ContainsFunc(a[1:], func(w string) bool { return strings.HasPrefix(w, "--host") })
			done := talk.OfStart(l, stderr, false)
			m, err := l.Prepare(ctx)
			if err != nil {
				return bench.Interrupted(ctx, err)
			}
			defer m.Close()
			err = m.Start(ctx)
			done()
			if err != nil {
				talk.LogTail(stderr, o.Verbose, err)
				return bench.Interrupted(ctx, err)
			}
			fmt.Fprintf(stderr, "serving %s with vLLM (pid %d), log %s; stop with Ctrl-C\n", m.Options.ServedName, m.Facts().PID, m.Facts().LogPath)
			fmt.Fprintln(stdout, m.Options.URL())
			select {
			case <-ctx.Done():
				fmt.Fprintln(stderr, "stopping; running requests have 10 s to end")
				if !m.Stop(context.WithoutCancel(ctx)) {
					fmt.Fprintln(stderr, "warning: vLLM has ended, but GPU memory is still in use")
				}
				return nil
			case <-m.Ended():
				err := m.Err(ctx)
				talk.LogTail(stderr, o.Verbose, err)
				return err
			}
		},
	}
	o.Flags(cmd.Flags())
	return cmd
}
