package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"wb/data/plain"
	"wb/store/history"
)

func newExport(_, stderr io.Writer) *cobra.Command {
	var path, dir, runs string
	cmd := &cobra.Command{
		Use:   "export --parquet DIR",
		Short: "Write runs as Parquet files, which other programs can read",
		Long: `Write runs into a folder of Parquet files, Hive-partitioned: DIR/TABLE/day=…/run_id=…/*.parquet. The file dictionary.csv
in the folder describes each column.
A run that is exported again replaces its copy in the folder, unless that copy is newer. Queries, comparisons and reports read
the folder with --db, and wb import adds its runs to a file.`,
		Example: `  wb export --parquet history
  wb query ttft_by_turn --db history --runs all`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("flag --parquet: wants the folder to write into")
			}
			return withRuns(cmd.Context(), path, runs, stderr, func(from string, ids []string) error {
				out, err := history.Export(cmd.Context(), from, dir, ids)
				if err != nil {
					return err
				}
				fmt.Fprintf(stderr, "%s written to %s, %s of Parquet%s\n", plain.Count(out.Added+out.Renewed+out.Present, "run"), dir,
					plain.BytesIn(out.Bytes, plain.MB, 1), out.Rest("there"))
				return nil
			})
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&dir, "parquet", "", "`folder` to write into")
	cmd.Flags().StringVar(&runs, "runs", "all", "`selector` of the runs")
	return cmd
}
