package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/data"
	"wb/data/plain"
	"wb/queries/table"
	"wb/viz"
	"wb/viz/output"
)

// listConversations prints a table of all conversations. The table says which of them would run.
func listConversations(stdout io.Writer, format string, o *bench.RunSpec) error {
	s, err := o.Choice()
	if err != nil {
		return err
	}
	all, err := data.Load(o.Selection.Dir)
	if err != nil {
		return err
	}
	t, err := bench.SelectionTable(all, s)
	if err != nil {
		return err
	}
	return output.Render(stdout, format, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version})
}

func newConversations(stdout, stderr io.Writer) *cobra.Command {
	var format string
	list := func(o *bench.RunSpec) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error { return listConversations(stdout, format, o) }
	}
	all, sub := bench.Usual(), bench.Usual()
	cmd := &cobra.Command{Use: "conversations", Short: "List, show and check conversation files", Args: args(cobra.NoArgs), RunE: list(&all)}
	cmd.PersistentFlags().StringVar(&format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	all.Selection.Flags(cmd.Flags())
	ls := &cobra.Command{Use: "list", Short: "List conversations, and say which of them would run", Args: args(cobra.NoArgs), RunE: list(&sub)}
	sub.Selection.Flags(ls.Flags())
	var showDir string
	show := &cobra.Command{Use: "show ID", Short: "Print a conversation as YAML, with its generated documents", Args: args(cobra.ExactArgs(1)),
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
	validate := &cobra.Command{Use: "validate FILE | DIRECTORY…", Short: "Check conversation files, and print file and line of mistakes",
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error { return validateFiles(stdout, stderr, a) }}
	cmd.AddCommand(ls, show, validate)
	return cmd
}

func validateFiles(stdout, stderr io.Writer, paths []string) error {
	bad, good := 0, 0
	err := data.CheckFiles(paths, func(p string, c *data.Conversation, err error) {
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
	})
	switch {
	case err != nil:
		return err
	case bad > 0:
		return fmt.Errorf("validate conversations: %d of %d files have a mistake", bad, bad+good)
	case good == 0:
		return errors.New("validate conversations: found no .yaml, .yml or .json file")
	}
	return nil
}
