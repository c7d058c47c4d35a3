package viz

import (
	"cmp"
	"fmt"
	"strings"
)

func (g *grid) write(s *screen) {
	if len(g.facts) > 0 {
		g.writeFacts(s)
	}
	if len(g.unknown) > 0 {
		s.text("no value: "+strings.Join(g.unknown, ", "), indent, dim)
	}
	switch {
	case g.upright:
		g.writeUpright(s)
	case g.stacked:
		g.writeStacked(s)
	default:
		writeHead(s, g.columns, "")
		for r := range g.rows {
			s.line(rowText(g.columns, func(c gridColumn) string { return c.cells[r] }))
			g.writeBelow(s, r)
		}
	}
	switch {
	case len(g.left) > 0:
		g.writeLeft(s)
	case g.cuts():
		s.text("… some texts are cut: "+g.moreFlag(s)+" shows them", indent, dim)
	}
}

// writeFacts writes the columns with one value. Lines break after a separator, and inside of long values only.
func (g *grid) writeFacts(s *screen) {
	const unbroken = "\u00a0"
	facts := make([]string, len(g.facts))
	for i, f := range g.facts {
		if facts[i] = f; columns(f) <= s.width/2 {
			facts[i] = strings.ReplaceAll(f, " ", unbroken)
		}
	}
	for _, l := range wrap(strings.Join(facts, unbroken+"· "), s.width, indent) {
		s.line(strings.ReplaceAll(l, unbroken, " "))
	}
}

// cuts says whether a cell is wider than its column.
func (g *grid) cuts() bool {
	if g.upright {
		return false
	}
	for _, c := range g.columns[g.keys:] {
		for _, cell := range c.cells {
			if columns(cell) > c.width {
				return true
			}
		}
	}
	return false
}

// moreFlag gives the flag or the command that shows everything.
func (g *grid) moreFlag(s *screen) string { return cmp.Or(s.more, "--wide") }

// leftLines is the number of lines within which the columns that are left out are named.
const leftLines = 3

// writeLeft says which columns are left out, and what shows them.
func (g *grid) writeLeft(s *screen) {
	word := "columns"
	if len(g.left) == 1 {
		word = "column"
	}
	text := fmt.Sprintf("… %d more %s: %s shows them", len(g.left), word, g.moreFlag(s))
	if len(g.left) == 1 {
		text = strings.TrimSuffix(text, "them") + "it"
	}
	if whole := text + " (" + strings.Join(g.left, ", ") + ")"; len(wrap(whole, s.width, indent)) <= leftLines {
		text = whole
	}
	s.text(text, indent, dim)
}

// writeHead writes the names of the columns, the lowest line of each just above the rule.
func writeHead(s *screen, cs []gridColumn, before string) {
	lines := 0
	for _, c := range cs {
		lines = max(lines, len(c.head))
	}
	for l := range lines {
		s.line(before + rowText(cs, func(c gridColumn) string {
			if i := l - lines + len(c.head); i >= 0 {
				return c.head[i]
			}
			return ""
		}))
	}
	s.line(s.paint(dim, before+rowText(cs, func(c gridColumn) string { return strings.Repeat("─", c.width) })))
}

// rowText joins one text of each column, padded to the widths of the columns.
func rowText(cs []gridColumn, cell func(gridColumn) string) string {
	var b strings.Builder
	for i, c := range cs {
		text := cell(c)
		if columns(text) > c.width {
			text = Cut(text, c.width)
		}
		pad := strings.Repeat(" ", max(0, c.width-columns(text)))
		if c.right {
			b.WriteString(pad + text)
		} else {
			b.WriteString(text + pad)
		}
		if i < len(cs)-1 {
			b.WriteString(strings.Repeat(" ", gutter))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// writeBelow writes the sentences of a row.
func (g *grid) writeBelow(s *screen, row int) {
	const deep = indent + indent
	for _, c := range g.below {
		if c.cells[row] != null {
			s.text(deep+c.name+": "+c.cells[row], deep+indent, dim)
		}
	}
}

// writeUpright writes one row with a line for each column. Long cells are wrapped.
func (g *grid) writeUpright(s *screen) {
	widest := 0
	var unknown []string
	for _, c := range g.columns {
		if c.cells[0] == null {
			unknown = append(unknown, c.name)
			continue
		}
		widest = max(widest, columns(c.name))
	}
	if widest > s.width/2 {
		widest = 0
	}
	for _, c := range g.columns {
		if c.cells[0] == null {
			continue
		}
		pad := strings.Repeat(" ", max(0, widest-columns(c.name))+gutter)
		s.text(c.name+pad+c.cells[0], strings.Repeat(" ", widest+gutter), "")
	}
	if len(unknown) > 0 {
		s.text("no value: "+strings.Join(unknown, ", "), indent, dim)
	}
}

// writeStacked writes the names of a row on a line, and its figures below. Names that the row before has, too, are not written again.
func (g *grid) writeStacked(s *screen) {
	keys, rest := g.columns[:g.keys], g.columns[g.keys:]
	join := func(cell func(gridColumn) string) string {
		var parts []string
		for _, k := range keys {
			parts = append(parts, cell(k))
		}
		return strings.Join(parts, separator)
	}
	s.text(join(func(c gridColumn) string { return c.name }), indent, "")
	if len(rest) > 0 {
		writeHead(s, rest, indent)
	} else {
		s.line(s.paint(dim, strings.Repeat("─", min(s.width, lineWidth(keys)))))
	}
	before := ""
	for r := range g.rows {
		if name := join(func(c gridColumn) string { return c.cells[r] }); name != before || len(rest) == 0 {
			s.text(name, indent, "")
			before = name
		}
		if len(rest) > 0 {
			s.line(indent + rowText(rest, func(c gridColumn) string { return c.cells[r] }))
		}
		g.writeBelow(s, r)
	}
}
