package viz

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// place is a position on the horizontal axis: a label on an axis of categories, a number on others.
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
	low, high any // ends of an interval
}

type series struct {
	name   string
	column int // which of the chart's figures it shows
	nth    int // number of its value among those of the column of series
	points []point
}

// collector sorts the points of a table into series, and counts those that cannot be drawn.
type collector struct {
	source
	axis  string // type of the horizontal axis
	list  []*series
	byKey map[seriesKey]*series
	names map[string]int
	nth   map[string]int // numbers of the values of the column of series

	noX, notPositive, notFinite, missing int
}

type seriesKey struct {
	column int
	null   bool
	value  string
}

// series gives the series of a chart of lines, areas, bars or points, and the places on its horizontal axis.
func (d *drawing) series(src source) ([]*series, []place) {
	g := &collector{source: src, axis: d.XType, byKey: map[seriesKey]*series{}, names: map[string]int{}, nth: map[string]int{}}
	for _, row := range src.t.Rows {
		g.add(row)
	}
	c := src.chart
	if src.series < 0 && anything(g.list) { // a figure that nobody measured has no place in the legend
		g.list = slices.DeleteFunc(g.list, func(s *series) bool { return !anything([]*series{s}) })
	}
	places := arrange(g.list, d.XType, c.Kind)
	if c.Kind == "bar" || c.Stack {
		if n := align(g.list, places); n > 0 {
			d.warn(n, "row shares", "rows share", "x and series with another; the last one is drawn")
		}
	}
	if c.Stack {
		d.warn(g.missing, "figure is", "figures are", "missing; the stack is lower there than it should be")
	}
	d.warn(g.noX, "row has", "rows have", "no x and is not drawn")
	d.warn(g.notPositive, "figure is", "figures are", "zero or negative and cannot be shown on a logarithmic axis")
	d.warn(g.notFinite, "figure is", "figures are", "not finite and left as a gap")
	return g.list, places
}

// add adds the points of one row.
func (g *collector) add(row []any) {
	x, ok := placeOf(g.t.Columns[g.x], row[g.x], g.axis)
	switch {
	case !ok:
		g.noX++
		return
	case g.axis == "log" && x.at <= 0:
		g.notPositive++
		return
	}
	for i, yi := range g.ys {
		s := g.of(i, row)
		p := point{x: x}
		switch f, ok := number(g.t.Columns[yi], row[yi]); {
		case !ok:
			g.missing++
		case math.IsNaN(f) || math.IsInf(f, 0):
			g.notFinite++
		case g.chart.LogY && f <= 0:
			g.notPositive++
		default:
			p.y = f
		}
		s.points = append(s.points, p)
	}
}

// of gives the series of a row's i-th figure. It creates the series if there is none.
func (g *collector) of(i int, row []any) *series {
	k := seriesKey{column: i}
	if g.series >= 0 {
		k.null, k.value = row[g.series] == nil, full(g.t.Columns[g.series], row[g.series])
	}
	if s := g.byKey[k]; s != nil {
		return s
	}
	name := axisLabel(g.t.Columns[g.ys[i]])
	if g.series >= 0 {
		name = seriesName(g.t, g.t.Columns[g.series], row[g.series])
		if len(g.ys) > 1 {
			name += " · " + axisLabel(g.t.Columns[g.ys[i]])
		}
	}
	if g.names[name]++; g.names[name] > 1 { // the legend has only names to tell series apart
		name += fmt.Sprintf(" #%d", g.names[name])
	}
	nth, known := g.nth[k.value]
	if !known {
		nth = len(g.nth)
		g.nth[k.value] = nth
	}
	s := &series{name: name, column: i, nth: nth}
	g.byKey[k] = s
	g.list = append(g.list, s)
	return s
}

// intervals gives, for each row, a value and its low and high end, in the order of the rows. A row that lacks one of the three is left out.
func (d *drawing) intervals(src source) (list []*series, places []place, err error) {
	if len(src.ys) != 3 {
		return nil, nil, fmt.Errorf("draw chart: an interval wants three y columns, not %d", len(src.ys))
	}
	byName := map[string]*series{}
	left := 0
	for _, row := range src.t.Rows {
		x, _ := placeOf(src.t.Columns[src.x], row[src.x], "category")
		var values []any
		for _, yi := range src.ys {
			if f, ok := number(src.t.Columns[yi], row[yi]); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
				values = append(values, f)
			}
		}
		if len(values) != 3 {
			left++
			continue
		}
		name := axisLabel(src.t.Columns[src.ys[0]])
		if src.series >= 0 {
			name = seriesName(src.t, src.t.Columns[src.series], row[src.series])
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
	d.warn(left, "row has", "rows have", "no interval and is not drawn")
	return list, places, nil
}

// anything says whether any series has a figure.
func anything(list []*series) bool {
	for _, s := range list {
		if slices.ContainsFunc(s.points, func(p point) bool { return p.y != nil }) {
			return true
		}
	}
	return false
}

// arrange gives the distinct places of all series in the order of the axis. On a continuous axis it also sorts each series, so that a query
// without ORDER BY gives a line without loops. Categories keep the order of the rows, unless they are figures.
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

// align gives every series a point at every place, which stacks and bars need. It returns how many points it dropped.
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

// apart says whether no two series have a figure at the same place. This is so if one column is both x and series. Such bars share one
// slot, since otherwise each would stand beside empty slots. The series must be aligned.
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
