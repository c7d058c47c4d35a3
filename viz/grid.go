package viz

import (
	"slices"
	"strings"

	"wb/queries/table"
)

const (
	gutter  = 2  // spaces between columns
	minText = 12 // a text column is not cut to fewer terminal columns
	indent  = "  "
)

// names are the columns whose cells users type into commands. They are never cut.
var names = []string{
	"run", "run_id", "conversation", "id", "name", "report", "repo", "query", "plan", "base_run", "head_run", "check",
}

// prose are the columns with sentences. Where a table is too wide, they stand below its rows and not in them.
var prose = []string{"advice", "message", "remark", "error", "first_error", "warning", "summary", "answers"}

// gridColumn is a column as text.
type gridColumn struct {
	name  string
	head  []string // lines above the column
	cells []string
	right bool // figures are aligned to the right
	text  bool // may be cut
	key   bool // users type it
	width int
}

// grid is a table as text that fits a width, with 0 for no limit. On a terminal a column that has one value in all rows becomes a line
// above, and columns that do not fit are named below. One row that does not fit is written as one line for each column. Where names take
// too much of the width, they stand in lines between the figures.
type grid struct {
	facts    []string // columns with one value, as "name value"
	unknown  []string // columns without any value
	columns  []gridColumn
	below    []gridColumn // sentences below each row
	left     []string     // names of the columns that do not fit
	upright  bool         // one row, one line for each column
	stacked  bool         // names stand above the figures
	keys     int          // number of names, where they stand above
	rows     int
	width    int
	terminal bool
}

func newGrid(t *table.Table, width int) *grid {
	g := &grid{rows: len(t.Rows), width: width, terminal: width >= leastWrap}
	for i := range t.Columns {
		g.columns = append(g.columns, makeColumn(t, i))
	}
	if !g.terminal {
		return g
	}
	if g.rows > 1 {
		g.fold(t)
	}
	if g.fits(g.columns) {
		return g
	}
	if g.rows > 1 {
		g.sink()
	}
	wrapped := make([]gridColumn, len(g.columns))
	for i, c := range g.columns {
		wrapped[i] = c.wrapHead()
	}
	flat := g.fitting(wrapped, width)
	if g.rows == 1 && !g.fits(wrapped) {
		g.upright = true
		return g
	}
	if len(flat) == len(wrapped) {
		g.columns = flat
		return g
	}
	g.choose(wrapped, flat)
	return g
}

// choose takes the columns that fit side by side. It puts names above the figures where more columns fit so.
func (g *grid) choose(all, flat []gridColumn) {
	keys, rest := parted(all)
	below := g.fitting(rest, g.width-len(indent))
	shown := 0
	for i := range flat {
		if i >= len(keys) {
			shown++
		}
	}
	const enough = 4 // columns of figures beside the names
	if len(flat) == 0 || !g.fits(flat) || (shown < enough && len(below) > shown) {
		g.stacked = true
		flat = slices.Concat(keys, g.unwrapped(below, g.width-len(indent)))
		g.keys = len(keys)
	}
	for _, c := range all {
		if !slices.ContainsFunc(flat, func(f gridColumn) bool { return f.name == c.name }) {
			g.left = append(g.left, c.name)
		}
	}
	g.columns = flat
}

// unwrapped writes the names of columns on one line again, if they fit so.
func (g *grid) unwrapped(cs []gridColumn, width int) []gridColumn {
	out := make([]gridColumn, len(cs))
	for i, c := range cs {
		c.head = []string{c.name}
		out[i] = c.measured()
	}
	if lineWidth(out) > width {
		return cs
	}
	return out
}

// parted divides the columns into the names on the left, and the others. The first column counts as a name.
func parted(cs []gridColumn) (keys, rest []gridColumn) {
	n := 1
	for n < len(cs) && cs[n].key {
		n++
	}
	return cs[:n], cs[n:]
}

func makeColumn(t *table.Table, i int) gridColumn {
	c := gridColumn{name: printable(t.Columns[i].Name), right: numeric(t, i), cells: columnTexts(t, i)}
	c.head = []string{c.name}
	c.key = !c.right && slices.Contains(names, t.Columns[i].Name)
	for _, row := range t.Rows {
		switch row[i].(type) {
		case string, []any, map[string]any:
			c.text = !c.right && !c.key && i > 0
		}
	}
	return c.measured()
}

// measured sets the width to that of the widest line.
func (c gridColumn) measured() gridColumn {
	c.width = 0
	for _, s := range slices.Concat(c.head, c.cells) {
		c.width = max(c.width, columns(s))
	}
	return c
}

// wrapHead writes the name over several lines, which break after "_", if the cells are narrower than the name.
func (c gridColumn) wrapHead() gridColumn {
	parts := strings.SplitAfter(c.name, "_")
	room := 0
	for _, s := range slices.Concat(parts, c.cells) {
		room = max(room, columns(s))
	}
	c.head = nil
	line := ""
	for _, p := range parts {
		if line != "" && columns(line+p) > room {
			c.head, line = append(c.head, line), ""
		}
		line += p
	}
	c.head = append(c.head, line)
	return c.measured()
}

// sink takes out the columns with sentences.
func (g *grid) sink() {
	var kept []gridColumn
	for i, c := range g.columns {
		if i > 0 && c.text && slices.Contains(prose, c.name) {
			g.below = append(g.below, c)
		} else {
			kept = append(kept, c)
		}
	}
	g.columns = kept
}

// fold takes out what need not be a column: one value in all rows, no value at all, or a label that only charts need.
func (g *grid) fold(t *table.Table) {
	var kept []gridColumn
	for i, c := range g.columns {
		same := true
		for _, row := range t.Rows[1:] {
			same = same && full(t.Columns[i], row[i]) == full(t.Columns[i], t.Rows[0][i]) && (row[i] == nil) == (t.Rows[0][i] == nil)
		}
		switch {
		case same && t.Rows[0][i] == nil:
			g.unknown = append(g.unknown, c.name)
		case g.label(t, i):
		case same:
			g.facts = append(g.facts, c.name+" "+c.cells[0])
		default:
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 { // equal rows
		g.facts, g.unknown = nil, nil
		return
	}
	g.columns = kept
}

// separator stands between the parts of a label, and between the facts above a table.
const separator = " · "

// label says whether a column is there for charts only: a chart names its values, and they only join cells of other columns, such as
// "simple_qa · base" or "simple_qa 3", or are equal to another column that stays.
func (g *grid) label(t *table.Table, column int) bool {
	c := g.columns[column]
	name := t.Columns[column].Name
	charted := slices.ContainsFunc(t.Charts, func(ch table.Chart) bool { return ch.X == name || ch.Series == name })
	if !charted || c.right || c.key {
		return false
	}
	for i, o := range g.columns {
		if i != column && (i < column || o.right) && slices.Equal(o.cells, c.cells) {
			return true
		}
	}
	most := 0
	for r, cell := range c.cells {
		n := g.parts(cell, column, r)
		if n == 0 {
			return false
		}
		most = max(most, n)
	}
	return most > 1
}

// parts says how many cells and names of other columns, in the same row, make up a cell; 0 if the cell holds anything else.
func (g *grid) parts(cell string, column, row int) int {
	n := 0
	for rest := cell; rest != ""; n++ {
		longest := ""
		for i, o := range g.columns {
			for _, text := range []string{o.name, o.cells[row]} {
				if i != column && len(text) > len(longest) && (rest == text || strings.HasPrefix(rest, text+" ")) {
					longest = text
				}
			}
		}
		if longest == "" {
			return 0
		}
		rest = strings.TrimPrefix(strings.TrimPrefix(rest[len(longest):], separator), " ")
	}
	return n
}

// fits says whether columns fit side by side.
func (g *grid) fits(cs []gridColumn) bool { return lineWidth(cs) <= g.width }

func lineWidth(cs []gridColumn) int {
	w := gutter * max(0, len(cs)-1)
	for _, c := range cs {
		w += c.width
	}
	return w
}

// fitting gives as many columns from the left as fit. Text is cut where that is enough.
func (g *grid) fitting(cs []gridColumn, width int) []gridColumn {
	for n := len(cs); n > 0; n-- {
		least := slices.Clone(cs[:n])
		for i, c := range least {
			if c.text {
				least[i].width = min(c.width, max(minText, headWidth(c)))
			}
		}
		if lineWidth(least) > width {
			continue
		}
		out := slices.Clone(cs[:n])
		for over := lineWidth(out) - width; over > 0; over-- {
			widest := -1
			for i, c := range out {
				if c.width > least[i].width && (widest < 0 || c.width > out[widest].width) {
					widest = i
				}
			}
			out[widest].width--
		}
		return out
	}
	return nil
}

func headWidth(c gridColumn) int {
	w := 0
	for _, h := range c.head {
		w = max(w, columns(h))
	}
	return w
}
