package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/machine"
	"wb/collect/target"
	"wb/data/hub"
	"wb/data/plain"
)

func newSetup(stdout, stderr io.Writer) *cobra.Command {
	var model, vllmAt, db string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Get a machine ready: download a model that fits it, and check vLLM and the rest",
		Long: `Choose a model that fits this machine (or take --model), download it, look for vLLM, and check the rest as wb doctor does.
The command changes only the cache of models. It says what is missing and how to get it.

The directory of the model is printed on standard output.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if model == "" {
				room := machine.ModelRoom(ctx)
				m, err := room.Recommend()
				if err != nil {
					return err
				}
				model = m.Name
				fmt.Fprintf(stderr, "recommended for this machine (%s): %s, %s, %s of weights, licence %s\n", room, m.Name, m.Parameters,
					plain.Bytes(m.WeightsBytes), m.License)
			}
			h, err := hub.FromEnv(os.Getenv)
			if err != nil {
				return err
			}
			dir := model
			var pulled error
			if st, err := os.Stat(model); err != nil || !st.IsDir() { // a directory needs no download
				var s *hub.Snapshot
				if s, pulled = pullModel(ctx, h, model, stderr); pulled == nil {
					dir = s.Dir
				}
				if ctx.Err() != nil {
					return bench.Interrupted(ctx, pulled)
				}
				if plain.IsMistake(pulled) {
					return pulled
				}
			}
			findings := machine.DiagnoseMachine(ctx, db)
			findings = append(findings, diagnoseFile(cmd, db))
			findings = append(findings, machine.DiagnoseVLLM(ctx, h, vllmAt, model, 8001)...)
			if err := renderFindings(stderr, "table", findings); err != nil {
				return err
			}
			if pulled != nil { // the findings are of use even without the model
				return pulled
			}
			fmt.Fprintln(stdout, dir)
			if machine.Failed(findings) {
				return errors.New("set up: the model is here; see the rows marked fail for what is missing")
			}
			fmt.Fprintf(stderr, "\nready; next:\n  %s run --engine vllm --model %s\n", self(), plain.Quote(model))
			return nil
		},
	}
	dbFlag(cmd, &db)
	cmd.Flags().StringVar(&model, "model", "", "model to set up (default: the one recommended for this machine)")
	target.VLLMFlag(cmd.Flags(), &vllmAt)
	return cmd
}
