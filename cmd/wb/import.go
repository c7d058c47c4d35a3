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
		Long: `Add the runs that this file lacks. They come from DuckDB files of wb, from folders that wb export --parquet wrote, or from
lakes. Files of an older wb are brought up to date first.
A run is recognised by its id, and none is added twice. A run that was resumed or tagged there since then replaces the copy here.`,
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
