package viz

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wb/queries/table"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func column(name, duckType string) table.Column {
	return table.Column{Name: name, Type: duckType, Unit: table.UnitOf(name)}
}

// hostile holds every kind of cell, and names that an attacker would choose.
func hostile() *table.Table {
	at := time.Date(2026, 3, 1, 12, 30, 15, 123456789, time.FixedZone("CET", 3600))
	return &table.Table{
		Name: "hostile", Title: "Every kind of cell", About: "One row per hazard.",
		SQL:    "-- title: Every kind of cell\nSELECT '```', * FROM t -- </script>\n",
		Params: []table.Param{{Name: "runs", Value: "latest"}, {Name: "model", Value: ""}},
		Runs: []table.RunRef{
			{ID: "5b7f0c1e-0000-4000-8000-000000000001", Name: "sim", Simulated: true},
			{ID: "5b7f0c1e-0000-4000-8000-000000000002", Name: "real"},
		},
		Columns: []table.Column{
			column("run", "VARCHAR"), column("turn", "BIGINT"), column("ttft_ms", "DOUBLE"), column("hit_ratio", "DOUBLE"),
			column("big", "HUGEINT"), column("ok", "BOOLEAN"), column("at", "TIMESTAMP_NS"), column("day", "DATE"),
			column("nested", "STRUCT(a DOUBLE)[]"),
		},
		Rows: [][]any{
			{"sim", int64(1), 12.3456789, 0.5, "170141183460469231731687303715884105727", true, at, at,
				[]any{map[string]any{"b": math.NaN(), "a": 1.5}}},
			{"real", int64(math.MaxInt64), 1234567.891, 1e-7, nil, false, nil, nil, nil},
			{"</script><script>alert(1)</script>", nil, math.NaN(), math.Inf(1), "-1", nil, nil, nil, []any{}},
			{"a|b\nc,\"d\" \x1b[31mred\x1b[0m \u202eesrever \u2028", int64(-7), math.Inf(-1), -0.0001234567, nil, nil, nil, nil, nil},
			{"=1+1 *bold* _x_ snake_case `q` 日本語 __f__", int64(0), 1e22, 0.0, nil, nil, nil, nil, nil},
			{"", int64(3), 100000.0, 1.0, nil, nil, nil, nil, nil},
			{nil, nil, nil, nil, nil, nil, nil, nil, nil},
		},
		Notes: []string{"Turn 3 was measured twice.", "Cost <b> is | unknown."},
	}
}

func empty() *table.Table {
	return &table.Table{
		Name: "none", Title: "Nothing yet", Columns: []table.Column{column("turn", "BIGINT"), column("ttft_ms", "DOUBLE")},
		Charts: []table.Chart{{Kind: "line", X: "turn", Y: []string{"ttft_ms"}}},
		Notes:  []string{"No run matches."},
	}
}

func render(t *testing.T, format string, p Page, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, format, p, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	one := Page{Tables: []*table.Table{hostile()}, Version: "1.2.3"}
	two := Page{Title: "Two tables", Intro: []string{"Run *a* against run b."}, Tables: []*table.Table{hostile(), empty()}, Version: "1.2.3"}
	none := Page{Tables: []*table.Table{empty()}}
	for _, c := range []struct {
		file, format string
		page         Page
		options      Options
	}{
		{"one.table", "table", one, Options{}},
		{"narrow.table", "table", one, Options{Width: 180, Color: true}},
		{"two.table", "table", two, Options{}},
		{"none.table", "table", none, Options{}},
		{"one.csv", "csv", one, Options{}},
		{"none.csv", "csv", none, Options{}},
		{"one.md", "md", one, Options{}},
		{"two.md", "md", two, Options{}},
		{"one.json", "json", one, Options{}},
		{"two.json", "json", two, Options{}},
		{"none.json", "json", none, Options{}},
		{"one.ndjson", "ndjson", one, Options{}},
	} {
		t.Run(c.file, func(t *testing.T) {
			got := render(t, c.format, c.page, c.options)
			path := filepath.Join("testdata", c.file)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (go test ./viz -update rewrites it); got:\n%s", path, got)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	err := Render(&bytes.Buffer{}, "pdf", Page{}, Options{})
	if err == nil || !strings.Contains(err.Error(), `no format "pdf"; known are table, csv, md, json, ndjson, html`) {
		t.Errorf("unknown format: %v", err)
	}
	for _, format := range []string{"csv", "ndjson"} {
		err := Render(&bytes.Buffer{}, format, Page{Tables: []*table.Table{empty(), empty()}}, Options{})
		if err == nil || !strings.Contains(err.Error(), "takes one table, got 2") {
			t.Errorf("%s of two tables: %v", format, err)
		}
	}
	for _, format := range Formats() {
		if err := Render(brokenPipe{}, format, Page{Tables: []*table.Table{hostile()}}, Options{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s to a closed pipe: %v", format, err)
		}
		if got := render(t, format, Page{Tables: []*table.Table{hostile()}}, Options{}); !strings.Contains(got, "simulated") {
			t.Errorf("%s does not say simulated", format)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestShortFloat(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 1: "1", -2.5: "-2.5", 12.3456: "12.35", 0.123456: "0.1235", 999.96: "1000", 1234.5678: "1235", 123456789: "123456789",
		1e15: "1000000000000000", 1e20: "100000000000000000000", 1e21: "1e+21", 0.00012345678: "0.0001235", 0.000012345678: "1.235e-05",
		math.Inf(1): "+Inf", math.Copysign(0, -1): "0",
	} {
		if got := shortFloat(in); got != want {
			t.Errorf("shortFloat(%g) = %s, want %s", in, got, want)
		}
	}
}

func TestTableIsSafeAndFits(t *testing.T) {
	p := Page{Title: "t", Tables: []*table.Table{{
		Title: "evil \x1b]0;pwned\x07 \xff", Columns: []table.Column{column("n_ms", "DOUBLE"), column("text", "VARCHAR")},
		Rows: [][]any{{1.5, strings.Repeat("長い", 60) + "\x9b31m\u202e"}, {nil, "b"}},
	}}}
	got := render(t, "table", p, Options{Width: 40})
	if strings.ContainsAny(got, "\x1b\x07\u009b\u202e") || strings.Contains(got, "\xff") {
		t.Errorf("control characters reached the terminal: %q", got)
	}
	for l := range strings.Lines(got) {
		if l = strings.TrimSuffix(l, "\n"); columns(l) > 40 {
			t.Errorf("line of %d columns: %s", columns(l), l)
		}
	}
	if !strings.Contains(got, "…") {
		t.Errorf("nothing cut: %s", got)
	}
}

func TestCSVAndJSONParseBack(t *testing.T) {
	p := Page{Tables: []*table.Table{hostile()}}
	records, err := csv.NewReader(strings.NewReader(render(t, "csv", p, Options{}))).ReadAll()
	if err != nil || len(records) != 8 || records[4][0] != hostile().Rows[3][0] {
		t.Errorf("csv: %v, %d records", err, len(records))
	}
	var doc struct {
		Simulated bool
		Rows      []map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(render(t, "json", p, Options{})), &doc); err != nil {
		t.Fatal(err)
	}
	if !doc.Simulated || string(doc.Rows[1]["turn"]) != "9223372036854775807" || string(doc.Rows[2]["ttft_ms"]) != "null" {
		t.Errorf("json: %v %s", doc.Simulated, doc.Rows)
	}
	apart := Page{Tables: []*table.Table{{NotSame: []string{`engine (a"b, c)`, "template"}}}}
	if got := render(t, "json", apart, Options{}); !strings.Contains(got, `"not_the_same": ["engine (a\"b, c)","template"],`) {
		t.Errorf("what is not the same: %s", got)
	}
	if got := render(t, "json", p, Options{}); strings.Contains(got, "not_the_same") {
		t.Errorf("a table without differences: %s", got)
	}
	twice := Page{Tables: []*table.Table{{
		Columns: []table.Column{{Name: "a"}, {Name: "a"}, {Name: "a_2"}},
		Rows:    [][]any{{int64(1), int64(2), int64(3)}},
	}}}
	if got := render(t, "ndjson", twice, Options{}); got != `{"a":1,"a_3":2,"a_2":3}`+"\n" {
		t.Errorf("columns of the same name: %s", got)
	}
}
