package viz

import (
	"strings"

	"github.com/mattn/go-runewidth"

	"wb/data/plain"
)

// terminal measures text as terminals do that know joined emoji. It does not depend on the locale, so that a table is the same everywhere.
// Characters that some East Asian fonts draw wide, such as "…" and "─", count as narrow.
var terminal = &runewidth.Condition{StrictEmojiNeutral: true}

// columns gives the number of terminal columns that a string takes.
func columns(s string) int { return terminal.StringWidth(s) }

// Cut shortens a string to width terminal columns. It never cuts inside a character as people see it.
func Cut(s string, width int) string { return terminal.Truncate(s, width, "…") }

// leastWrap is the narrowest terminal whose lines are wrapped.
const leastWrap = 20

// wrap breaks a text between words, so that no line is wider than width. Lines after the first begin with indent. A word that is wider than
// a line is broken. With a width of 0 the text stays one line.
func wrap(s string, width int, indent string) []string {
	if width < leastWrap || columns(s) <= width {
		return []string{s}
	}
	lines := wrapWords(strings.Split(strings.ReplaceAll(s, " %", unbroken), " "), width, indent)
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, unbroken, " %")
	}
	return lines
}

// unbroken joins a figure and its per cent sign, which stay on one line.
const unbroken = "\u00a0%"

func wrapWords(words []string, width int, indent string) []string {
	var lines []string
	line, empty := "", true
	for _, word := range words {
		if !empty && columns(line)+1+columns(word) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		for columns(line)+columns(word) > width {
			room := width - columns(line)
			head := terminal.Truncate(word, room, "")
			if head == "" { // not even one character fits
				break
			}
			lines = append(lines, line+head)
			line, word = indent, word[len(head):]
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}

// wrapCommand breaks a command for a shell with "\" at the ends of lines, so that it can be copied. It never breaks inside quotes.
func wrapCommand(s string, width int, indent string) []string {
	if width < leastWrap || columns(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	for i, word := range plain.Words(s) {
		if i > 0 && columns(line)+1+columns(word) > width-2 {
			lines, line = append(lines, line+` \`), indent+word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
