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

// Found is an execution that can be gone on with.
type Found struct {
	Spec  *Spec
	ID    uuid.UUID
	Begun time.Time
	Runs  []store.PlanRun
}

// anew are settings that may be said anew of a plan that is gone on with: how often and how long. What would make one run of two kinds may
// not.
var anew = append([]string{"api-key-env", "timeout", "verbose"}, repetitionFlags...)

// Find looks up the execution to go on with: of that plan, or where it is nil the newest that was cut short. given are the settings of
// this call; where names the file.
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
		case found != nil && !unfinished: // a finished one serves only where no other does
			continue
		}
		found = e
		if unfinished {
			break
		}
	}
	nothing := func(format string, a ...any) error {
		return plain.WithHint(fmt.Errorf("resume plan: "+format, a...),
			"only plans are gone on with, and wb runs lists what the file holds; without --resume it begins anew")
	}
	switch {
	case found != nil:
	case other != "":
		return nil, nothing("%s is not what was begun on %s UTC", plan.File, other)
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

// Told says which plan it is, and of when.
func (f *Found) Told() string {
	return fmt.Sprintf("plan %s, begun on %s UTC", f.Spec.Plan, when(f.Begun))
}

// flagsMark begins the line of a plan's text that held the flags it was begun with, in files of a wb before schema 12.
const flagsMark = "# flags of wb run: "

// execution is one that is on record.
type execution struct {
	store.Execution
	plan  *PlanFile
	given Given // beside the plan, in files of a wb before schema 12
}

// recorded reads an execution's plan.
func recorded(e store.Execution) (*execution, error) {
	text, given := e.Plan, Given{}
	line, rest, ok := strings.Cut(text, "\n")
	if js, marked := strings.CutPrefix(line, flagsMark); ok && marked && json.Unmarshal([]byte(js), &given) == nil {
		text = rest
	}
	p, err := ParsePlan("recorded plan", []byte(text))
	return &execution{e, p, given}, err
}

// spec gives the spec to go on with: the recorded one, with those settings of this call that may be said anew. Where the cells are not on
// record, the plan gives them.
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
		for _, name := range anew {
			if given[name] != nil {
				now[name] = given[name]
			}
		}
		if s, err = NewSpec(e.plan, now, rules); err != nil {
			return nil, err
		}
		s.Given = was
	}
	return s, s.goOn(given, rules)
}

// unchanged refuses settings of this call that are not what they were, and those that the plan varies.
func (s *Spec) unchanged(plan *PlanFile, given Given) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		was, ok := s.Given[name]
		now := Given{name: given[name]}.Redacted()[name]
		switch {
		case plan.Varies(name):
			return plain.Mistakef("flag --%s: plan %s varies it, and its cells would not be what their names say", name, plan.Name)
		case slices.Contains(anew, name), ok && slices.Equal(was, now):
			continue
		case name == "":
			return plain.Mistakef("read vLLM arguments: a resumed plan goes on as it was begun, which was with %q", strings.Join(was, " "))
		}
		text := "without it"
		if ok {
			text = "with " + strings.Join(was, ",")
		}
		return plain.Mistakef("flag --%s: a resumed plan goes on as it was begun, which was %s", name, text)
	}
	return nil
}

// goOn takes over the settings of this call that may be said anew.
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
		if words := given[""]; len(words) > 0 { // with the secrets that are not on record
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

// withSecrets puts words that were given in the place of the same words without secrets, which end a cell's.
func withSecrets(recorded, given []string) []string {
	clean := target.WithoutSecrets(given)
	if at := len(recorded) - len(clean); at >= 0 && slices.Equal(recorded[at:], clean) {
		return slices.Concat(recorded[:at], given)
	}
	return recorded
}

// Adopt gives the cells the runs that they go on with; left says that there is something to do.
func (x *Execution) Adopt(ctx context.Context, f *Found) (left bool, err error) {
	x.planID = f.ID
	for _, r := range f.Runs {
		i := slices.IndexFunc(x.Cells, func(c *CellRun) bool { return c.Cell == r.Cell })
		if i < 0 {
			return false, fmt.Errorf("resume plan: run %s is of cell %q, which the plan does not have", r.Name, r.Cell)
		}
		c := x.Cells[i]
		c.Progress = &Progress{RunID: r.RunID, Name: r.Name, Turns: r.Turns, Sessions: r.Sessions, Scrapes: r.Scrapes, Starts: r.Starts}
		c.sessions = r.SessionsPerRepeat
		for _, s := range r.Done {
			c.finished(s)
		}
		c.start = x.began.Add(-x.began.Sub(r.StartedAt)) // the wall clock's distance, then the monotonic clock
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
