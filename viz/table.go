package viz

import (
	"bufio"
	"strings"

	"wb/queries/table"
)

// renderTable writes aligned columns: figures to the right, text to the left, NULL as "·", and control characters escaped. On a terminal
// no line is wider than it: see grid. Elsewhere, and with Page.Wide, all columns are shown whole.
func renderTable(w *bufio.Writer, p Page, o Options) error {
	if p.Wide {
		o.Width = 0
	}
	s := screen{w: w, width: o.Width, color: o.Color, more: p.More}
	alone := len(p.Tables) == 1
	if alone {
		t := *p.Tables[0]
		if t.Title == "" {
			t.Title = p.title()
		}
		s.answer(&t)
		s.title(t.Title, t.Simulated())
	} else {
		s.title(p.title(), p.simulated())
	}
	for _, text := range p.Intro {
		s.text(text, "", "")
	}
	for _, t := range p.Tables {
		if !alone {
			s.line("")
			s.answer(t)
			s.title(heading(t), t.Simulated())
		} else if len(p.Intro) > 0 {
			s.line("")
		}
		if t.About != "" {
			s.text(t.About, "", dim)
		}
		switch {
		case len(t.Rows) == 0 && len(t.List) == 0:
			s.line("no rows")
		case t.List != nil:
			s.list(t.List)
		default:
			newGrid(t, s.width).write(&s)
		}
		for _, n := range t.Notes {
			s.note(n)
		}
	}
	return nil
}

// Codes of terminals for colours and weights.
const (
	bold   = "1"
	dim    = "2"
	yellow = "33"
)

// screen writes lines that are no wider than a terminal. A width of 0 sets no limit.
type screen struct {
	w     *bufio.Writer
	width int
	color bool
	more  string // see Page.More
}

func (s *screen) line(text string) { s.w.WriteString(text + "\n") }

func (s *screen) paint(code, text string) string {
	if !s.color || text == "" || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// text writes a text between the words of which lines break. Lines after the first begin with indent.
func (s *screen) text(text, indent, code string) {
	for _, l := range wrap(printable(text), s.width, indent) {
		s.line(s.paint(code, l))
	}
}

const simulatedMark = " (simulated)"

func (s *screen) title(text string, simulated bool) {
	text = printable(text)
	if !simulated {
		s.text(text, "", bold)
		return
	}
	lines := wrap(text, s.width, "")
	last := len(lines) - 1
	for _, l := range lines[:last] {
		s.line(s.paint(bold, l))
	}
	if s.width >= leastWrap && columns(lines[last]+simulatedMark) > s.width {
		s.line(s.paint(bold, lines[last]))
		s.line(s.paint(yellow, strings.TrimSpace(simulatedMark)))
		return
	}
	s.line(s.paint(bold, lines[last]) + s.paint(yellow, simulatedMark))
}

func (s *screen) note(text string) {
	const mark = "note:"
	for i, l := range wrap(mark+" "+printable(text), s.width, strings.Repeat(" ", len(mark)+1)) {
		if rest, ok := strings.CutPrefix(l, mark); ok && i == 0 {
			l = s.paint(yellow, mark) + rest
		}
		s.line(l)
	}
}

// answer writes the answer in words, and the commands that belong to it.
func (s *screen) answer(t *table.Table) {
	for i, text := range t.Answer {
		text = printable(text)
		if i == 0 {
			if t.Simulated() {
				text += simulatedMark
			}
			s.text(text, "", "")
			continue
		}
		for _, l := range wrapCommand("  "+text, s.width, "      ") {
			s.line(l)
		}
	}
}

// list writes the items of a list: the names in a column, and the texts beside them. On a narrow terminal the texts begin below the names.
func (s *screen) list(items []table.Item) {
	marks, names := 0, 0
	for _, i := range items {
		marks = max(marks, columns(printable(i.Mark)))
		names = max(names, columns(printable(i.Name)))
	}
	if marks > 0 {
		marks += gutter
	}
	pad := func(text string, width int) string { return text + strings.Repeat(" ", max(0, width-columns(text))) }
	indent := strings.Repeat(" ", marks+gutter)
	beside := marks+names+gutter <= s.width/2 || s.width < leastWrap
	if beside {
		indent = strings.Repeat(" ", marks+names+gutter)
	}
	for _, i := range items {
		head := pad(printable(i.Mark), marks) + printable(i.Name)
		text := printable(i.Text)
		switch {
		case text == "":
			s.text(head, indent, "")
		case beside:
			head = pad(head, marks+names+gutter)
			lines := wrap(head+text, s.width, indent)
			for _, l := range lines {
				s.line(l)
			}
		default:
			s.text(head, indent, "")
			s.text(indent+text, indent, "")
		}
		for _, f := range i.Further {
			s.text(indent+printable(f), indent+"  ", "")
		}
	}
}
