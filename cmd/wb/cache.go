package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"wb/collect/serve"
	"wb/data/plain"
	"wb/queries"
)

func newCache(stdout, stderr io.Writer) *cobra.Command {
	var q queryOptions
	var w queries.WhatIf
	var blocks, pools []string
	cmd := &cobra.Command{Use: "cache", Short: "Show what other prefix caches could have done", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	sim := &cobra.Command{
		Use:   "simulate",
		Short: "Replay recorded prompts through caches of other block sizes and capacities",
		Long: `Replay the prompts of recorded runs, token by token, through vLLM's prefix cache with other block sizes and capacities.
The table shows the hit ratio that each of them would have had. Nothing is sent to any server.`,
		Example: `  wb cache simulate --block-size 16,32,64,128
  wb cache simulate --runs last:2 --kv-tokens 10k,50k,unlimited --shared -o what-if.html`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, b := range blocks {
				n, ok := serve.ParseCount(b)
				if !ok || n > 1<<20 {
					return usagef("flag --block-size: wants tokens, such as 16,64, not %q", b)
				}
				w.BlockSizes = append(w.BlockSizes, int(n))
			}
			for _, p := range pools {
				n, ok := serve.ParseCount(p)
				if !ok && p != "unlimited" {
					return usagef("flag --kv-tokens: wants tokens, such as 10k, or unlimited, not %q", p)
				}
				w.PoolTokens = append(w.PoolTokens, n)
			}
			if err := q.chooseFormat(cmd); err != nil {
				return err
			}
			ctx := cmd.Context()
			db, err := openRead(ctx, q.db, stderr)
			if err != nil {
				return err
			}
			t, err := queries.Simulate(ctx, db, w)
			if err = errors.Join(err, db.Close()); err != nil {
				if errors.Is(err, queries.ErrNoTokens) {
					return plain.WithHint(err, "the server must have /tokenize (vLLM and the simulator do)")
				}
				return err
			}
			return q.write(stdout, stderr, t)
		},
	}
	dbFlag(sim, &q.db)
	f := sim.Flags()
	f.StringVar(&w.Runs, "runs", "latest", "`selector` of the runs to replay")
	f.StringSliceVar(&blocks, "block-size", []string{"16", "32", "64", "128"}, "sizes of a KV block in `tokens`")
	f.StringSliceVar(&pools, "kv-tokens", []string{"unlimited"}, "sizes of the KV cache in `tokens`, such as 10k,50k,unlimited")
	f.BoolVar(&w.Shared, "shared", false, "let all sessions share one cache, even where isolation kept them apart")
	q.outputFlags(sim)
	cmd.AddCommand(sim)
	return cmd
}
