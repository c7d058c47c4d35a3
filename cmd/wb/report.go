package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wb/queries/report"
	"wb/store"
	"wb/viz/output"
)

type reportOptions struct{ db, out, base string }

func newReport(stdout, stderr io.Writer) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report [SELECTOR | BASE HEAD]",
		Short: "Write the report of one or more runs as CSV, JSON, Markdown and HTML, with system facts",
		Long: `Write the report of the selected runs (default: latest). Several runs are compared with one of them: BASE, --base, or the first.
The page opens with the answer: key figures, slowest turns and advice of one run, or the verdicts of several.
The Markdown file is short, to be pasted. It begins with the machine, the server and the settings.`,
		Example: `  wb report
  wb report baseline candidate
  wb report plan:apc --base apc/enable-prefix-caching=false
  wb report baseline,candidate --out results`,
		Args: args(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx := cmd.Context()
			db, err := openRead(ctx, o.db, stderr)
			if err != nil {
				return err
			}
			selector, base, err := report.Choose(ctx, db, a, o.base)
			var files []string
			if err == nil {
				files, err = writeReport(ctx, db, selector, base, o.out, (&runOptions{db: o.db}).dbFlag())
			}
			if err = errors.Join(err, db.Close()); err != nil {
				return err
			}
			fmt.Fprintln(stdout, strings.Join(files, "\n"))
			return nil
		},
	}
	historyFlag(cmd, &o.db)
	cmd.Flags().StringVar(&o.out, "out", "results", "`directory` to write into; created if it does not exist")
	cmd.Flags().StringVar(&o.base, "base", "", "`run` with which the others are compared, by name or id (default: the first)")
	return cmd
}

// writeReport writes the files of a report on the selected runs and returns their paths.
// flag is added to the commands that it shows.
func writeReport(ctx context.Context, db *store.DB, selector, base, dir, flag string) ([]string, error) {
	tables, empty, err := report.Tables(ctx, db, selector, base)
	if err != nil {
		return nil, err
	}
	system, err := report.System(ctx, db, selector)
	if err != nil {
		return nil, err
	}
	opening, err := report.Opening(ctx, db, selector, tables, flag)
	if err != nil {
		return nil, err
	}
	rows, err := report.Conversations(ctx, db, selector)
	if err != nil {
		return nil, err
	}
	return output.WriteReport(dir, output.Report{Tables: tables, Empty: empty, Conversations: rows, System: system, Short: report.Short,
		Version: version, Opening: opening, Margin: report.Margin})
}
