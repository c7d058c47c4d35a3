// Package complete says what a shell may complete: values of flags, and names that are arguments.
package complete

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/bench"
	"wb/queries/compare"
	"wb/viz"
)

// Values lets the shell complete the values of flags that accept only a few.
func Values(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		values := bench.EnumValues(f.Name)
		switch f.Name {
		case "format":
			values = viz.Formats()
		case "metric", "metrics":
			values = compare.MetricNames()
		case "profile":
			values = bench.EnumValues("sim-profile")
		case "by":
			values = []string{"turn", "context", "conversation"}
		}
		if values == nil {
			return
		}
		complete := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // an error means that the flag has a completion already
	})
	for _, c := range cmd.Commands() {
		Values(c)
	}
}
