package main

import (
	"io"

	"github.com/spf13/cobra"
)

func newLakePull(_, stderr io.Writer) *cobra.Command {
	var path, runs string
	cmd := &cobra.Command{
		Use:   "pull LAKE",
		Short: "Bring runs of a lake into the local file",
		Long: "Add the runs of a lake that the local file lacks, and renew those that were resumed or labelled since. --runs " +
			"selects by name, label or time, as everywhere.",
		Example: `  wb pull /mnt/team/lake --runs tag:gpu=h200`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, lake []string) error {
			return bringIn(cmd.Context(), "pull", path, lake, runs, stderr)
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&runs, "runs", "all", "which runs")
	return cmd
}
