//go:build duckdb_arrow

package queries

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"wb/queries/table"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "q.sql:1: holds no SQL"},
		{"-- title: x\n\n-- only comments\n", "q.sql:1: holds no SQL"},
		{"-- title: x\n-- colour: red\nSELECT 1", `q.sql:2: unknown key "colour"; known are group, answers, title, about, var and chart`},
		{"-- title: x\n-- title: y\nSELECT 1", "q.sql:2: title: given twice"},
		{"-- group: x\n-- group: y\nSELECT 1", "q.sql:2: group: given twice"},
		{"-- answers: x\n-- answers: y\nSELECT 1", "q.sql:2: answers: given twice"},
		{"-- group:\nSELECT 1", "q.sql:1: group: needs a value"},
		{"-- answers:x\nSELECT 1", "q.sql:1: answers: wants a space after the colon"},
		{"-- about: x\n\n-- about: y\nSELECT 1", "q.sql:3: about: given twice"},
		{"-- title:\nSELECT 1", "q.sql:1: title: needs a value"},
		{"-- title:   \r\nSELECT 1", "q.sql:1: title: needs a value"},
		{"-- title:x\nSELECT 1", "q.sql:1: title: wants a space after the colon"},
		{"-- var: runs\nSELECT 1", `q.sql:1: var: wants NAME = DEFAULT, not "runs"`},
		{"-- var: Runs = latest\nSELECT 1", `q.sql:1: var: wants NAME = DEFAULT, not "Runs = latest"`},
		{"-- var: 2x = 1\nSELECT 1", `q.sql:1: var: wants NAME = DEFAULT, not "2x = 1"`},
		{"-- var: a = 1\n-- var: a = 2\nSELECT 1", "q.sql:2: var: a is declared twice"},
		{"-- var: a = 'x\nSELECT 1", "q.sql:1: var: a: the quote is not closed"},
		{"-- chart: pie x=a y=b\nSELECT 1", `q.sql:1: chart: unknown kind "pie"; known are line, area, bar, scatter, interval`},
		{"-- chart: interval x=a y=b,c\nSELECT 1", `q.sql:1: chart: interval: wants y=VALUE,LOW,HIGH and linear axes`},
		{"-- chart: line\nSELECT 1", "q.sql:1: chart: needs x=COLUMN and y=COLUMN"},
		{"-- chart: line x=a\nSELECT 1", "q.sql:1: chart: needs x=COLUMN and y=COLUMN"},
		{"-- chart: line y=a\nSELECT 1", "q.sql:1: chart: needs x=COLUMN and y=COLUMN"},
		{"-- chart: line x=a y=b,\nSELECT 1", `q.sql:1: chart: "" is not a valid column name`},
		{"-- chart: line x=\"a b\" y=b\nSELECT 1", `q.sql:1: chart: "a b" is not a valid column name`},
		{"-- chart: line x=a y=b series=\"c d\"\nSELECT 1", `q.sql:1: chart: "c d" is not a valid column name`},
		{"-- chart: line x=a y=b and more\nSELECT 1", `q.sql:1: chart: wants KEY=VALUE, not "and more"`},
		{"-- chart: line x=a y=b title=\"open\nSELECT 1", `q.sql:1: chart: wants KEY=VALUE, not "title=\"open"`},
		{"-- chart: line x=a y=b z=c\nSELECT 1", "q.sql:1: chart: z: unknown option; known are x, y, series, marks, title, stack, logx and logy"},
		{"-- chart: line x=a x=b y=c\nSELECT 1", "q.sql:1: chart: x is given twice"},
		{"-- chart: line x=a y=b logx=yes\nSELECT 1", `q.sql:1: chart: logx: wants true or false, not "yes"`},
		{"-- chart: line x=a y=b stack=true\nSELECT 1", "q.sql:1: chart: stack: only bar and area charts can be stacked"},
		{strings.Repeat("x", MaxQueryBytes+1), "q.sql:1: longer than 1048576 bytes"},
	} {
		q, err := Parse("q.sql", c.text)
		var he *HeaderError
		if !errors.As(err, &he) || err.Error() != c.want || q != nil {
			t.Errorf("%.60q: got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	full := strings.Join([]string{
		"-- title: Title: with a colon",
		"-- about: What it means -- and a dash",
		"-- var: runs = latest          -- which runs: ids, names",
		"-- var: factor=5",
		"-- var: model = 'a -- b' -- a text",
		`-- var: digits = "0123"`,
		"-- var: none =",
		"-- var: words = two words",
		"",
		"-- a free comment, ignored",
		"-- Note: upper case is free too",
		"-- see https://duckdb.org: it is not a key",
		"-- chart: bar x=a y=b,c series=d title=\"Two words\" stack=true logx=true logy=false",
		"--chart: scatter\tx=a\ty=b",
		"  SELECT 1 -- title: not a header any more",
		"-- colour: neither is this",
	}, "\n")
	want := Query{Name: "q", File: "dir/q.sql", Title: "Title: with a colon", About: "What it means -- and a dash",
		Vars: []Var{
			{Name: "runs", Default: "latest", About: "which runs: ids, names"},
			{Name: "factor", Default: "5"},
			{Name: "model", Default: "a -- b", About: "a text", quoted: true},
			{Name: "digits", Default: "0123", quoted: true},
			{Name: "none"},
			{Name: "words", Default: "two words"},
		},
		Charts: []table.Chart{
			{Kind: "bar", X: "a", Y: []string{"b", "c"}, Series: "d", Title: "Two words", Stack: true, LogX: true},
			{Kind: "scatter", X: "a", Y: []string{"b"}},
		}}
	crlf := strings.ReplaceAll(full, "\n", "\r\n")
	for name, text := range map[string]string{"LF": full, "CRLF": crlf, "BOM": "\ufeff" + full, "BOM and CRLF": "\ufeff" + crlf} {
		want.SQL = text
		if got, err := Parse("dir/q.sql", text); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", name, err, got, want)
		}
	}
	for text, title := range map[string]string{
		"SELECT 1": "q", "-- about: x\nSELECT 1": "q", strings.Repeat("x", MaxQueryBytes): "q", "-- title: t\n/* a body */": "t",
	} {
		if got, err := Parse("q.sql", text); err != nil || got.Title != title || got.SQL != text {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// A line that begins with "--" and at least three spaces continues the value of the line before it, even if it looks like a key.
func TestParseContinuation(t *testing.T) {
	for _, c := range []struct{ name, text, about string }{
		{"one line", "-- about: a\nSELECT 1", "a"},
		{"two lines", "-- about: a\n--   b\nSELECT 1", "a b"},
		{"more spaces, and at the end", "-- about: a \n--      b  \n--   c\nSELECT 1", "a b c"},
		{"a tab and spaces", "-- about: a\n--\t  b\nSELECT 1", "a b"},
		{"CRLF", "-- about: a\r\n--   b\r\nSELECT 1", "a b"},
		{"BOM", "\ufeff-- about: a\n--   b\nSELECT 1", "a b"},
		{"the value begins in the second line", "-- about:\n--   b\nSELECT 1", "b"},
		{"an unknown key", "-- about: a\n--   mbu_ratio: bytes\nSELECT 1", "a mbu_ratio: bytes"},
		{"a known key", "-- about: a\n--   title: b\n--   var: x = 1\nSELECT 1", "a title: b var: x = 1"},
		{"a known key without a space", "-- about: a\n--   chart:b\nSELECT 1", "a chart:b"},
		{"two spaces are a free comment", "-- about: a\n--  b\nSELECT 1", "a"},
		{"two spaces and a key begin an entry", "-- about: a\n--  title: b\nSELECT 1", "a"},
		{"no text", "-- about: a\n--   \nSELECT 1", "a"},
		{"after a free comment", "-- about: a\n-- b\n--   c\nSELECT 1", "a"},
		{"after an empty line", "-- about: a\n\n--   c\nSELECT 1", "a"},
		{"after another key", "-- about: a\n-- title: b\n--   c\nSELECT 1", "a"},
	} {
		q, err := Parse("q.sql", c.text)
		if err != nil || q.About != c.about || q.SQL != c.text {
			t.Errorf("%s: %+v, %v; want %q", c.name, q, err, c.about)
		}
	}
	q, err := Parse("q.sql", "-- title: a\n--   b\n-- var: x = 1\n--   -- how many\n-- chart: bar x=a\n--   y=b title=\"c d\"\nSELECT 1")
	want := Query{
		Name: "q", File: "q.sql", Title: "a b", Vars: []Var{{Name: "x", Default: "1", About: "how many"}},
		Charts: []table.Chart{{Kind: "bar", X: "a", Y: []string{"b"}, Title: "c d"}},
	}
	if err != nil {
		t.Fatal(err)
	}
	want.SQL = q.SQL
	if !reflect.DeepEqual(*q, want) {
		t.Errorf("%+v, want %+v", *q, want)
	}
	// an error names the line in which the entry begins
	if _, err := Parse("q.sql", "-- title: a\n-- chart: bar x=a\n--   y=b\n--   z=c\nSELECT 1"); err == nil ||
		err.Error() != "q.sql:2: chart: z: unknown option; known are x, y, series, marks, title, stack, logx and logy" {
		t.Errorf("got %v", err)
	}
	// without an entry before it, such a line is a comment or an entry of its key
	if _, err := Parse("q.sql", "--   mbu_ratio: bytes\nSELECT 1"); err == nil {
		t.Error("an unknown key in the first line passes")
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"SELECT 1",
		"-- title: a\n-- var: x = 'y' -- z\n-- chart: bar x=a y=b,c title=\"d e\" stack=true\nSELECT 1",
		"\ufeff-- about: x\r\n--chart:",
		"-- chart: line x= y=\"\"\nS",
		"-- var: a=\"\nS",
		"-- about: a\n--   mbu_ratio: bytes\n--   title: b\n--  c\n--   d\nSELECT 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse("q.sql", text)
		again, err2 := Parse("q.sql", text)
		if fmt.Sprint(err) != fmt.Sprint(err2) || !reflect.DeepEqual(q, again) {
			t.Errorf("parsed twice: %v %v and %v %v", q, err, again, err2)
		}
		if err != nil {
			var he *HeaderError
			if !errors.As(err, &he) || he.Line < 1 || he.Line > strings.Count(text, "\n")+1 || strings.Contains(he.Error(), "\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		if q.Title == "" || q.SQL != text {
			t.Errorf("query %+v", q)
		}
		for _, c := range q.Charts {
			if c.X == "" || len(c.Y) == 0 {
				t.Errorf("chart without axes: %+v", c)
			}
			for _, col := range c.References() {
				if !identifier.MatchString(col) {
					t.Errorf("column %q", col)
				}
			}
		}
		for _, v := range q.Vars {
			if !identifier.MatchString(v.Name) {
				t.Errorf("variable %q", v.Name)
			}
		}
	})
}
