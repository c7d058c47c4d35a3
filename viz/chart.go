package viz

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"wb/queries/table"
)

// drawing is one chart ready for the page: the option says what is drawn, the page's script how it looks.
type drawing struct {
	Option   map[string]any `json:"option"`
	Kind     string         `json:"kind"`
	XType    string         `json:"xType"` // value, log, time or category
	XLabel   string         `json:"xLabel"`
	YUnit    string         `json:"yUnit"`
	File     string         `json:"file"` // name of the downloaded picture, without its ending
	Title    string         `json:"-"`
	Caption  string         `json:"-"`
	Warnings []string       `json:"-"` // what the picture leaves out
	Empty    bool           `json:"-"` // nothing can be drawn
}

// place is a position on the horizontal axis. Categories are told apart by label, other axes by number.
type place struct {
	at    float64
	label string
}

func (p place) value() any {
	if p.label != "" {
		return p.label
	}
	return p.at
}

type point struct {
	x         place
	y         any // a finite float64, or nil for a gap
	low, high any // of an interval
}

type series struct {
	name   string
	points []point
}

const zoomAbove = 30 // points along the axis from which zooming helps

// draw turns a declared chart into ECharts options. NULL, NaN and infinite figures are gaps. A bar chart always has a category for
// each distinct x, because bars on a continuous axis have no natural width; a log axis leaves out what is not positive.
func draw(t *table.Table, c table.Chart) (*drawing, error) {
	xi := t.ColumnIndex(c.X)
	if xi < 0 {
		return nil, fmt.Errorf("draw chart: no column %q", c.X)
	}
	si := -1
	if c.Series != "" {
		if si = t.ColumnIndex(c.Series); si < 0 {
			return nil, fmt.Errorf("draw chart: no column %q", c.Series)
		}
	}
	yis := make([]int, len(c.Y))
	for i, y := range c.Y {
		if yis[i] = t.ColumnIndex(y); yis[i] < 0 {
			return nil, fmt.Errorf("draw chart: no column %q", y)
		}
	}
	if len(yis) == 0 {
		return nil, fmt.Errorf("draw chart: no y column")
	}

	d := &drawing{Kind: c.Kind, XType: axisType(t, xi, c), XLabel: axisLabel(t.Columns[xi]), Title: c.Title}
	if d.Title == "" {
		d.Title = heading(t)
	}
	if t.Simulated() {
		d.Title += " (simulated)"
	}
	d.Caption = caption(t, c, xi, yis)
	d.File = slug(cmp.Or(c.Title, t.Name, t.Title, "chart"))
	if c.Kind == "interval" {
		return d, d.intervals(t, c, xi, yis, si)
	}

	var noX, notPositive, notFinite, missing int
	type key struct {
		column int
		null   bool
		value  string
	}
	var list []*series
	byKey := map[key]*series{}
	names := map[string]int{}
	for _, row := range t.Rows {
		x, ok := placeOf(t.Columns[xi], row[xi], d.XType)
		switch {
		case !ok:
			noX++
			continue
		case d.XType == "log" && x.at <= 0:
			notPositive++
			continue
		}
		for i, yi := range yis {
			k := key{column: i}
			if si >= 0 {
				k.null, k.value = row[si] == nil, full(t.Columns[si], row[si])
			}
			s := byKey[k]
			if s == nil {
				name := axisLabel(t.Columns[yi])
				if si >= 0 {
					name = seriesName(t, t.Columns[si], row[si])
					if len(yis) > 1 {
						name += " · " + axisLabel(t.Columns[yi])
					}
				}
				if names[name]++; names[name] > 1 { // the legend tells series apart by name alone
					name += fmt.Sprintf(" #%d", names[name])
				}
				s = &series{name: name}
				byKey[k] = s
				list = append(list, s)
			}
			p := point{x: x}
			if f, ok := number(t.Columns[yi], row[yi]); ok {
				switch {
				case math.IsNaN(f) || math.IsInf(f, 0):
					notFinite++
				case c.LogY && f <= 0:
					notPositive++
				default:
					p.y = f
				}
			} else {
				missing++
			}
			s.points = append(s.points, p)
		}
	}
	places := arrange(list, d.XType, c.Kind)
	if c.Kind == "bar" || c.Stack {
		if n := align(list, places); n > 0 {
			d.warn(n, "row shares", "rows share", "x and series with another; the last one is drawn")
		}
	}
	if c.Stack {
		d.warn(missing, "figure is", "figures are", "missing; the stack is lower there than it should be")
	}
	d.warn(noX, "row has", "rows have", "no x and is not drawn")
	d.warn(notPositive, "figure is", "figures are", "zero or negative and cannot stand on a logarithmic axis")
	d.warn(notFinite, "figure is", "figures are", "not finite and left as a gap")

	drawn := 0
	for _, s := range list {
		for _, p := range s.points {
			if p.y != nil {
				drawn++
			}
		}
	}
	d.Empty = drawn == 0
	d.YUnit = commonUnit(t, yis)
	yName := d.YUnit
	if len(yis) == 1 {
		yName = axisLabel(t.Columns[yis[0]])
	}
	var err error
	d.Option, err = option(d, c, list, places, yName)
	return d, err
}

// intervals draws a value with a bar from its low to its high end for each row, in the query's order. A row that lacks one of the three is left out.
func (d *drawing) intervals(t *table.Table, c table.Chart, xi int, yis []int, si int) error {
	if len(yis) != 3 {
		return fmt.Errorf("draw chart: an interval wants three y columns, not %d", len(yis))
	}
	var places []place
	var list []*series
	byName := map[string]*series{}
	left := 0
	for _, row := range t.Rows {
		x, _ := placeOf(t.Columns[xi], row[xi], "category")
		var values []any
		for _, yi := range yis {
			if f, ok := number(t.Columns[yi], row[yi]); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
				values = append(values, f)
			}
		}
		if len(values) != 3 {
			left++
			continue
		}
		name := axisLabel(t.Columns[yis[0]])
		if si >= 0 {
			name = seriesName(t, t.Columns[si], row[si])
		}
		if byName[name] == nil {
			byName[name] = &series{name: name}
			list = append(list, byName[name])
		}
		byName[name].points = append(byName[name].points, point{x, values[0], values[1], values[2]})
		if !slices.Contains(places, x) {
			places = append(places, x)
		}
	}
	d.XType, d.YUnit, d.Empty = "category", commonUnit(t, yis), len(places) == 0
	d.warn(left, "row has", "rows have", "no interval and is not drawn")
	var err error
	d.Option, err = option(d, c, list, places, axisLabel(t.Columns[yis[0]])) // the page draws the bars
	return err
}

func (d *drawing) warn(n int, one, many, what string) {
	switch {
	case n == 1:
		d.Warnings = append(d.Warnings, "1 "+one+" "+what+".")
	case n > 1:
		d.Warnings = append(d.Warnings, fmt.Sprintf("%d %s %s.", n, many, strings.Replace(what, "is not drawn", "are not drawn", 1)))
	}
}

func option(d *drawing, c table.Chart, list []*series, places []place, yName string) (map[string]any, error) {
	x := opts.XAxis{Type: d.XType, Name: d.XLabel, NameLocation: "middle"}
	if d.XType == "value" {
		x.Scale = opts.Bool(true) // turns 40 to 60 fill the width; the vertical axis keeps its zero
		if whole(places, 1) {
			x.MinInterval = 1
		}
	}
	if d.XType == "time" && whole(places, dayMs) {
		x.MinInterval = dayMs // no hours between days
	}
	y := opts.YAxis{Type: "value", Name: yName}
	if c.LogY {
		y.Type = "log"
	}
	tip := opts.Tooltip{Show: opts.Bool(true), Trigger: "axis"}
	switch c.Kind {
	case "scatter", "interval":
		tip.Trigger = "item"
	case "bar":
		tip.AxisPointer = &opts.AxisPointer{Type: "shadow"}
	}
	global := []charts.GlobalOpts{
		charts.WithTitleOpts(opts.Title{Title: printable(d.Title)}),
		charts.WithXAxisOpts(x),
		charts.WithYAxisOpts(y),
		charts.WithTooltipOpts(tip),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(len(list) > 1), Type: "scroll"}),
		charts.WithAnimation(false), // a report, not a show
		charts.WithAriaOpts(&opts.Aria{
			Enabled: opts.Bool(true),
			Label:   &opts.AriaLabel{Enabled: opts.Bool(true), Description: d.Title + ". " + d.Caption},
			Decal:   &opts.AriaDecal{Show: opts.Bool(len(list) > 1 && (c.Kind == "bar" || c.Kind == "area"))},
		}),
	}
	if len(places) > zoomAbove {
		filter := "none" // lines keep running to the edge of the window
		if c.Kind == "bar" {
			filter = "filter"
		}
		global = append(global, charts.WithDataZoomOpts(
			opts.DataZoom{Type: "inside", FilterMode: filter}, opts.DataZoom{Type: "slider", FilterMode: filter}))
	}
	var labels any
	if d.XType == "category" {
		names := make([]string, len(places))
		for i, p := range places {
			names[i] = p.label
		}
		labels = names
	}
	stack := ""
	if c.Stack || c.Kind == "bar" && apart(list) {
		stack = "all"
	}

	// JSON, not RenderSnippet: the snippet unquotes its own markers wherever they occur, also inside a user's text.
	switch c.Kind {
	case "line", "area":
		ch := charts.NewLine()
		ch.SetGlobalOptions(global...)
		ch.SetXAxis(labels)
		for i, s := range list {
			lonely := false
			data := make([]opts.LineData, len(s.points))
			for k, p := range s.points {
				data[k] = opts.LineData{Value: []any{p.x.value(), p.y}}
				lonely = lonely || p.y != nil && (k == 0 || s.points[k-1].y == nil) && (k == len(s.points)-1 || s.points[k+1].y == nil)
			}
			line := opts.LineChart{
				Symbol: symbols[i%len(symbols)], SymbolSize: 6, Stack: stack,
				ShowSymbol: opts.Bool(len(data) <= 100 || lonely), // a point between two gaps has no line to be seen by
			}
			o := []charts.SeriesOpts{
				charts.WithLineChartOpts(line),
				charts.WithLineStyleOpts(opts.LineStyle{Width: 2, Type: dashes[i/len(symbols)%len(dashes)]}),
			}
			if c.Kind == "area" {
				opacity := float32(0.2)
				if c.Stack {
					opacity = 0.6
				}
				o = append(o, charts.WithAreaStyleOpts(opts.AreaStyle{Opacity: opts.Float(opacity)}))
			}
			ch.AddSeries(s.name, data, o...)
		}
		ch.Validate()
		return ch.JSON(), nil
	case "bar":
		ch := charts.NewBar()
		ch.SetGlobalOptions(global...)
		ch.SetXAxis(labels)
		for _, s := range list {
			data := make([]opts.BarData, len(s.points))
			for k, p := range s.points {
				data[k] = opts.BarData{Value: []any{p.x.value(), p.y}}
			}
			ch.AddSeries(s.name, data, charts.WithBarChartOpts(opts.BarChart{Stack: stack}))
		}
		ch.Validate()
		return ch.JSON(), nil
	case "scatter", "interval":
		ch := charts.NewScatter()
		ch.SetGlobalOptions(global...)
		ch.SetXAxis(labels)
		for i, s := range list {
			data := make([]opts.ScatterData, 0, len(s.points))
			for _, p := range s.points {
				if p.y != nil {
					v := []any{p.x.value(), p.y}
					if c.Kind == "interval" {
						v = append(v, p.low, p.high)
					}
					data = append(data, opts.ScatterData{Value: v})
				}
			}
			ch.AddSeries(s.name, data,
				charts.WithScatterChartOpts(opts.ScatterChart{Symbol: symbols[i%len(symbols)], SymbolSize: 8}),
				charts.WithItemStyleOpts(opts.ItemStyle{Opacity: opts.Float(0.75)}))
		}
		ch.Validate()
		return ch.JSON(), nil
	}
	return nil, fmt.Errorf("draw chart: no kind %q; have line, area, bar, scatter, interval", c.Kind)
}

// Series differ in shape as well as colour, for readers who cannot tell the colours apart.
var (
	symbols = []string{"circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle", "emptyDiamond"}
	dashes  = []string{"solid", "dashed", "dotted"}
)

const dayMs = 24 * 60 * 60 * 1000

func axisType(t *table.Table, i int, c table.Chart) string {
	if c.Kind == "bar" || c.Kind == "interval" {
		return "category"
	}
	times, figures, others := 0, 0, 0
	moments := map[time.Time]bool{}
	for _, row := range t.Rows {
		if row[i] == nil {
			continue
		}
		if m, ok := row[i].(time.Time); ok {
			times++
			moments[m] = true
		} else if _, ok := number(t.Columns[i], row[i]); ok {
			figures++
		} else {
			others++
		}
	}
	switch {
	case others > 0 || times > 0 && figures > 0 || times+figures == 0:
		return "category"
	case len(moments) == 1 && t.Columns[i].Type == "DATE": // an axis of hours around its midnight would say nothing
		return "category"
	case times > 0:
		return "time"
	case c.LogX:
		return "log"
	}
	return "value"
}

func placeOf(c table.Column, v any, axis string) (place, bool) {
	p := place{at: math.NaN()}
	if f, ok := number(c, v); ok {
		p.at = f
	} else if tm, ok := v.(time.Time); ok {
		p.at = float64(tm.UnixMicro()) / 1000
	}
	if axis != "category" {
		return p, !math.IsNaN(p.at) && !math.IsInf(p.at, 0)
	}
	switch p.label = printable(full(c, v)); {
	case v == nil:
		p.label = null
	case p.label == "":
		p.label = "(empty)"
	}
	if math.IsNaN(p.at) {
		p.at = math.Inf(1) // after the figures, and comparable
	}
	return p, true
}

// arrange gives the distinct places of all series in axis order, and sorts each series along a continuous axis, so that a
// query without ORDER BY still draws a line and not a knot. Categories keep the query's order unless they are figures.
func arrange(list []*series, axis, kind string) []place {
	var places []place
	seen := map[place]bool{}
	figures := true
	for _, s := range list {
		for _, p := range s.points {
			if !seen[p.x] {
				seen[p.x] = true
				places = append(places, p.x)
				figures = figures && (!math.IsInf(p.x.at, 0) || p.x.label == null)
			}
		}
	}
	if axis != "category" || figures {
		slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.at, b.at) })
		if kind != "scatter" {
			for _, s := range list {
				slices.SortStableFunc(s.points, func(a, b point) int { return cmp.Compare(a.x.at, b.x.at) })
			}
		}
	}
	return places
}

// align gives every series a point at every place, as stacking and bars need, and counts the points it had to drop.
func align(list []*series, places []place) (dropped int) {
	index := make(map[place]int, len(places))
	for i, p := range places {
		index[p] = i
	}
	for _, s := range list {
		points := make([]point, len(places))
		used := make([]bool, len(places))
		for i, p := range places {
			points[i].x = p
		}
		for _, p := range s.points {
			i := index[p.x]
			if used[i] {
				dropped++
			}
			used[i], points[i].y = true, p.y
		}
		s.points = points
	}
	return dropped
}

// apart says that no two series have a figure at one place, as when a column is both x and series: such bars share one slot,
// or each would stand off centre in a row of empty ones. The series are aligned.
func apart(list []*series) bool {
	taken := map[place]bool{}
	for _, s := range list {
		for _, p := range s.points {
			if p.y != nil && taken[p.x] {
				return false
			}
			taken[p.x] = taken[p.x] || p.y != nil
		}
	}
	return true
}

func whole(places []place, unit float64) bool {
	for _, p := range places {
		if p.at/unit != math.Trunc(p.at/unit) {
			return false
		}
	}
	return true
}

// axisLabel writes a column for people: "ttft_ms" becomes "ttft (ms)".
func axisLabel(c table.Column) string {
	name := c.Name
	if c.Unit != "" && c.Unit != "ratio" {
		for i := len(name) - 1; i > 0; i-- {
			if name[i] == '_' && table.UnitOf("x"+name[i:]) == c.Unit {
				name = name[:i]
				break
			}
		}
	}
	name = printable(strings.ReplaceAll(name, "_", " "))
	if c.Unit != "" && c.Unit != "ratio" {
		name += " (" + c.Unit + ")"
	}
	if strings.HasPrefix(c.Type, "TIMESTAMP") {
		name += " (UTC)"
	}
	return name
}

func commonUnit(t *table.Table, yis []int) string {
	unit := t.Columns[yis[0]].Unit
	for _, i := range yis {
		if t.Columns[i].Unit != unit {
			return ""
		}
	}
	return unit
}

// seriesName shows a run by its name, with enough of its id to tell namesakes apart, and marks the simulated among real ones.
func seriesName(t *table.Table, c table.Column, v any) string {
	if v == nil {
		return null
	}
	name := printable(full(c, v))
	if name == "" {
		return "(empty)"
	}
	s, ok := v.(string)
	if !ok || c.Name != "run" && c.Name != "run_id" {
		return name
	}
	mixed, namesakes := false, 0
	var run *table.RunRef
	for i, r := range t.Runs {
		mixed = mixed || r.Simulated != t.Runs[0].Simulated
		if r.ID == s {
			run = &t.Runs[i]
		}
	}
	if run != nil && run.Name != "" {
		for _, r := range t.Runs {
			if r.Name == run.Name {
				namesakes++
			}
		}
		name = printable(run.Name)
		if namesakes > 1 {
			name += " " + run.ID[:min(8, len(run.ID))]
		}
	}
	if known, simulated := lookupRun(t, s); mixed && known && simulated {
		name += " (simulated)"
	}
	return name
}

func caption(t *table.Table, c table.Chart, xi int, yis []int) string {
	ys := make([]string, len(yis))
	for i, yi := range yis {
		ys[i] = axisLabel(t.Columns[yi])
	}
	s := strings.Join(ys, ", ") + " by " + axisLabel(t.Columns[xi])
	if c.Kind == "interval" && len(ys) == 3 {
		s = ys[0] + " with the interval from " + ys[1] + " to " + ys[2] + ", by " + axisLabel(t.Columns[xi])
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
