package bench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"wb/collect/serve"
	"wb/data"
	"wb/data/plain"
)

// notInPlans are flags of one call of wb run, which a plan cannot set.
var notInPlans = slices.Concat([]string{"name", "tag", "db", "quiet", "results", "push", "list-conversations", "resume", "help"},
	repetitionFlags)

// NewSpec makes the spec of a plan. Without a plan it makes the spec of the single run that the given settings describe.
// A given setting takes precedence over the plan's. Mistakes name the plan's line or the cell.
func NewSpec(plan *PlanFile, given Given, rules Rules) (*Spec, error) {
	s := &Spec{Given: given}
	flags, run, rep := blank()
	if err := given.apply(flags); err != nil {
		return nil, plain.Mistake(err)
	}
	s.Repetition = *rep
	if plan == nil {
		run.Target.Words = given[""]
		if err := run.finish(flags.Changed, rules); err != nil {
			return nil, err
		}
		s.Cells = []CellSpec{{RunSpec: *run}}
		return s, s.settleRepetition(given, rules)
	}
	s.Plan, s.File, s.Text = plan.Name, plan.File, plan.Text
	for _, cell := range plan.Cells() {
		run, err := plan.cell(cell, given, rules)
		if err != nil {
			return nil, err
		}
		s.Cells = append(s.Cells, CellSpec{cell.Name, *run})
	}
	for _, p := range []struct {
		flag string
		set  func()
	}{
		{"repeat", func() { s.Repeats = plan.Repeats }}, {"max-repeats", func() { s.MaxRepeats = plan.MaxRepeats }},
		{"until-ci", func() { s.UntilCI = plan.UntilCI }}, {"metric", func() { s.Metric = cmp.Or(plan.Metric, s.Metric) }},
	} {
		if given[p.flag] == nil { // what the plan says, unless a flag does
			p.set()
		}
	}
	if err := s.settleRepetition(given, rules); err != nil {
		return nil, fmt.Errorf("plan %s: %w", plan.File, err)
	}
	return s, nil
}

// settleRepetition raises the limit of repeats to the number asked for, unless a limit was given, and finds mistakes in both.
func (s *Spec) settleRepetition(given Given, rules Rules) error {
	if given["max-repeats"] == nil {
		s.MaxRepeats = max(s.MaxRepeats, s.Repeats)
	}
	return first(s.Repetition.Validate(rules.Metrics))
}

// finish fills in the settings that nobody chose, and finds mistakes.
func (s *RunSpec) finish(given func(flag string) bool, rules Rules) error {
	s.settle(given)
	return first(s.Validate(given, rules))
}

// apply sets flags to the given values. Names that are not flags are left out.
func (g Given) apply(f *pflag.FlagSet) error {
	for _, name := range slices.Sorted(maps.Keys(g)) {
		flag := f.Lookup(name)
		if name == "" || flag == nil {
			continue
		}
		if err := set(flag, g[name]); err != nil {
			return fmt.Errorf("flag --%s: %w", name, err)
		}
	}
	return nil
}

// cell makes the spec of one cell from the plan's settings and then the given ones, which replace them.
func (p *PlanFile) cell(cell Cell, given Given, rules Rules) (*RunSpec, error) {
	flags, run, _ := blank()
	for _, s := range cell.Settings {
		if err := run.set(flags, s); err != nil {
			return nil, plain.Mistake(&data.FileError{File: p.File, Line: s.Line, Msg: err.Error()})
		}
	}
	for _, t := range cell.Tags {
		run.Tags = append(run.Tags, t.Name+"="+strings.Join(t.Values, "+"))
	}
	name := p.Name
	if n := given["name"]; n != nil {
		name = n[0]
	}
	run.Tags = append(run.Tags, "plan="+name)
	if err := p.override(flags, run, given); err != nil {
		return nil, plain.Mistake(err)
	}
	run.Name = strings.Trim(name+"/"+cell.Name, "/")
	if err := run.finish(flags.Changed, rules); err != nil {
		if plain.IsMistake(err) {
			return nil, fmt.Errorf("plan %s, cell %s: %w", p.File, cmp.Or(cell.Name, p.Name), err)
		}
		return nil, err
	}
	return run, nil
}

// override gives a cell the settings from the command line. It refuses those that the plan varies.
func (p *PlanFile) override(flags *pflag.FlagSet, run *RunSpec, given Given) (err error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if name == "" || slices.Contains(repetitionFlags, name) {
			continue
		}
		if p.Varies(name) {
			err = errors.Join(err, fmt.Errorf("flag --%s: plan %s varies it, so its cells would not match their names", name, p.Name))
		}
		values := given[name]
		if name == "tag" {
			values = slices.Concat(run.Tags, values)
		}
		if f := flags.Lookup(name); f != nil {
			err = errors.Join(err, set(f, values))
		}
	}
	for _, w := range given[""] {
		w, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(w, "--"), "no-"), "=")
		if p.Varies(ServerSetting + w) {
			err = errors.Join(err, fmt.Errorf("argument --%s: plan %s varies it, so its cells would not match their names", w, p.Name))
		}
	}
	run.Target.Words = append(run.Target.Words, given[""]...)
	return err
}

// set sets the flag that a plan's setting names, or adds an argument for the server.
func (s *RunSpec) set(flags *pflag.FlagSet, c Choice) error {
	if name, ok := strings.CutPrefix(c.Name, ServerSetting); ok {
		return s.setServer(name, c.Values)
	}
	f := flags.Lookup(c.Name)
	if slices.Contains(notInPlans, c.Name) {
		instead := ""
		if c.Name == "repeat" {
			instead = "; a plan calls it repeats"
		}
		return fmt.Errorf("%s: is not a setting of a plan, only a flag: wb run PLAN --%s%s", c.Name, c.Name, instead)
	}
	if f == nil {
		return fmt.Errorf("%s: is not a setting of a plan; the settings are the flags of wb run, and name, about, repeats, max_repeats, "+
			"until_ci, metric, tags, server, matrix and variants", c.Name)
	}
	if c.Name == "url" && plain.RedactURL(c.Values[0]) != c.Values[0] {
		return errors.New("url: credentials do not belong in a plan, because plans are recorded; use api_key_env")
	}
	if _, list := f.Value.(pflag.SliceValue); !list && len(c.Values) != 1 {
		return fmt.Errorf("%s: wants one value", c.Name)
	} else if err := set(f, c.Values); err != nil && list {
		return fmt.Errorf("%s: %w", c.Name, err)
	} else if errors.Is(err, strconv.ErrSyntax) {
		kinds := map[string]string{"bool": "true or false", "float64": "a number"}
		return fmt.Errorf("%s: wants %s, not %q", c.Name, cmp.Or(kinds[f.Value.Type()], "a whole number"), c.Values[0])
	} else if err != nil {
		return fmt.Errorf("%s: %q: %w", c.Name, c.Values[0], err)
	}
	return nil
}

// setServer adds an argument for the server.
func (s *RunSpec) setServer(name string, values []string) error {
	if slices.Contains(serve.SecretArgs(), name) {
		return fmt.Errorf("%s: a secret does not belong in a plan, because plans are recorded; the server reads it from its environment", name)
	}
	switch words := &s.Target.Words; {
	case len(values) == 1 && slices.Contains([]string{"true", "yes", "on"}, values[0]):
		*words = append(*words, "--"+name)
	case len(values) == 1 && slices.Contains([]string{"false", "no", "off"}, values[0]):
		*words = append(*words, "--no-"+name)
	default:
		*words = append(append(*words, "--"+name), values...)
	}
	return nil
}
