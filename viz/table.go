package viz

import (
	"bufio"
	"strings"
	"unicode"
	"unicode/utf8"

	"wb/queries/table"
)

// renderTable writes aligned columns for a terminal: figures to the right, text to the left, NULL as "·", control
// characters escaped. Text is cut with "…" to fit the width; figures and times never are,
// so a table of many figures may be wider.
func renderTable(w *bufio.Writer, p Page, o Options) error {
	paint := func(code, s string) string {
		if !o.Color || s == "" {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	line := func(s string) { w.WriteString(s + "\n") }
	title := func(s string, simulated bool) {
		s = paint("1", printable(s))
		if simulated {
			s += paint("33", " (simulated)")
		}
		line(s)
	}

	alone := len(p.Tables) == 1
	if alone {
		t := *p.Tables[0]
		if t.Title == "" {
			t.Title = p.title()
		}
		title(t.Title, t.Simulated())
	} else {
		title(p.title(), p.simulated())
	}
	for _, s := range p.Intro {
		line(printable(s))
	}
	for _, t := range p.Tables {
		if !alone {
			line("")
			title(heading(t), t.Simulated())
		} else if len(p.Intro) > 0 {
			line("")
		}
		if t.About != "" {
			line(paint("2", printable(t.About)))
		}
		if len(t.Rows) == 0 {
			line("no rows")
		} else {
			writeGrid(w, t, o.Width, func(s string) string { return paint("2", s) })
		}
		for _, n := range t.Notes {
			line(paint("33", "note:") + " " + printable(n))
		}
	}
	return nil
}

const (
	gutter  = 2 // spaces between columns
	minText = 8 // a text column is not cut below this
)

func writeGrid(w *bufio.Writer, t *table.Table, width int, dim func(string) string) {
	n := len(t.Columns)
	right, text := make([]bool, n), make([]bool, n)
	widths := make([]int, n)
	head := make([]string, n)
	cells := make([][]string, len(t.Rows))
	for i, c := range t.Columns {
		right[i] = numeric(t, i)
		head[i] = printable(c.Name)
		widths[i] = columns(head[i])
	}
	for r, row := range t.Rows {
		cells[r] = make([]string, n)
		for i, v := range row {
			switch v.(type) {
			case string, []any, map[string]any:
				text[i] = !right[i] && t.Columns[i].Name != "run" && t.Columns[i].Name != "run_id" // names are there to be copied
			}
			cells[r][i] = printable(short(t.Columns[i], v))
			widths[i] = max(widths[i], columns(cells[r][i]))
		}
	}
	fit(widths, text, width)

	write := func(row []string, style func(string) string) {
		var b strings.Builder
		for i, s := range row {
			s = cut(s, widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(s))
			switch {
			case right[i]:
				b.WriteString(pad + s)
			case i == n-1:
				b.WriteString(s)
			default:
				b.WriteString(s + pad)
			}
			if i < n-1 {
				b.WriteString(strings.Repeat(" ", gutter))
			}
		}
		w.WriteString(style(strings.TrimRight(b.String(), " ")) + "\n")
	}
	plain := func(s string) string { return s }
	rule := make([]string, n)
	for i := range rule {
		rule[i] = strings.Repeat("─", widths[i])
	}
	write(head, plain)
	write(rule, dim)
	for _, row := range cells {
		write(row, plain)
	}
}

// fit narrows the widest text columns until the line fits, or until nothing more can be cut.
func fit(widths []int, text []bool, width int) {
	if width <= 0 {
		return
	}
	over := gutter*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := -1
		for i, w := range widths {
			if text[i] && w > minText && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func cut(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// columns is how many terminal columns a string takes.
func columns(s string) int {
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		n += runeColumns(r)
		i += size
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1f64f,
		r >= 0x1f680 && r <= 0x1f6ff, r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
