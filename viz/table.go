package viz

import (
	"bufio"
	"strings"

	"github.com/mattn/go-runewidth"

	"wb/queries/table"
)

// renderTable writes aligned columns for a terminal: figures to the right, text to the left, NULL as "·", and control characters escaped.
// Text is cut with "…" to fit the width. Figures and times are never cut, so a table of many figures may be wider.
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
		writeAnswer(line, &t)
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
			writeAnswer(line, t)
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

// writeAnswer writes the answer in words, and the commands that belong to it.
func writeAnswer(line func(string), t *table.Table) {
	for i, s := range t.Answer {
		switch {
		case i > 0:
			line("  " + printable(s))
		case t.Simulated():
			line(printable(s) + " (simulated)")
		default:
			line(printable(s))
		}
	}
}

const (
	gutter  = 2 // spaces between columns
	minText = 8 // a text column is not cut to fewer terminal columns
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
				text[i] = !right[i] && t.Columns[i].Name != "run" && t.Columns[i].Name != "run_id" // users copy names of runs
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

// fit makes the widest text columns narrower until the line fits, or until nothing more can be cut.
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

// terminal measures text as terminals do that know joined emoji. It does not depend on the locale, so that a table is the same everywhere.
// Characters that some East Asian fonts draw wide, such as "…" and "─", count as narrow.
var terminal = &runewidth.Condition{StrictEmojiNeutral: true}

// columns gives the number of terminal columns that a string takes.
func columns(s string) int { return terminal.StringWidth(s) }

// cut shortens a string to width terminal columns. It never cuts inside a character as people see it.
func cut(s string, width int) string { return terminal.Truncate(s, width, "…") }
