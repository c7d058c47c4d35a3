package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect"
	"wb/store"
)

// find looks up the execution to go on with, and the plan where none was named.
func (x *execution) find(ctx context.Context, cmd *cobra.Command) ([]store.PlanRun, error) {
	all, err := x.file.Executions(ctx)
	if err != nil {
		return nil, err
	}
	nothing := func(format string, a ...any) error {
		return hinted{fmt.Errorf("resume plan: "+format, a...), "wb runs lists what the file holds; without --resume the plan begins anew"}
	}
	for _, e := range all {
		text, given := recordedFlags(e.Plan)
		p, err := collect.ParsePlan("recorded plan", []byte(text))
		if err != nil {
			return nil, err
		}
		when := e.StartedAt.UTC().Format("2006-01-02 15:04")
		switch {
		case x.plan != nil && p.Name != x.plan.Name:
			continue
		case x.plan != nil && text != x.plan.Text:
			return nil, nothing("%s is not what was begun on %s UTC", x.plan.File, when)
		case x.plan == nil && e.Unended == 0 && e.Runs >= len(p.Cells()):
			continue
		}
		if x.plan == nil {
			x.plan = p
		}
		x.planID = e.ID
		for name, values := range given { // as it was begun, unless told otherwise now
			f := cmd.Flags().Lookup(name)
			switch {
			case name == "" && len(x.words) == 0:
				x.words = values
			case f == nil || f.Changed:
			default:
				if err := (&runOptions{}).set(cmd.Flags(), collect.Choice{Name: name, Values: values}); err != nil {
					return nil, fmt.Errorf("resume plan: %w", err)
				}
			}
		}
		runs, err := x.file.PlanRuns(ctx, e.ID)
		if err == nil && !x.quiet {
			fmt.Fprintf(x.stderr, "going on with plan %s, begun on %s UTC\n", p.Name, when)
		}
		return runs, err
	}
	if x.plan != nil {
		return nil, nothing("%s was never begun in %s", x.plan.Name, x.db)
	}
	return nil, nothing("%s holds no plan that was cut short", x.db)
}

// flagsMark begins the line of a recorded plan that holds the flags it was begun with, and vLLM's arguments under "".
const flagsMark = "# flags of wb run: "

// withFlags is a plan's text with the flags that go before it.
func withFlags(cmd *cobra.Command, words []string, text string) (string, error) {
	given := map[string][]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(notForPlans, f.Name) {
			return
		}
		given[f.Name] = []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f.Name] = list.GetSlice()
		}
		if f.Name == "url" { // who resumes gives it again
			given[f.Name] = []string{collect.RedactURL(f.Value.String())}
		}
	})
	if len(words) > 0 {
		given[""] = withoutSecrets(words)
	}
	if len(given) == 0 {
		return text, nil
	}
	b, err := json.Marshal(given)
	if err != nil {
		return "", fmt.Errorf("record flags: %w", err)
	}
	return flagsMark + string(b) + "\n" + text, nil
}

// recordedFlags parts a recorded plan again.
func recordedFlags(recorded string) (text string, given map[string][]string) {
	line, rest, ok := strings.Cut(recorded, "\n")
	if js, marked := strings.CutPrefix(line, flagsMark); ok && marked && json.Unmarshal([]byte(js), &given) == nil {
		return rest, given
	}
	return recorded, nil
}

// adopt gives cells the runs that they go on with.
func (x *execution) adopt(ctx context.Context, runs []store.PlanRun) error {
	var open []store.PlanRun
	for _, r := range runs {
		i := slices.IndexFunc(x.cells, func(c *cellRun) bool { return c.cell.Name == r.Cell })
		if i < 0 {
			return fmt.Errorf("resume plan: run %s is of cell %q, which the plan does not have", r.Name, r.Cell)
		}
		c := x.cells[i]
		c.progress = &collect.Progress{RunID: r.RunID, Name: r.Name, Turns: r.Turns, Sessions: r.Sessions, Scrapes: r.Scrapes, Starts: r.Starts}
		c.sessions = r.SessionsPerRepeat
		for _, s := range r.Done {
			c.finished(s)
		}
		c.start = x.start.Add(-x.start.Sub(r.StartedAt)) // the wall clock's distance, then the monotonic clock
		open = append(open, r)
	}
	return x.file.Reopen(ctx, open)
}
