package viz

import (
	"cmp"
	"fmt"
	"strings"

	"wb/queries/table"
)

// drawing is one chart for the page. Its option says what is drawn; the script of the page decides how it looks.
type drawing struct {
	Option   map[string]any `json:"option"`
	Kind     string         `json:"kind"`
	XType    string         `json:"xType"` // value, log, time or category
	XLabel   string         `json:"xLabel"`
	YUnit    string         `json:"yUnit"`
	Group    string         `json:"group"` // charts of one group have the same horizontal axis, and zoom together
	Inks     map[string]int `json:"inks"`  // colours of series that mean the same in every chart: name to number in the palette
	Marks    []mark         `json:"marks"`
	File     string         `json:"file"` // name of the downloaded picture, without its ending
	Title    string         `json:"-"`
	Caption  string         `json:"-"`
	Warnings []string       `json:"-"` // what the picture leaves out
	Empty    bool           `json:"-"` // nothing can be drawn
}

// source says which columns of a table a chart draws, by their indexes.
type source struct {
	t      *table.Table
	chart  table.Chart
	x      int
	ys     []int
	series int // -1: none
	marks  int // -1: none
}

func sourceOf(t *table.Table, c table.Chart) (source, error) {
	s := source{t: t, chart: c, x: t.ColumnIndex(c.X), series: -1, marks: -1, ys: make([]int, len(c.Y))}
	if s.x < 0 {
		return s, fmt.Errorf("draw chart: no column %q", c.X)
	}
	if c.Series != "" {
		if s.series = t.ColumnIndex(c.Series); s.series < 0 {
			return s, fmt.Errorf("draw chart: no column %q", c.Series)
		}
	}
	if c.Marks != "" {
		if s.marks = t.ColumnIndex(c.Marks); s.marks < 0 {
			return s, fmt.Errorf("draw chart: no column %q", c.Marks)
		}
	}
	for i, y := range c.Y {
		if s.ys[i] = t.ColumnIndex(y); s.ys[i] < 0 {
			return s, fmt.Errorf("draw chart: no column %q", y)
		}
	}
	if len(s.ys) == 0 {
		return s, fmt.Errorf("draw chart: no y column")
	}
	return s, nil
}

// draw makes ECharts options from a declared chart. NULL, NaN and infinite figures are gaps. A bar chart always has one category for each
// distinct x, because bars on a continuous axis have no natural width. A logarithmic axis leaves out figures that are not positive.
func draw(t *table.Table, c table.Chart) (*drawing, error) {
	src, err := sourceOf(t, c)
	if err != nil {
		return nil, err
	}
	d := &drawing{Kind: c.Kind, XType: axisType(t, src.x, c), XLabel: axisLabel(t.Columns[src.x]), Title: c.Title}
	if d.Title == "" {
		d.Title = heading(t)
	}
	if t.Simulated() {
		d.Title += " (simulated)"
	}
	d.Caption = caption(t, c, src.x, src.ys)
	d.File = slug(cmp.Or(c.Title, t.Name, t.Title, "chart"))
	d.YUnit = commonUnit(t, src.ys)
	var list []*series
	var places []place
	yName := d.YUnit
	if c.Kind == "interval" {
		if list, places, err = d.intervals(src); err != nil {
			return d, err
		}
		d.XType, yName = "category", axisLabel(t.Columns[src.ys[0]]) // the page draws the bars
	} else {
		list, places = d.series(src)
		if len(src.ys) == 1 {
			yName = axisLabel(t.Columns[src.ys[0]])
		}
	}
	d.Empty = !anything(list)
	d.Inks, d.Group = inks(src, list), group(d, places)
	if src.marks >= 0 && len(t.Runs) < 2 && d.XType == "value" { // the turns of two runs would lie over each other
		d.Marks = marksOf(src)
	}
	d.Option, err = option(d, c, list, places, yName)
	return d, err
}

func (d *drawing) warn(n int, one, many, what string) {
	switch {
	case n == 1:
		d.Warnings = append(d.Warnings, "1 "+one+" "+what+".")
	case n > 1:
		d.Warnings = append(d.Warnings, fmt.Sprintf("%d %s %s.", n, many, strings.Replace(what, "is not drawn", "are not drawn", 1)))
	}
}

func caption(t *table.Table, c table.Chart, xi int, yis []int) string {
	ys := make([]string, len(yis))
	for i, yi := range yis {
		ys[i] = axisLabel(t.Columns[yi])
	}
	by := ""
	if x := axisLabel(t.Columns[xi]); x != "" {
		by = " by " + x
	}
	s := strings.Join(ys, ", ") + by
	if c.Kind == "interval" && len(ys) == 3 {
		s = ys[0] + " with the interval from " + ys[1] + " to " + ys[2] + by
	}
	if c.Series != "" {
		s += ", for each " + strings.ReplaceAll(printable(c.Series), "_", " ")
	}
	if c.Stack {
		s += ", stacked"
	}
	switch {
	case c.LogX && c.LogY:
		s += ", both axes logarithmic"
	case c.LogX && c.Kind != "bar":
		s += ", horizontal axis logarithmic"
	case c.LogY:
		s += ", vertical axis logarithmic"
	}
	return strings.ToUpper(c.Kind[:1]) + c.Kind[1:] + " chart: " + s + "."
}

func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return cmp.Or(strings.Trim(s, "-"), "wb")
}
