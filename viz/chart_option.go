package viz

import (
	"fmt"
	"strings"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"

	"wb/queries/table"
)

const zoomAbove = 30 // points along the axis from which zooming helps

// Series differ in shape as well as colour, for readers who cannot tell the colours apart.
var (
	symbols = []string{"circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle", "emptyDiamond"}
	dashes  = []string{"solid", "dashed", "dotted"}
)

// builder is a chart of go-echarts, which makes options for ECharts. docs/design/decisions/charts.md says how wb uses it.
type builder interface {
	Validate()
	JSON() map[string]any
}

// option gives the ECharts option of a drawing. It does not use the snippet of go-echarts, which replaces markers such as __f__ everywhere,
// even in a user's text.
func option(d *drawing, c table.Chart, list []*series, places []place, yName string) (map[string]any, error) {
	global := globals(d, c, list, places, yName)
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
	var b builder
	switch c.Kind {
	case "line", "area":
		b = lines(c, list, stack, labels, global)
	case "bar":
		b = bars(list, stack, labels, global)
	case "scatter", "interval":
		b = marks(c, list, labels, global)
	default:
		return nil, fmt.Errorf("draw chart: unknown kind %q; known are line, area, bar, scatter, interval", c.Kind)
	}
	b.Validate()
	return b.JSON(), nil
}

// globals gives the options that all kinds of charts have.
func globals(d *drawing, c table.Chart, list []*series, places []place, yName string) []charts.GlobalOpts {
	x := opts.XAxis{Type: d.XType, Name: d.XLabel, NameLocation: "middle"}
	if d.XType == "value" {
		x.Scale = opts.Bool(true) // turns 40 to 60 fill the width; only the vertical axis begins at zero
		if whole(places, 1) {
			x.MinInterval = 1
		}
	}
	if d.XType == "time" && whole(places, dayMs) {
		x.MinInterval = dayMs // no labels of hours between days
	}
	y := opts.YAxis{Type: "value", Name: yName}
	if d.YUnit == "ratio" && share(yName, list) {
		y.Min, y.Max = 0, 1
	}
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
		charts.WithAnimation(false),
		charts.WithAriaOpts(&opts.Aria{
			Enabled: opts.Bool(true),
			Label:   &opts.AriaLabel{Enabled: opts.Bool(true), Description: d.Title + ". " + d.Caption},
			Decal:   &opts.AriaDecal{Show: opts.Bool(len(list) > 1 && (c.Kind == "bar" || c.Kind == "area"))},
		}),
	}
	if len(places) > zoomAbove {
		filter := "none" // lines go on to the edge of the window
		if c.Kind == "bar" {
			filter = "filter"
		}
		inside, slider := opts.DataZoom{Type: "inside", FilterMode: filter}, opts.DataZoom{Type: "slider", FilterMode: filter}
		global = append(global, charts.WithDataZoomOpts(inside, slider))
	}
	return global
}

// share says whether all figures are between 0 and 1, so that the axis can show the whole. Changes have no whole.
func share(yName string, list []*series) bool {
	for _, s := range list {
		if strings.Contains(yName, "change") || strings.Contains(s.name, "change") {
			return false
		}
		for _, p := range s.points {
			if f, ok := p.y.(float64); ok && (f < 0 || f > 1) {
				return false
			}
		}
	}
	return true
}

func lines(c table.Chart, list []*series, stack string, labels any, global []charts.GlobalOpts) builder {
	ch := charts.NewLine()
	ch.SetGlobalOptions(global...)
	ch.SetXAxis(labels)
	for i, s := range list {
		alone := false
		data := make([]opts.LineData, len(s.points))
		for k, p := range s.points {
			data[k] = opts.LineData{Value: []any{p.x.value(), p.y}}
			before, after := k == 0 || s.points[k-1].y == nil, k == len(s.points)-1 || s.points[k+1].y == nil
			alone = alone || p.y != nil && before && after
		}
		line := opts.LineChart{
			Symbol: symbols[i%len(symbols)], SymbolSize: 6, Stack: stack,
			ShowSymbol: opts.Bool(len(data) <= 100 || alone), // a point between two gaps has no line, and would be invisible
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
	return ch
}

func bars(list []*series, stack string, labels any, global []charts.GlobalOpts) builder {
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
	return ch
}

// marks draws points. A chart of intervals adds the low and high ends, which the page draws.
func marks(c table.Chart, list []*series, labels any, global []charts.GlobalOpts) builder {
	ch := charts.NewScatter()
	ch.SetGlobalOptions(global...)
	ch.SetXAxis(labels)
	for i, s := range list {
		data := make([]opts.ScatterData, 0, len(s.points))
		for _, p := range s.points {
			if p.y == nil {
				continue
			}
			v := []any{p.x.value(), p.y}
			if c.Kind == "interval" {
				v = append(v, p.low, p.high)
			}
			data = append(data, opts.ScatterData{Value: v})
		}
		ch.AddSeries(s.name, data,
			charts.WithScatterChartOpts(opts.ScatterChart{Symbol: symbols[i%len(symbols)], SymbolSize: 8}),
			charts.WithItemStyleOpts(opts.ItemStyle{Opacity: opts.Float(0.75)}))
	}
	return ch
}
