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
	var kind string
	cmd := &cobra.Command{
		Use:   "serve MODEL [-- SERVER-ARGUMENTS]",
		Short: "Start vLLM or llama-server with a model and keep it until Ctrl-C",
		Long: `Find vLLM or llama-server, download the model if it is missing, check memory and port, start the server and wait until it
answers. Its URL is printed on standard output. When wb ends, by Ctrl-C or in any other way, the server and everything that it
started ends, too.

MODEL is a name that wb models list shows, ORG/NAME[@REVISION] on the hub, or a directory: then vLLM serves it. It may also be a GGUF
file, ORG/NAME:QUANT on the hub, or the name of a GGUF file in the cache: then llama-server serves it.`,
		Example: `  wb serve smollm2-135m
  wb serve phi-3.5-mini --preset optimized --max-model-len 32K
  wb serve ./my-model --port auto -- --max-num-seqs 4 --dtype half
  wb serve ./model-Q4_K_M.gguf -- -ngl 20 -ctk q8_0`,
		Args: func(cmd *cobra.Command, a []string) error {
			n := len(a)
			if d := cmd.ArgsLenAtDash(); d >= 0 {
				n = d
			}
			if n != 1 {
				return plain.WithHint(usagef("serve: wants one model, not %d; arguments of the server come after --", n),
					"wb models list shows names")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			ctx := cmd.Context()
			at := target.Spec{Engine: target.Kind(kind), Model: a[0], Words: a[1:], Serve: o}
			program, err := at.Program(func(flag string) bool { return cmd.Flags().Changed(flag) })
			if err != nil {
				return err
			}
			l, err := o.Launch(program, a[0], a[1:], time.Now())
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
			fmt.Fprintf(stderr, "serving %s with %s (pid %d), log %s; stop with Ctrl-C\n", m.Options.ServedName, program.Name, m.Facts().PID,
				m.Facts().LogPath)
			fmt.Fprintln(stdout, m.Options.URL())
			select {
			case <-ctx.Done():
				fmt.Fprintln(stderr, "stopping; running requests have 10 s to end")
				if !m.Stop(context.WithoutCancel(ctx)) {
					fmt.Fprintf(stderr, "warning: %s has ended, but GPU memory is still in use\n", program.Name)
				}
				return nil
			case <-m.Ended():
				err := m.Err(ctx)
				talk.LogTail(stderr, o.Verbose, err)
				return err
			}
		},
	}
	cmd.Flags().StringVar(&kind, "engine", "", "which server to start: vllm or llamacpp (default: llamacpp for GGUF files, else vllm)")
	o.Flags(cmd.Flags())
	return cmd
}
