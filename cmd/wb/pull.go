package main

import (
	"io"

	"github.com/spf13/cobra"
)

func newLakePull(_, stderr io.Writer) *cobra.Command {
	var path, runs string
	cmd := &cobra.Command{
		Use:   "pull LAKE",
		Short: "Copy runs from a lake into the local file",
		Long: `Add the runs of a lake that the local file lacks, and replace those that were resumed or tagged in the lake since then.
--runs selects runs of the lake by name, id, tag or age, as in every other command.`,
		Example: `  wb pull /mnt/team/lake --runs tag:gpu=h200`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, lake []string) error {
			return bringIn(cmd.Context(), "pull", path, lake, runs, stderr)
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&runs, "runs", "all", "`selector` of the runs")
	return cmd
}
