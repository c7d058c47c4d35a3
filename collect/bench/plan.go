package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wb/data"
	"wb/data/yamlfile"
)

// PlanFile is a plan as its file says it: the settings that all its runs share, and those that vary. Each combination is a cell, and each
// cell is one run.
type PlanFile struct {
	File       string
	Name       string
	About      string
	Tags       []Choice
	Settings   []Choice // flags of wb run
	Repeats    int      // of every conversation in every cell
	MaxRepeats int      // limit of the repeats that UntilCI adds
	UntilCI    string   // such as 2%; "" for none
	Metric     string   // whose interval UntilCI is about; "" for the default
	Variants   []Variant
	Matrix     []Dimension
	Text       string // of the file
}

// Choice is a setting and its line in the plan's file.
type Choice struct {
	Name   string   // with dashes; names of the server's arguments begin with "server."
	Values []string // one, or all of a list
	Line   int      // from 1
}

// Variant is a named set of settings that change together.
type Variant struct {
	Name     string
	Settings []Choice
}

// Dimension is a setting that takes several values.
type Dimension struct {
	Name   string
	Values []Choice
}

// ServerSetting is the prefix of settings that are arguments for the server.
const ServerSetting = "server."

// Limits on plans: more is a mistake.
const (
	MaxPlanBytes = 1 << 20
	maxCells     = 500
)

// Cell is one combination of a plan's settings.
type Cell struct {
	Name     string   // such as block-size=16/rag-placement=append; "" when nothing varies
	Settings []Choice // of two with the same name the later one counts
	Tags     []Choice // the plan's tags, and one for each setting that makes the cell
}

// ParsePlan reads the text of a plan. Mistakes are *data.FileError with the line.
func ParsePlan(file string, text []byte) (p *PlanFile, err error) {
	bad := func(line int, format string, a ...any) error {
		return &data.FileError{File: file, Line: line, Msg: fmt.Sprintf(format, a...)}
	}
	root, err := yamlfile.Parse(file, text, MaxPlanBytes)
	if err != nil {
		return nil, err
	}
	p = &PlanFile{File: file, Text: string(text)}
	r := planReader{bad: bad}
	entries := r.settings(root)
	for _, e := range entries {
		switch e.name {
		case "name":
			p.Name = r.scalar(e)
			if !validCellText(p.Name) {
				r.fail(e.line, "name: wants letters, digits and . _ -")
			}
		case "about":
			p.About = r.scalar(e)
		case "repeats":
			p.Repeats = r.count(e)
		case "max-repeats":
			p.MaxRepeats = r.count(e)
		case "until-ci":
			p.UntilCI = r.scalar(e)
		case "metric":
			p.Metric = r.scalar(e)
		case "tags":
			for _, t := range r.mapping(e.node) { // the user chooses these names, so their underscores stay
				p.Tags = append(p.Tags, r.choice(t, ""))
			}
		case "server":
			p.Settings = append(p.Settings, r.choices(e.node, ServerSetting)...)
		case "matrix":
			p.Matrix = r.matrix(e.node)
		case "variants":
			p.Variants = r.variants(e.node)
		default:
			p.Settings = append(p.Settings, r.choice(e, ""))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if p.Name == "" {
		return nil, bad(1, "name: is missing")
	}
	if p.Repeats == 0 {
		p.Repeats = 1
	}
	if p.MaxRepeats == 0 {
		p.MaxRepeats = max(20, p.Repeats)
	}
	if p.MaxRepeats < p.Repeats {
		return nil, bad(1, "max_repeats: %d is less than repeats, %d", p.MaxRepeats, p.Repeats)
	}
	cells := 1
	for _, d := range p.Matrix {
		line := d.Values[0].Line
		for _, v := range p.Variants { // only one of the two values would count, and the cell's name would show both
			if slices.ContainsFunc(v.Settings, func(c Choice) bool { return c.Name == d.Name }) {
				return nil, bad(line, "matrix: %s is also set by variant %s", d.Name, v.Name)
			}
		}
		named := slices.ContainsFunc(p.Settings, func(c Choice) bool { return c.Name == "conversations" })
		if d.Name == "context-size" && (named || p.Varies("conversations")) {
			return nil, bad(line, "matrix: context_size leaves out larger conversations, but the plan names its conversations: "+
				"name different ones in variants")
		}
		cells *= len(d.Values)
		if cells > maxCells {
			return nil, bad(d.Values[0].Line, "matrix: more than %d cells", maxCells)
		}
	}
	if cells*max(1, len(p.Variants)) > maxCells {
		return nil, bad(1, "variants and matrix: more than %d cells", maxCells)
	}
	return p, nil
}

type planEntry struct {
	name string
	line int
	node *yamlfile.Node
}

// planReader reads nodes of a plan's file and keeps the first mistake.
type planReader struct {
	bad func(line int, format string, a ...any) error
	err error
}

func (r *planReader) fail(line int, format string, a ...any) {
	if r.err == nil {
		r.err = r.bad(line, format, a...)
	}
}

// settings reads entries whose names may be written with underscores. It changes the underscores to dashes.
func (r *planReader) settings(n *yamlfile.Node) []planEntry {
	out := r.mapping(n)
	for i := range out {
		out[i].name = strings.ReplaceAll(out[i].name, "_", "-")
		if slices.ContainsFunc(out[:i], func(o planEntry) bool { return o.name == out[i].name }) {
			r.fail(out[i].line, "%s: is given twice", out[i].name)
		}
	}
	return out
}

func (r *planReader) mapping(n *yamlfile.Node) []planEntry {
	if n.Kind != yamlfile.Mapping {
		r.fail(n.Line, "wants settings as name: value")
		return nil
	}
	out := make([]planEntry, len(n.Entries))
	for i, e := range n.Entries {
		out[i] = planEntry{e.Name, e.Line, e.Value}
	}
	return out
}

// text gives a scalar as it was written. Line breaks at both ends of a text of several lines are cut off.
func (r *planReader) text(n *yamlfile.Node, name string) string {
	if n.Kind != yamlfile.Scalar || n.Null {
		r.fail(n.Line, "%s: wants a value", name)
		return ""
	}
	if !n.Plain {
		return strings.Trim(n.Text, "\n")
	}
	return n.Text
}

func (r *planReader) scalar(e planEntry) string { return r.text(e.node, e.name) }

func (r *planReader) count(e planEntry) int {
	n, err := strconv.Atoi(r.scalar(e))
	if err != nil || n < 1 || n > 100_000 {
		r.fail(e.line, "%s: wants a number from 1", e.name)
	}
	return n
}

func (r *planReader) choice(e planEntry, prefix string) Choice {
	c := Choice{Name: prefix + e.name, Line: e.line}
	if e.node.Kind == yamlfile.Sequence {
		for _, v := range e.node.Items {
			c.Values = append(c.Values, r.text(v, e.name))
		}
		if len(c.Values) == 0 {
			r.fail(e.line, "%s: an empty list", e.name)
		}
		return c
	}
	c.Values = []string{r.text(e.node, e.name)}
	return c
}

func (r *planReader) choices(n *yamlfile.Node, prefix string) (out []Choice) {
	for _, e := range r.settings(n) {
		out = append(out, r.choice(e, prefix))
	}
	return out
}

func (r *planReader) matrix(n *yamlfile.Node) (out []Dimension) {
	for _, e := range r.settings(n) {
		if len(e.node.Items) == 0 {
			r.fail(e.line, "matrix: %s wants a list of values", e.name)
			return nil
		}
		d := Dimension{Name: e.name}
		for _, v := range e.node.Items {
			c := r.choice(planEntry{e.name, v.Line, v}, "")
			if slices.ContainsFunc(d.Values, func(o Choice) bool { return slices.Equal(o.Values, c.Values) }) {
				r.fail(c.Line, "matrix: %s lists %s twice", e.name, strings.Join(c.Values, ", "))
			}
			d.Values = append(d.Values, c)
		}
		out = append(out, d)
	}
	return out
}

func (r *planReader) variants(n *yamlfile.Node) (out []Variant) {
	for _, e := range r.mapping(n) {
		v := Variant{Name: e.name}
		if !validCellText(v.Name) {
			r.fail(e.line, "variants: %q: wants letters, digits and . _ -", e.name)
		}
		if !e.node.Null {
			for _, s := range r.settings(e.node) {
				if s.name == "server" {
					v.Settings = append(v.Settings, r.choices(s.node, ServerSetting)...)
				} else {
					v.Settings = append(v.Settings, r.choice(s, ""))
				}
			}
		}
		out = append(out, v)
	}
	return out
}

func validCellText(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// Varies says whether the cells differ in a setting. The name has dashes, and begins with "server." for an argument of the server.
func (p *PlanFile) Varies(name string) bool {
	if slices.ContainsFunc(p.Matrix, func(d Dimension) bool { return d.Name == name }) {
		return true
	}
	return slices.ContainsFunc(p.Variants, func(v Variant) bool {
		return slices.ContainsFunc(v.Settings, func(c Choice) bool { return c.Name == name })
	})
}

// Sets says whether the plan sets a setting, once or with several values.
func (p *PlanFile) Sets(name string) bool {
	return p.Varies(name) || slices.ContainsFunc(p.Settings, func(c Choice) bool { return c.Name == name })
}

// Cells gives every combination of variants and matrix, in the order of the file; the last dimension changes fastest.
func (p *PlanFile) Cells() []Cell {
	cells := []Cell{{Settings: p.Settings, Tags: p.Tags}}
	join := func(name, more string) string { return strings.TrimPrefix(name+"/"+more, "/") }
	if len(p.Variants) > 0 {
		var next []Cell
		for _, v := range p.Variants {
			tag := Choice{Name: "variant", Values: []string{v.Name}}
			next = append(next, Cell{v.Name, slices.Concat(p.Settings, v.Settings), slices.Concat(p.Tags, []Choice{tag})})
		}
		cells = next
	}
	for _, d := range p.Matrix {
		short := strings.TrimPrefix(d.Name, ServerSetting)
		var next []Cell
		for _, c := range cells {
			for _, v := range d.Values {
				v.Name = d.Name
				label := strings.ReplaceAll(strings.Join(v.Values, "+"), ",", "+")
				tag := Choice{Name: short, Values: []string{label}}
				next = append(next, Cell{
					Name:     join(c.Name, short+"="+label),
					Settings: slices.Concat(c.Settings, []Choice{v}),
					Tags:     slices.Concat(c.Tags, []Choice{tag}),
				})
			}
		}
		cells = next
	}
	return cells
}
