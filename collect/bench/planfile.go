package bench

import (
	"fmt"
	"path/filepath"

	"wb/data/plain"
	"wb/data/yamlfile"
)

// ReadPlan reads the plan in a file. It gives nil when file is "".
func ReadPlan(file string) (*PlanFile, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // a run without a plan
	}
	text, err := yamlfile.Read(file, MaxPlanBytes)
	if err != nil {
		return nil, plain.WithHint(fmt.Errorf("read plan %w", err), "docs/reference/plans.md describes plans; "+
			"--conversations chooses conversations, and arguments for the server come after --")
	}
	plan, err := ParsePlan(filepath.Base(file), text)
	return plan, plain.Mistake(err)
}
