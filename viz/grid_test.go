package viz

import (
	"fmt"
	"strings"
	"testing"

	"wb/queries/table"
)

// rendered renders one table without its title.
func rendered(t *testing.T, tab *table.Table, p Page, width int) string {
	t.Helper()
	p.Tables = []*table.Table{tab}
	got := render(t, "table", p, Options{Width: width})
	_, rest, _ := strings.Cut(got, "\n")
	for l := range strings.Lines(rest) {
		if width > 0 && columns(strings.TrimSuffix(l, "\n")) > width {
			t.Errorf("width %d: line of %d columns: %s", width, columns(l), l)
		}
	}
	return rest
}

// charted adds a chart over a column.
func charted(t *table.Table, x string) *table.Table {
	t.Charts = []table.Chart{{Kind: "bar", X: x, Y: []string{"turn"}}}
	return t
}

// tableOf makes a table from columns and rows.
func tableOf(names string, rows ...[]any) *table.Table {
	t := &table.Table{Title: "t", Rows: rows}
	for name := range strings.FieldsSeq(names) {
		t.Columns = append(t.Columns, table.Column{Name: name, Unit: table.UnitOf(name)})
	}
	return t
}

const longName = "a-run-whose-name-says-everything-about-its-settings"

type gridCase struct {
	name  string
	table *table.Table
	page  Page
	width int
	want  string
}

func checkGrids(t *testing.T, cases []gridCase) {
	t.Helper()
	for _, c := range cases {
		want := strings.TrimPrefix(c.want, "\n")
		if got := rendered(t, c.table, c.page, c.width); got != want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, want)
		}
	}
}

// What need not be a column on a terminal stands above, or is left out.
func TestGridFolds(t *testing.T) {
	checkGrids(t, []gridCase{
		{"one value in all rows, and none at all", tableOf("run conversation turn energy_j tokens",
			[]any{"on", "qa", int64(1), nil, int64(20_500)}, []any{"on", "qa", int64(2), nil, int64(800)}), Page{}, 40, `
run on · conversation qa
no value: energy_j
turn  tokens
────  ──────
   1   20.5K
   2     800
`},
		{"lines break after separators", tableOf("run conversation placement turn", []any{"a-long-name", "qa", "system", int64(1)},
			[]any{"a-long-name", "qa", "system", int64(2)}), Page{}, 38, `
run a-long-name · conversation qa ·
  placement system
turn
────
   1
   2
`},
		{"one row keeps its columns", tableOf("run turn", []any{"on", int64(1)}), Page{}, 40, `
run  turn
───  ────
on      1
`},
		{"equal rows keep their columns", tableOf("run turn", []any{"on", int64(1)}, []any{"on", int64(1)}), Page{}, 40, `
run  turn
───  ────
on      1
on      1
`},
		{"elsewhere than on a terminal nothing is taken out", tableOf("run energy_j", []any{"on", nil}, []any{"on", nil}), Page{}, 0, `
run  energy_j
───  ────────
on   ·
on   ·
`},
		{"a label that only joins other columns", charted(tableOf("series run conversation turn", []any{"qa · on", "on", "qa", int64(1)},
			[]any{"qa · off", "off", "qa", int64(2)}), "series"), Page{}, 60, `
conversation qa
run  turn
───  ────
on      1
off     2
`},
		{"a label with spaces, and other texts", charted(tableOf("conversation_turn run turn remark",
			[]any{"qa 1", "qa", int64(1), "qa 1 slow"}, []any{"qa 2", "qa", int64(2), "qa 2"},
			[]any{"rag 1", "rag", int64(1), "rag 1"}), "conversation_turn"), Page{}, 60, `
run  turn  remark
───  ────  ─────────
qa      1  qa 1 slow
qa      2  qa 2
rag     1  rag 1
`},
		{"equal columns that no chart needs", tableOf("want got", []any{"a", "a"}, []any{"b", "b"}), Page{}, 60, `
want  got
────  ───
a     a
b     b
`},
	})
}

// What does not fit is made narrower, put above, or named.
func TestGridFits(t *testing.T) {
	many := tableOf("conversation aaaa_ms bbbb_ms cccc_ms dddd_ms eeee_ms",
		[]any{"qa", 1.5, 2.5, 3.5, 4.5, 5.5}, []any{"rag", 2.5, 3.5, 4.5, 5.5, 6.5})
	checkGrids(t, []gridCase{
		{"long names of columns", tableOf("run longest_prompt_tokens decode_tokens_per_s", []any{"on", int64(501), int64(80)},
			[]any{"off", int64(502), int64(90)}), Page{}, 30, `
     longest_  decode_
      prompt_  tokens_
run    tokens    per_s
───  ────────  ───────
on        501       80
off       502       90
`},
		{"text is cut", tableOf("run text", []any{"on", "a message that is too long for the line"}, []any{"off", "short"}), Page{}, 30, `
run  text
───  ─────────────────────────
on   a message that is too lo…
off  short
… some texts are cut: --wide
  shows them
`},
		{"sentences stand below the rows", tableOf("run kind message", []any{"on", "a", "a message that is too long for the line"},
			[]any{"off", "b", nil}), Page{}, 34, `
run  kind
───  ────
on   a
    message: a message that is too
      long for the line
off  b
`},
		{"columns that do not fit are named", many, Page{}, 40, `
              aaaa_  bbbb_  cccc_  dddd_
conversation     ms     ms     ms     ms
────────────  ─────  ─────  ─────  ─────
qa              1.5    2.5    3.5    4.5
rag             2.5    3.5    4.5    5.5
… 1 more column: --wide shows it
  (eeee_ms)
`},
		{"another command shows them", many, Page{More: "wb runs"}, 46, `
              aaaa_  bbbb_  cccc_  dddd_
conversation     ms     ms     ms     ms
────────────  ─────  ─────  ─────  ─────
qa              1.5    2.5    3.5    4.5
rag             2.5    3.5    4.5    5.5
… 1 more column: wb runs shows it (eeee_ms)
`},
		{"wide shows them", many, Page{Wide: true}, 0, `
conversation  aaaa_ms  bbbb_ms  cccc_ms  dddd_ms  eeee_ms
────────────  ───────  ───────  ───────  ───────  ───────
qa                1.5      2.5      3.5      4.5      5.5
rag               2.5      3.5      4.5      5.5      6.5
`},
		{"one row that does not fit", tableOf("run status message energy_j", []any{longName, "ok", "a message that is long", nil}), Page{}, 60, `
run      a-run-whose-name-says-everything-about-its-settings
status   ok
message  a message that is long
no value: energy_j
`},
		{"long names stand above the figures", tableOf("run conversation turn ttft_ms", []any{longName, "qa", int64(1), 10.0},
			[]any{longName, "qa", int64(2), 2.25}, []any{longName + "-2", "rag", int64(1), 1.0}), Page{}, 60, `
run · conversation
  turn  ttft_ms
  ────  ───────
a-run-whose-name-says-everything-about-its-settings · qa
     1    10.00
     2     2.25
a-run-whose-name-says-everything-about-its-settings-2 · rag
     1     1.00
`},
	})
}

// Every table fits every terminal, and its names stay whole.
func TestEveryWidthFits(t *testing.T) {
	tab := tableOf("run conversation text n_ms prompt_tokens other run_id")
	for i := range 4 {
		tab.Rows = append(tab.Rows, []any{
			fmt.Sprint(longName, i), "日本語の会話", strings.Repeat("word ", i*9), float64(i) / 3, int64(i * 9000), "x", fmt.Sprint("id", i),
		})
	}
	tab.Notes = []string{strings.Repeat("a note of many words ", 20), strings.Repeat("one-very-long-word", 20)}
	tab.About = strings.Repeat("日本語", 80)
	tab.Title = strings.Repeat("title ", 30)
	for width := leastWrap; width < 200; width++ {
		got := strings.Join(strings.Fields(rendered(t, tab, Page{}, width)), "")
		for _, row := range tab.Rows {
			if !strings.Contains(got, row[0].(string)) {
				t.Errorf("width %d: %s is cut", width, row[0])
			}
		}
	}
}

// The points of a column line up, and its typical figure keeps three or four digits.
func TestDecimals(t *testing.T) {
	for _, c := range []struct{ figures, want []any }{
		{[]any{12.345, 9.5, 101.0, nil}, []any{"12.35", "9.50", "101.00", "·"}},
		{[]any{123.456, 99.0}, []any{"123.5", "99.0"}},
		{[]any{0.0, 0.829, 1.0}, []any{"0.000", "0.829", "1.000"}},
		{[]any{0.0, 0.5, 1.0}, []any{"0.0", "0.5", "1.0"}},
		{[]any{3.0, 4.0}, []any{"3", "4"}},
		{[]any{0.00012, 0.5, 0.75}, []any{"0.0001", "0.5000", "0.7500"}},
		{[]any{0.00002, 0.5, 0.75}, []any{"2e-05", "0.50", "0.75"}},
		{[]any{0.00002, 0.05, 0.06}, []any{"0.00002", "0.05000", "0.06000"}},
		{[]any{0.012, 20.0, 81507.0}, []any{"0.012", "20    ", "81507    "}},
		{[]any{-0.42, -0.0001}, []any{"-0.4200", "-0.0001"}},
	} {
		tab := tableOf("x")
		for _, f := range c.figures {
			tab.Rows = append(tab.Rows, []any{f})
		}
		g := newGrid(tab, 0)
		for i, want := range c.want {
			got := g.columns[0].cells[i]
			if got != want {
				t.Errorf("%v: %q, want %q", c.figures, got, want)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		column string
		value  any
		want   string
	}{
		{"prompt_tokens", int64(9999), "9999"},
		{"prompt_tokens", int64(11_319), "11.3K"},
		{"prompt_mean_tokens", 16_384.4, "16.4K"},
		{"prompt_tokens_p50", int64(131_072), "131K"},
		{"decode_tokens_per_s", 81_507.2, "81507"},
		{"tokens", "12000", "12000"}, // text
		{"memory_bytes", int64(10_900_000_000), "10.9 GB"},
		{"memory_peak_bytes", nil, "·"},
		{"read_bytes_per_s", 3.35e12, "3.35 TB/s"},
		{"hit_ratio", 0.5, "0.5"},
		{"turns", int64(20_000), "20000"},
	} {
		if got := short(table.Column{Name: c.column}, c.value); got != c.want {
			t.Errorf("%s of %v: %s, want %s", c.column, c.value, got, c.want)
		}
		tab := tableOf(c.column, []any{c.value})
		for _, format := range []string{"csv", "json", "ndjson"} {
			if got := render(t, format, Page{Tables: []*table.Table{tab}}, Options{}); strings.ContainsAny(got, "KGT") {
				t.Errorf("%s: %s", format, got)
			}
		}
	}
}

func TestWrapCommand(t *testing.T) {
	for in, want := range map[string]string{
		"wb run":                                  "wb run",
		"  wb run --name second --repeat 6":       "  wb run --name second \\\n      --repeat 6",
		"wb run --name 'two words' --repeat 12":   "wb run --name \\\n      'two words' \\\n      --repeat 12",
		`wb run --name it\'s --name "a b" --x=yy`: "wb run --name it\\'s \\\n      --name \"a b\" \\\n      --x=yy",
	} {
		if got := strings.Join(wrapCommand(in, 26, "      "), "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", in, got, want)
		}
	}
}

// A list stays within the terminal, and the lines of an item stand below its text.
func TestList(t *testing.T) {
	tab := tableOf("check level", []any{"disk", "ok"}, []any{"gpu", "note"})
	tab.List = []table.Item{
		{Mark: "ok", Name: "disk", Text: "40 GiB free"},
		{Mark: "note", Name: "gpu", Text: "no NVIDIA GPU is here", Further: []string{"→ install its driver first"}},
	}
	if got, want := rendered(t, tab, Page{}, 28), `ok    disk  40 GiB free
note  gpu   no NVIDIA GPU is
            here
            → install its
              driver first
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := rendered(t, tab, Page{}, 0), `ok    disk  40 GiB free
note  gpu   no NVIDIA GPU is here
            → install its driver first
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := render(t, "csv", Page{Tables: []*table.Table{tab}}, Options{}); !strings.HasPrefix(got, "check,level\ndisk,ok\n") {
		t.Errorf("csv: %s", got)
	}
}
