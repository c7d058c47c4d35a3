package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/data"
	"wb/data/plain"
)

// notForPlans are flags that are about this one call of wb.
var notForPlans = []string{"db", "name", "tag", "quiet", "results", "push", "list-conversations", "resume", "repeat", "until-ci", "max-repeats", "metric", "help"}

// prepare makes a cell's options: the plan's settings, then the flags that were given. Everything that can be checked before a server is there is.
func (o *runOptions) prepare(cmd *cobra.Command, plan *bench.PlanFile, cell bench.Cell, stderr io.Writer) (*cellRun, error) {
	c := &cellRun{runOptions: o, cell: cell, start: o.start}
	flags := cmd.Flags()
	if plan != nil {
		own := &runOptions{start: o.start}
		blank := &cobra.Command{Use: "run"}
		own.flags(blank)
		flags = blank.Flags()
		for _, s := range cell.Settings {
			if err := own.set(flags, s); err != nil {
				return nil, usageError{&data.FileError{File: plan.File, Line: s.Line, Msg: err.Error()}}
			}
		}
		own.repeat, own.maxRepeats, own.words = plan.Repeats, plan.MaxRepeats, append(own.words, o.words...)
		for _, t := range cell.Tags {
			own.tags = append(own.tags, t.Name+"="+strings.Join(t.Values, "+"))
		}
		name := plan.Name
		if cmd.Flags().Changed("name") {
			name = o.name
		}
		own.tags = append(own.tags, "plan="+name)
		var err error
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if plan.Varies(f.Name) {
				err = errors.Join(err, fmt.Errorf("flag --%s: plan %s varies it, and its cells would not be what their names say", f.Name, plan.Name))
			}
			err = errors.Join(err, override(flags.Lookup(f.Name), f))
		})
		for _, w := range o.words {
			w, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(w, "--"), "no-"), "=")
			if plan.Varies(bench.ServerSetting + w) {
				err = errors.Join(err, fmt.Errorf("argument --%s: plan %s varies it, and its cells would not be what their names say", w, plan.Name))
			}
		}
		if err != nil {
			return nil, usageError{err}
		}
		own.name = strings.Trim(name+"/"+cell.Name, "/")
		c.runOptions = own
	}
	where := func(err error) error {
		var u usageError
		if plan != nil && errors.As(err, &u) {
			return fmt.Errorf("plan %s, cell %s: %w", plan.File, cmp.Or(cell.Name, plan.Name), err)
		}
		return err
	}
	var err error
	if c.tags, c.key, err = c.check(flags); err != nil {
		return nil, where(err)
	}
	if c.all, err = data.Load(c.dataDir); err != nil {
		return nil, err
	}
	if c.selection, err = c.runOptions.selection(); err != nil {
		return nil, where(err)
	}
	if o.list {
		return c, nil
	}
	if _, _, err := data.Select(c.all, c.selection); err != nil {
		return nil, where(usageError{err})
	}
	if c.api == "completions" {
		if c.template, err = data.OpenTemplate(c.chatTemplate, time.Now); err != nil {
			return nil, where(usageError{err})
		}
	}
	if c.engine == engineVLLM {
		if c.launch, err = c.runOptions.server.launch(c.model, c.words, o.start, stderr); err != nil {
			return nil, where(err)
		}
	}
	c.server = fmt.Sprint(c.engine, c.url, c.model, c.words, c.seed, c.simProfile, c.simFaults, c.runOptions.server, c.isolation == bench.IsolationReset, c.isolation == bench.IsolationRestart)
	if c.isolation == bench.IsolationNone && c.engine != engineURL { // or one cell would warm the next one's cache
		c.server += cell.Name
	}
	return c, nil
}

// set gives a plan's setting to the flag of its name, or to vLLM.
func (o *runOptions) set(flags *pflag.FlagSet, s bench.Choice) error {
	if name, ok := strings.CutPrefix(s.Name, bench.ServerSetting); ok {
		if slices.Contains(serve.SecretArgs(), name) {
			return fmt.Errorf("%s: a secret does not belong into a plan, which is recorded; vLLM reads it from its environment", name)
		}
		switch v := s.Values; {
		case len(v) == 1 && slices.Contains([]string{"true", "yes", "on"}, v[0]):
			o.words = append(o.words, "--"+name)
		case len(v) == 1 && slices.Contains([]string{"false", "no", "off"}, v[0]):
			o.words = append(o.words, "--no-"+name)
		default:
			o.words = append(append(o.words, "--"+name), v...)
		}
		return nil
	}
	f := flags.Lookup(s.Name)
	if f != nil && slices.Contains(notForPlans, s.Name) {
		own := ""
		if s.Name == "repeat" {
			own = "; a plan says repeats"
		}
		return fmt.Errorf("%s: is no setting of a plan, but of one call: wb run PLAN --%s%s", s.Name, s.Name, own)
	}
	if f == nil {
		return fmt.Errorf("%s: is no setting of a plan; those are the flags of wb run, name, about, repeats, max_repeats, until_ci, metric, tags, server, matrix and variants", s.Name)
	}
	if s.Name == "url" && plain.RedactURL(s.Values[0]) != s.Values[0] {
		return errors.New("url: credentials do not belong into a plan, which is recorded; use api_key_env")
	}
	list, ok := f.Value.(pflag.SliceValue)
	if !ok && len(s.Values) != 1 {
		return fmt.Errorf("%s: wants one value", s.Name)
	}
	f.Changed = true
	if ok {
		if err := list.Replace(s.Values); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	}
	if err := f.Value.Set(s.Values[0]); errors.Is(err, strconv.ErrSyntax) {
		return fmt.Errorf("%s: wants a %s, not %q", s.Name, cmp.Or(map[string]string{"bool": "truth value (true or false)", "float64": "number"}[f.Value.Type()], "whole number"), s.Values[0])
	} else if err != nil {
		return fmt.Errorf("%s: %q: %w", s.Name, s.Values[0], err)
	}
	return nil
}

// override gives a flag of the command line to a cell.
func override(to, from *pflag.Flag) error {
	if to == nil {
		return nil
	}
	to.Changed = true
	if list, ok := from.Value.(pflag.SliceValue); ok {
		have := to.Value.(pflag.SliceValue)
		if from.Name == "tag" {
			return have.Replace(append(have.GetSlice(), list.GetSlice()...))
		}
		return have.Replace(list.GetSlice())
	}
	return to.Value.Set(from.Value.String())
}
