package main

import (
	"io"

	"github.com/spf13/cobra"
)

func newImport(_, stderr io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "import FILE.duckdb|DIR...",
		Short: "Add the runs of other histories to this one",
		Long: "Add the runs that this file lacks, from DuckDB files of wb (older ones are put in order first), folders of wb " +
			"export --parquet, or lakes. Runs are\n" +
			"known by their ids: nothing comes twice, and a run that was resumed or labelled there since takes the place of " +
			"what is here.",
		Example: `  wb import box7.duckdb box8.duckdb
  wb import history --db all.duckdb`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, from []string) error {
			return bringIn(cmd.Context(), "import", path, from, "", stderr)
		},
	}
	dbFlag(cmd, &path)
	return cmd
}
