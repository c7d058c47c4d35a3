package viz

import (
	"bufio"
	"strings"
	"unicode"
	"unicode/utf8"
)

// renderMarkdown writes GitHub tables that can be pasted into a review. The SQL of each table is included, folded.
func renderMarkdown(w *bufio.Writer, p Page, _ Options) error {
	line := func(s ...string) { w.WriteString(strings.Join(s, "") + "\n") }
	mark := func(simulated bool) string {
		if simulated {
			return " **simulated**"
		}
		return ""
	}
	alone := len(p.Tables) == 1
	if !alone {
		line("# ", markdown(p.title()), mark(p.simulated()), "\n")
		writeParagraphs(line, p.Intro)
	}
	for _, t := range p.Tables {
		title := heading(t)
		if alone && t.Title == "" {
			title = p.title()
		}
		line("## ", markdown(title), mark(t.Simulated()), "\n")
		if alone {
			writeParagraphs(line, p.Intro)
		}
		for i, s := range t.Answer {
			if i == 0 {
				line("**", markdown(s), "**\n")
				continue
			}
			line("    ", printable(s), "\n")
		}
		if t.About != "" {
			line(markdown(t.About), "\n")
		}
		if len(t.Rows) == 0 {
			line("no rows\n")
		} else {
			head, rule := "|", "|"
			for i, c := range t.Columns {
				head += " " + markdown(c.Name) + " |"
				if numeric(t, i) {
					rule += " ---: |"
				} else {
					rule += " --- |"
				}
			}
			line(head)
			line(rule)
			for _, row := range t.Rows {
				w.WriteString("|")
				for i, v := range row {
					w.WriteString(" " + markdown(short(t.Columns[i], v)) + " |")
				}
				w.WriteString("\n")
			}
			line()
		}
		for _, n := range t.Notes {
			line("- note: ", markdown(n))
		}
		if len(t.Notes) > 0 {
			line()
		}
		if t.SQL != "" {
			fence := "```"
			for strings.Contains(t.SQL, fence) {
				fence += "`"
			}
			sql := strings.Split(strings.TrimRight(t.SQL, "\n"), "\n")
			for i := range sql {
				sql[i] = printable(strings.ReplaceAll(strings.TrimRight(sql[i], "\r"), "\t", "    "))
			}
			line("<details><summary>SQL</summary>\n\n", fence, "sql\n", strings.Join(sql, "\n"), "\n", fence, "\n\n</details>\n")
		}
	}
	return nil
}

func writeParagraphs(line func(...string), paragraphs []string) {
	for _, s := range paragraphs {
		line(markdown(s), "\n")
	}
}

// markdown escapes text, so that a cell of a GitHub table shows it as it is.
func markdown(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = escapeMarkdown(printable(lines[i]))
	}
	return strings.Join(lines, "<br>")
}

func escapeMarkdown(s string) string {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	var b strings.Builder
	for i, r := range s {
		switch r {
		case '|', '\\', '`', '*', '[', '~':
			b.WriteByte('\\')
		case '<':
			b.WriteString("&lt;")
			continue
		case '>':
			b.WriteString("&gt;")
			continue
		case '&':
			b.WriteString("&amp;")
			continue
		case '_': // inside a word it needs no escape, and snake_case stays readable
			before, _ := utf8.DecodeLastRuneInString(s[:i])
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if !word(before) || !word(after) {
				b.WriteByte('\\')
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
