package viz

import (
	"strings"
	"testing"

	"wb/queries/table"
)

// Text of every script is aligned: what people see as one character is measured, padded and cut as one.
func TestTerminalColumns(t *testing.T) {
	const flag, family, thumb, coder = "🇩🇪", "👩\u200d👩\u200d👧", "👍🏽", "🧑\u200d💻"
	for _, c := range []struct {
		name, text string
		want       int
		cut        string // three times the text, cut to five columns
	}{
		{"Latin", "ab", 2, "abab…"},
		{"accents", "é", 1, "ééé"},
		{"combining marks", "e\u0301", 1, "e\u0301e\u0301e\u0301"},
		{"marks of Devanagari", "नमस्ते", 4, "नमस्ते…"},
		{"Chinese", "日本", 4, "日本…"},
		{"Korean", "한국", 4, "한국…"},
		{"Korean, in letters", "\u1112\u1161\u11ab", 2, "\u1112\u1161\u11ab\u1112\u1161\u11ab…"},
		{"fullwidth", "，", 2, "，，…"},
		{"emoji", "👋", 2, "👋👋…"},
		{"younger emoji", "🫠", 2, "🫠🫠…"},
		{"emoji of one unit", "✅", 2, "✅✅…"},
		{"an emoji with a colour of skin", thumb, 2, thumb + thumb + "…"},
		{"joined emoji", family, 2, family + family + "…"},
		{"two joined", coder, 2, coder + coder + "…"},
		{"a flag", flag, 2, flag + flag + "…"},
		{"Hebrew", "שלום", 4, "שלום…"},
		{"Arabic with a mark", "ا\u064e", 1, "ا\u064eا\u064eا\u064e"},
		{"rules and dots", "…·─", 3, "…·─……"},
	} {
		if got := columns(c.text); got != c.want {
			t.Errorf("%s: %d columns, want %d", c.name, got, c.want)
		}
		if got := Cut(strings.Repeat(c.text, 3), 5); got != c.cut {
			t.Errorf("%s is cut to %q, want %q", c.name, got, c.cut)
		}
	}
}

// The second column begins at the same place in every line, whatever the script of the first is.
func TestScriptsStandInColumns(t *testing.T) {
	tab := &table.Table{Title: "t", Columns: []table.Column{{Name: "name"}, {Name: "word"}}}
	for _, name := range []string{"ab", "日本語", "e\u0301te\u0301", "👩\u200d👩\u200d👧 family", "שלום", "a very long name, ✅ and it is cut"} {
		tab.Rows = append(tab.Rows, []any{name, "|"})
	}
	got := render(t, "table", Page{Tables: []*table.Table{tab}}, Options{Width: 24})
	places := map[int]int{}
	for line := range strings.Lines(got) {
		if before, _, found := strings.Cut(line, "|"); found {
			places[columns(before)]++
		}
	}
	if len(places) != 1 || len(tab.Rows) == 0 {
		t.Errorf("the second column begins at %v\n%s", places, got)
	}
}

func BenchmarkColumns(b *testing.B) {
	for name, s := range map[string]string{"ascii": "simple_qa, turn 3 of 12", "wide": "日本語のテキスト 👋"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				columns(s)
			}
		})
	}
}
