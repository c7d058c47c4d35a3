package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/store"
)

// find looks up the execution to go on with, and the plan where none was named.
func (x *execution) find(ctx context.Context, cmd *cobra.Command) ([]store.PlanRun, error) {
	all, err := x.file.Executions(ctx)
	if err != nil {
		return nil, err
	}
	when := func(e store.Execution) string { return e.StartedAt.UTC().Format("2006-01-02 15:04") }
	nothing := func(format string, a ...any) error {
		return hinted{fmt.Errorf("resume plan: "+format, a...), "only plans are gone on with, and wb runs lists what the file holds; without --resume it begins anew"}
	}
	var found *store.Execution
	var plan *bench.PlanFile
	var given map[string][]string
	other := ""
	for i, e := range all {
		text, flags := recordedFlags(e.Plan)
		p, err := bench.ParsePlan("recorded plan", []byte(text))
		if err != nil {
			return nil, err
		}
		unfinished := e.Unended > 0 || e.Runs < len(p.Cells())
		switch {
		case x.plan == nil && !unfinished, x.plan != nil && p.Name != x.plan.Name:
			continue
		case x.plan != nil && text != x.plan.Text:
			if other == "" {
				other = when(e)
			}
			continue
		case found != nil && !unfinished: // a finished one serves only where no other does
			continue
		}
		found, plan, given = &all[i], p, flags
		if unfinished {
			break
		}
	}
	switch {
	case found == nil && other != "":
		return nil, nothing("%s is not what was begun on %s UTC", x.plan.File, other)
	case found != nil:
		if x.plan == nil {
			x.plan = plan
		}
		x.planID = found.ID
		if err := x.asBegun(cmd, given); err != nil {
			return nil, err
		}
		runs, err := x.file.PlanRuns(ctx, found.ID)
		if err == nil && !x.quiet {
			fmt.Fprintf(x.stderr, "going on with plan %s, begun on %s UTC\n", plan.Name, when(*found))
		}
		return runs, err
	}
	if x.plan != nil {
		return nil, nothing("%s was never begun in %s", x.plan.Name, x.db)
	}
	return nil, nothing("%s holds no plan that was cut short", x.db)
}

// asBegun gives the flags what they were when the plan was begun. How often and how long may be said anew; what would make one run of two kinds may not.
func (x *execution) asBegun(cmd *cobra.Command, given map[string][]string) (err error) {
	anew := []string{"repeat", "until-ci", "metric", "max-repeats", "db", "quiet", "results", "resume", "verbose", "api-key-env", "timeout"}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		was, ok := given[f.Name]
		if slices.Contains(anew, f.Name) || (ok && slices.Equal(was, flagValues(f))) {
			return
		}
		text := "without it"
		if ok {
			text = "with " + strings.Join(was, ",")
		}
		err = usagef("flag --%s: a resumed plan goes on as it was begun, which was %s", f.Name, text)
	})
	if err != nil {
		return err
	}
	if words := given[""]; len(x.words) > 0 && !slices.Equal(words, withoutSecrets(x.words)) {
		return usagef("read vLLM arguments: a resumed plan goes on as it was begun, which was with %q", strings.Join(words, " "))
	} else if len(x.words) == 0 {
		x.words = words
	}
	for name, values := range given {
		f := cmd.Flags().Lookup(name)
		if f == nil || f.Changed || len(values) == 0 {
			continue
		}
		err = errors.Join(err, cmd.Flags().Set(name, values[0])) // by its name, so that it counts as given
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = errors.Join(err, list.Replace(values))
		}
	}
	if err != nil {
		return fmt.Errorf("resume plan: %w", err)
	}
	return nil
}

// flagValues are a flag's as they are recorded: without credentials.
func flagValues(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	if f.Name == "url" {
		return []string{plain.RedactURL(f.Value.String())}
	}
	return []string{f.Value.String()}
}

// flagsMark begins the line of a recorded plan that holds the flags it was begun with, and vLLM's arguments under "".
const flagsMark = "# flags of wb run: "

// withFlags is a plan's text with the flags that go before it.
func withFlags(cmd *cobra.Command, words []string, text string) (string, error) {
	given := map[string][]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"db", "quiet", "results", "list-conversations", "resume", "help"}, f.Name) {
			given[f.Name] = flagValues(f)
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

// adopt gives cells the runs that they go on with; left says that there is something to do.
func (x *execution) adopt(ctx context.Context, runs []store.PlanRun) (left bool, err error) {
	var open []store.PlanRun
	for _, r := range runs {
		i := slices.IndexFunc(x.cells, func(c *cellRun) bool { return c.cell.Name == r.Cell })
		if i < 0 {
			return false, fmt.Errorf("resume plan: run %s is of cell %q, which the plan does not have", r.Name, r.Cell)
		}
		c := x.cells[i]
		c.progress = &bench.Progress{RunID: r.RunID, Name: r.Name, Turns: r.Turns, Sessions: r.Sessions, Scrapes: r.Scrapes, Starts: r.Starts}
		c.sessions = r.SessionsPerRepeat
		for _, s := range r.Done {
			c.finished(s)
		}
		c.start = x.start.Add(-x.start.Sub(r.StartedAt)) // the wall clock's distance, then the monotonic clock
		open = append(open, r)
		left = left || r.Status != "ok"
	}
	for _, c := range x.cells {
		left = left || !c.complete(1, x.repeat)
	}
	if !left {
		return false, nil
	}
	return true, x.file.Reopen(ctx, open)
}
