package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/client"
	"wb/collect/machine"
	"wb/collect/target"
	"wb/data/hub"
	"wb/data/plain"
	"wb/queries/table"
	"wb/store"
	"wb/viz"
	"wb/viz/output"
)

func newDoctor(stdout io.Writer) *cobra.Command {
	var db, url, model, keyEnv, format string
	var at target.Spec
	var port int
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check machine, GPU, disk, file, vLLM or llama-server and server, and say how to fix each problem",
		Long: `Check what a run needs: processor, memory, disk, GPU, the history file, vLLM and the models in the cache.
With --engine llamacpp, --llama-server or a GGUF model, llama-server is checked instead of vLLM.
With --model alone, check whether that model is in the cache and fits this machine.
With --url, check the server at that URL. It gets one request for one token.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			findings := machine.DiagnoseMachine(ctx, db)
			findings = append(findings, diagnoseFile(cmd, db))
			if url != "" {
				key, err := target.APIKey(keyEnv)
				if err != nil {
					return err
				}
				start := time.Now()
				c, err := client.New(url, key, func() int64 { return int64(time.Since(start)) })
				if err != nil {
					return plain.Mistake(err)
				}
				findings = append(findings, machine.DiagnoseServer(ctx, c, model)...)
			} else {
				h, err := hub.FromEnv(os.Getenv)
				if err != nil {
					return err
				}
				given := func(flag string) bool { return cmd.Flags().Changed(flag) }
				if at.Engine == "" && (given("llama-server") || at.Serve.LlamaServer != "" && at.Serve.VLLM == "") {
					at.Engine = target.LlamaCpp
				}
				at.Model = model
				program, err := at.Program(given)
				if err != nil {
					return err
				}
				if target.Kind(program.Kind) == target.LlamaCpp {
					findings = append(findings, machine.DiagnoseLlama(ctx, h, at.Serve.LlamaServer, model, port)...)
				} else {
					findings = append(findings, machine.DiagnoseVLLM(ctx, h, at.Serve.VLLM, model, port)...)
				}
			}
			if err := renderFindings(stdout, format, findings); err != nil {
				return err
			}
			if machine.Failed(findings) {
				return errors.New("check machine: a run would not work; see the rows marked fail")
			}
			return nil
		},
	}
	dbFlag(cmd, &db)
	f := cmd.Flags()
	f.StringVar(&url, "url", "", "check the server at this `URL` instead of vLLM and the models; it gets one request for one token")
	f.StringVar(&model, "model", "", "with --url, the model's name on that server; without it, a model to check for this machine")
	f.StringVar((*string)(&at.Engine), "engine", "", "check for this server: vllm or llamacpp (default: llamacpp for GGUF files, else vllm)")
	target.VLLMFlag(f, &at.Serve.VLLM)
	target.LlamaFlag(f, &at.Serve.LlamaServer)
	f.IntVar(&port, "port", 8001, "port to check for a server that wb would start")
	f.StringVar(&keyEnv, "api-key-env", "", "`name` of the environment variable that holds the server's API key")
	f.StringVar(&format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	return cmd
}

func renderFindings(w io.Writer, format string, findings []machine.Finding) error {
	t := machine.FindingsTable(findings)
	return output.Render(w, format, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version})
}

func diagnoseFile(cmd *cobra.Command, path string) machine.Finding {
	var told strings.Builder
	return machine.DiagnoseHistory(cmd.Context(), path, func() (*store.DB, bool, error) {
		db, err := openRead(cmd.Context(), path, &told)
		return db, told.Len() > 0, err
	})
}
