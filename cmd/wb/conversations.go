package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/data"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/table"
	"wb/viz"
	"wb/viz/output"
)

// selectionTable lists all conversations, and what becomes of each.
func selectionTable(all []*data.Conversation, s data.Selection) (*table.Table, error) {
	chosen, left, err := data.Select(all, s)
	if err != nil && left == nil {
		return nil, plain.Mistake(err)
	}
	t := &table.Table{Name: "conversations", Title: "Conversations", About: "expected_tokens: size of the longest prompt with the file's own replies. Generated ones are sized by the server's tokeniser.",
		Columns: []table.Column{{Name: "id"}, {Name: "title"}, {Name: "tags"}, {Name: "language"}, {Name: "domain"}, {Name: "turns"}, {Name: "documents"}, {Name: "expected_tokens", Unit: "tokens"}, {Name: "runs"}, {Name: "why_not"}}}
	for _, c := range all {
		turns, docs := int64(len(c.Turns)), int64(len(c.Documents))
		if c.Generate != nil {
			turns, docs = int64(c.Generate.Turns), 4
		}
		lang, why := c.Language, ""
		if lang == "" {
			lang = "en"
		}
		for _, l := range left {
			if l.Conversation == c {
				why = l.Why
			}
		}
		t.Rows = append(t.Rows, []any{c.ID, c.Title, strings.Join(c.Tags, " "), lang, c.Domain, turns, docs, int64(c.Tokens()), slices.Contains(chosen, c), why})
	}
	return t, nil
}

func newConversations(stdout, stderr io.Writer) *cobra.Command {
	var format string
	list := func(o *bench.Selection) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error {
			s, err := o.Choice()
			if err != nil {
				return err
			}
			all, err := data.Load(o.Dir)
			if err != nil {
				return err
			}
			t, err := selectionTable(all, s)
			if err != nil {
				return err
			}
			return output.Render(stdout, format, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version})
		}
	}
	var own, sub bench.Selection
	cmd := &cobra.Command{Use: "conversations", Short: "List, show and check conversation files", Args: args(cobra.NoArgs), RunE: list(&own)}
	cmd.PersistentFlags().StringVar(&format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	own.Flags(cmd.Flags())
	ls := &cobra.Command{Use: "list", Short: "List conversations, and which would run", Args: args(cobra.NoArgs), RunE: list(&sub)}
	sub.Flags(ls.Flags())
	var showDir string
	show := &cobra.Command{Use: "show ID", Short: "Print a conversation as YAML, a generated one with its documents", Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error {
			all, err := data.Load(showDir)
			if err != nil {
				return err
			}
			c, err := data.Pick(all, a)
			if err != nil {
				return plain.Mistake(err)
			}
			built, err := c[0].Build(data.EstimateTokens)
			if err != nil {
				return err
			}
			text, err := built.YAML()
			if err != nil {
				return err
			}
			_, err = stdout.Write(text)
			return err
		}}
	show.Flags().StringVar(&showDir, "data", "", "`directory` with conversation files")
	validate := &cobra.Command{Use: "validate FILE | DIRECTORY…", Short: "Check conversation files; mistakes are told with file and line", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error { return validateFiles(stdout, stderr, a) }}
	cmd.AddCommand(ls, show, validate)
	return cmd
}

func validateFiles(stdout, stderr io.Writer, paths []string) error {
	bad, good := 0, 0
	check := func(p string) {
		c, err := data.ReadFile(p)
		if err != nil {
			bad++
			fmt.Fprintln(stderr, err)
			return
		}
		good++
		if g := c.Generate; g != nil {
			fmt.Fprintf(stdout, "%s: %s, made of %s: %d turns, %d tokens\n", p, c.ID, strings.Join(g.Kinds, ", "), g.Turns, g.Tokens)
			return
		}
		fmt.Fprintf(stdout, "%s: %s, %s, %s\n", p, c.ID, plain.Count(len(c.Turns), "turn"), plain.Count(len(c.Documents), "document"))
	}
	for _, p := range paths {
		err := filepath.WalkDir(p, func(f string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch {
			case d.IsDir() && f != p && strings.HasPrefix(d.Name(), "."):
				return fs.SkipDir
			case !d.IsDir() && (f == p || data.IsFile(f)):
				check(f)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", p, plain.PathCause(err))
		}
	}
	switch {
	case bad > 0:
		return fmt.Errorf("validate conversations: %d of %d files have a mistake", bad, bad+good)
	case good == 0:
		return errors.New("validate conversations: there is no .yaml, .yml or .json file")
	}
	return nil
}

func newCache(stdout, stderr io.Writer) *cobra.Command {
	var q queryOptions
	var w queries.WhatIf
	var blocks, pools []string
	cmd := &cobra.Command{Use: "cache", Short: "Ask what the prefix cache could have done", Args: args(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	sim := &cobra.Command{
		Use:   "simulate",
		Short: "Replay recorded prompts through caches of other block sizes and capacities",
		Long: `Replay the prompts of recorded runs, token by token, through vLLM's prefix cache with other block sizes and capacities, and show the hit ratio each
would have had. Nothing is sent to any server.`,
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
	f.StringVar(&w.Runs, "runs", "latest", "which `runs`")
	f.StringSliceVar(&blocks, "block-size", []string{"16", "32", "64", "128"}, "tokens in a KV block")
	f.StringSliceVar(&pools, "kv-tokens", []string{"unlimited"}, "tokens the KV cache holds, such as 10k,50k,unlimited")
	f.BoolVar(&w.Shared, "shared", false, "as if nothing kept sessions apart")
	q.outputFlags(sim)
	cmd.AddCommand(sim)
	return cmd
}
