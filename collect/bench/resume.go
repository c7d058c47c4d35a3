package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"wb/collect/target"
	"wb/data/plain"
	"wb/store"
)

// Found is an execution of a plan that can be resumed.
type Found struct {
	Spec  *Spec
	ID    uuid.UUID
	Begun time.Time
	Runs  []store.PlanRun
}

// changeable are the settings that a resumed plan may change, such as the number of repeats and the timeout. Other settings may not change,
// because one run would then hold sessions that were played differently.
var changeable = append([]string{"api-key-env", "timeout", "verbose"}, repetitionFlags...)

// Find looks up the execution to resume: that of the plan, or the newest that was cut short when plan is nil.
// given are the settings of this call; where is the path of the file, for messages.
func Find(ctx context.Context, l Ledger, where string, plan *PlanFile, given Given, rules Rules) (*Found, error) {
	all, err := l.Executions(ctx)
	if err != nil {
		return nil, err
	}
	var found *execution
	other := ""
	for _, row := range all {
		e, err := recorded(row)
		if err != nil {
			return nil, err
		}
		unfinished := e.Unended > 0 || e.Runs < len(e.plan.Cells())
		switch {
		case plan == nil && !unfinished, plan != nil && e.plan.Name != plan.Name:
			continue
		case plan != nil && e.plan.Text != plan.Text:
			if other == "" {
				other = when(e.StartedAt)
			}
			continue
		case found != nil && !unfinished: // a finished one is taken only when there is no other
			continue
		}
		found = e
		if unfinished {
			break
		}
	}
	nothing := func(format string, a ...any) error {
		return plain.WithHint(fmt.Errorf("resume plan: "+format, a...),
			"only plans can be resumed, and wb runs lists what the file holds; without --resume the plan begins again")
	}
	switch {
	case found != nil:
	case other != "":
		return nil, nothing("%s has changed since it was begun on %s UTC", plan.File, other)
	case plan != nil:
		return nil, nothing("%s was never begun in %s", plan.Name, where)
	default:
		return nil, nothing("%s holds no plan that was cut short", where)
	}
	if plan != nil {
		found.plan.File = plan.File
	}
	spec, err := found.spec(given, rules)
	if err != nil {
		return nil, err
	}
	runs, err := l.PlanRuns(ctx, found.ID)
	return &Found{spec, found.ID, found.StartedAt, runs}, err
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Told says which plan was found and when it was begun, for messages.
func (f *Found) Told() string {
	return fmt.Sprintf("plan %s, begun on %s UTC", f.Spec.Plan, when(f.Begun))
}

// flagsMark begins the first line of a recorded plan that holds the flags it was begun with. Only files from before schema 12 have it.
const flagsMark = "# flags of wb run: "

// execution is an execution as it is recorded, with its plan.
type execution struct {
	store.Execution
	plan  *PlanFile
	given Given // the flags in the plan's first line, in files from before schema 12
}

// recorded reads the plan of a recorded execution.
func recorded(e store.Execution) (*execution, error) {
	text, given := e.Plan, Given{}
	line, rest, ok := strings.Cut(text, "\n")
	if js, marked := strings.CutPrefix(line, flagsMark); ok && marked && json.Unmarshal([]byte(js), &given) == nil {
		text = rest
	}
	p, err := ParsePlan("recorded plan", []byte(text))
	return &execution{e, p, given}, err
}

// spec gives the spec to resume: the recorded one, with the changeable settings of this call. Where the cells are not recorded, they are
// made from the plan.
func (e *execution) spec(given Given, rules Rules) (s *Spec, err error) {
	s = &Spec{Given: e.given}
	if e.Spec != "" {
		if s, err = ReadSpec(e.Spec, e.plan.Text); err != nil {
			return nil, err
		}
	}
	if err := s.unchanged(e.plan, given); err != nil {
		return nil, err
	}
	if s.File = e.plan.File; len(s.Cells) == 0 {
		was, now := s.Given, Given{}
		maps.Copy(now, was)
		for _, name := range changeable {
			if given[name] != nil {
				now[name] = given[name]
			}
		}
		if e.Spec == "" && now["replies"] == nil && !e.plan.Sets("replies") {
			now["replies"] = []string{RepliesLive} // the default before schema 12
		}
		if s, err = NewSpec(e.plan, now, rules); err != nil {
			return nil, err
		}
		s.Given = was
	}
	return s, s.goOn(given, rules)
}

// unchanged refuses settings of this call that differ from the recorded ones, and those that the plan varies.
func (s *Spec) unchanged(plan *PlanFile, given Given) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		was, ok := s.Given[name]
		now := Given{name: given[name]}.Redacted()[name]
		switch {
		case plan.Varies(name):
			return plain.Mistakef("flag --%s: plan %s varies it, so its cells would not match their names", name, plan.Name)
		case slices.Contains(changeable, name), ok && slices.Equal(was, now):
			continue
		case name == "":
			return plain.Mistakef("read server arguments: a resumed plan keeps its settings, and it was begun with %q", strings.Join(was, " "))
		}
		text := "without it"
		if ok {
			text = "with " + strings.Join(was, ",")
		}
		return plain.Mistakef("flag --%s: a resumed plan keeps its settings, and it was begun %s", name, text)
	}
	return nil
}

// goOn takes over the changeable settings of this call, and the secrets that are not recorded.
func (s *Spec) goOn(given Given, rules Rules) error {
	flags, run, rep := blank()
	if err := given.apply(flags); err != nil {
		return plain.Mistake(err)
	}
	for name, set := range map[string]func(){
		"repeat": func() { s.Repeats = rep.Repeats }, "until-ci": func() { s.UntilCI = rep.UntilCI },
		"metric": func() { s.Metric = rep.Metric }, "max-repeats": func() { s.MaxRepeats = rep.MaxRepeats },
	} {
		if given[name] != nil {
			set()
		}
	}
	for i := range s.Cells {
		c := &s.Cells[i]
		if given["timeout"] != nil {
			c.Timeout = run.Timeout
		}
		if given["api-key-env"] != nil {
			c.Target.KeyEnv = run.Target.KeyEnv
		}
		if given["verbose"] != nil {
			c.Target.Serve.Verbose = run.Target.Serve.Verbose
		}
		if words := given[""]; len(words) > 0 { // the recorded words lack the secrets
			c.Target.Words = withSecrets(c.Target.Words, words)
		}
		if url := given["url"]; url != nil {
			c.Target.URL = url[0]
		}
	}
	err := s.settleRepetition(given, rules)
	if err == nil {
		err = first(s.Validate(rules))
	}
	if err != nil {
		return fmt.Errorf("plan %s: %w", s.File, err)
	}
	return nil
}

// withSecrets replaces the last of a cell's recorded words by the given ones, when these are the same except for their secrets.
func withSecrets(recorded, given []string) []string {
	clean := target.WithoutSecrets(given)
	if at := len(recorded) - len(clean); at >= 0 && slices.Equal(recorded[at:], clean) {
		return slices.Concat(recorded[:at], given)
	}
	return recorded
}

// Adopt gives the cells the runs that they go on with, and reopens these. left is false when nothing is left to play; then no run changes.
func (x *Execution) Adopt(ctx context.Context, f *Found) (left bool, err error) {
	x.planID = f.ID
	for _, r := range f.Runs {
		i := slices.IndexFunc(x.Cells, func(c *CellRun) bool { return c.Cell == r.Cell })
		if i < 0 {
			return false, fmt.Errorf("resume plan: run %s belongs to cell %q, which the plan does not have", r.Name, r.Cell)
		}
		c := x.Cells[i]
		c.Progress = &Progress{RunID: r.RunID, Name: r.Name, Turns: r.Turns, Sessions: r.Sessions, Scrapes: r.Scrapes, Starts: r.Starts}
		c.sessions = r.SessionsPerRepeat
		for _, s := range r.Done {
			c.finished(s)
		}
		c.start = x.began.Add(-x.began.Sub(r.StartedAt)) // StartedAt, with a reading of the monotonic clock for what follows
		left = left || r.Status != store.RunOK
	}
	for _, c := range x.Cells {
		left = left || !c.complete(1, x.Spec.Repeats)
	}
	if !left {
		return false, nil
	}
	return true, x.Ledger.Reopen(ctx, f.Runs)
}
