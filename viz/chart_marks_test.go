package viz

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"wb/queries/table"
)

// timeline is a table of steps: time, figure, series and the turn that was under way.
func timeline(rows ...[]any) *table.Table {
	return &table.Table{
		Name: "timeline", Rows: rows,
		Columns: []table.Column{
			column("elapsed_s", "DOUBLE"), column("power_w", "DOUBLE"), column("gpu", "VARCHAR"), column("turn_label", "VARCHAR"),
		},
		Charts: []table.Chart{{Kind: "line", X: "elapsed_s", Y: []string{"power_w"}, Series: "gpu", Marks: "turn_label"}},
	}
}

func TestMarks(t *testing.T) {
	for want, rows := range map[string][][]any{
		"[{0 2 a 1} {3 4 a 2}]": {
			{0.0, 1.0, "0", "a 1"}, {1.0, 1.0, "0", "a 1"}, {2.0, 1.0, "0", nil}, {3.0, 1.0, "0", "a 2"}, {4.0, 1.0, "0", nil},
		},
		"[{0 1 a 1} {1 1 a 2}]": {{0.0, 1.0, "0", "a 1"}, {1.0, 1.0, "0", "a 2"}}, // the last step has no next one
		"[{0 2 a 1}]": { // two GPUs
			{0.0, 1.0, "0", "a 1"}, {1.0, 1.0, "0", "a 1"}, {2.0, 1.0, "0", nil}, {0.0, 1.0, "1", "a 1"}, {1.0, 1.0, "1", "a 1"},
		},
		"[]": {{0.0, 1.0, "0", nil}, {nil, 1.0, "0", "a 1"}},
	} {
		tb := timeline(rows...)
		d, err := draw(tb, tb.Charts[0])
		if got := fmt.Sprint(d.Marks); err != nil || got != want {
			t.Errorf("marks %s, want %s (%v)", got, want, err)
		}
		tb.Runs = []table.RunRef{{ID: "1"}, {ID: "2"}}
		if d, _ := draw(tb, tb.Charts[0]); d.Marks != nil {
			t.Errorf("turns of two runs are marked: %v", d.Marks)
		}
	}
}

// Charts with the same axis zoom together, and those with another do not.
func TestGroup(t *testing.T) {
	chart := func(steps int, first float64) string {
		var rows [][]any
		for i := range steps {
			rows = append(rows, []any{first + float64(i), 1.0, "0", nil})
		}
		tb := timeline(rows...)
		d, err := draw(tb, tb.Charts[0])
		if err != nil {
			t.Fatal(err)
		}
		return d.Group
	}
	if chart(30, 0) != "" {
		t.Error("a chart without zoom has a group")
	}
	if g := chart(40, 0); g == "" || g != chart(40, 0) || g == chart(40, 1) || g == chart(50, 0) {
		t.Errorf("group %q", g)
	}
}

// A cause has one colour, whatever else the chart shows, and a colour of the palette.
func TestCausesHaveOneColour(t *testing.T) {
	inksOf := func(causes ...string) map[string]int {
		tb := &table.Table{Name: "misses",
			Columns: []table.Column{column("turn", "BIGINT"), column("tokens", "BIGINT"), column("cause", "VARCHAR")},
			Charts:  []table.Chart{{Kind: "bar", X: "turn", Y: []string{"tokens"}, Series: "cause", Stack: true}}}
		for _, c := range causes {
			tb.Rows = append(tb.Rows, []any{int64(1), int64(5), c})
		}
		d, err := draw(tb, tb.Charts[0])
		if err != nil {
			t.Fatal(err)
		}
		return d.Inks
	}
	a, b := inksOf("evicted", "new_text", "strange"), inksOf("new_text", "changed_text", "evicted")
	if a["evicted"] != b["evicted"] || a["new_text"] != b["new_text"] || len(a) != 2 || len(b) != 3 {
		t.Errorf("%v and %v", a, b)
	}
	script, err := assets.ReadFile("assets/page.js")
	if err != nil {
		t.Fatal(err)
	}
	_, palette, _ := strings.Cut(string(script), "light: [")
	palette, _, _ = strings.Cut(palette, "]")
	for column, values := range fixedInks() {
		if n := strings.Count(palette, "#"); len(values) > n {
			t.Errorf("%s has %d values, and the palette %d colours", column, len(values), n)
		}
	}
}

// An axis of shares shows the whole; one of changes does not.
func TestRatioAxis(t *testing.T) {
	for name, want := range map[string]bool{"hit_ratio": true, "change_ratio": false, "ttft_change_ratio": false, "ttft_ms": false} {
		tb := &table.Table{Name: "x", Columns: []table.Column{column("turn", "BIGINT"), column(name, "DOUBLE")},
			Rows: [][]any{{int64(1), 0.3}, {int64(2), 0.5}}, Charts: []table.Chart{{Kind: "line", X: "turn", Y: []string{name}}}}
		d, err := draw(tb, tb.Charts[0])
		if err != nil {
			t.Fatal(err)
		}
		axis, err := json.Marshal(d.Option["yAxis"])
		if got := strings.Contains(string(axis), `"max":1`); err != nil || !strings.Contains(string(axis), `"type":"value"`) || got != want {
			t.Errorf("%s: %s", name, axis)
		}
	}
}

// Lines of one series have one colour, and each figure a kind of line; a figure that nobody measured has no line.
func TestSeveralFigures(t *testing.T) {
	tb := &table.Table{Name: "ideal", Columns: []table.Column{
		column("turn", "BIGINT"), column("hit_ratio", "DOUBLE"), column("ideal_ratio", "DOUBLE"), column("series", "VARCHAR"),
		column("none_ratio", "DOUBLE"),
	}}
	for turn := range 3 {
		for _, s := range []string{"qa", "rag"} {
			tb.Rows = append(tb.Rows, []any{int64(turn), 0.5, 0.7, s, nil})
		}
	}
	d, err := draw(tb, table.Chart{Kind: "line", X: "turn", Y: []string{"hit_ratio", "ideal_ratio"}, Series: "series"})
	if got := fmt.Sprint(d.Inks); err != nil || got != "map[qa · hit ratio:0 qa · ideal ratio:0 rag · hit ratio:1 rag · ideal ratio:1]" {
		t.Errorf("colours %s (%v)", got, err)
	}
	text, err := json.Marshal(d.Option["series"])
	if option := string(text); err != nil || strings.Count(option, `"dashed"`) != 2 || strings.Count(option, `"solid"`) != 2 {
		t.Errorf("kinds of lines: %s", option)
	}
	d, err = draw(tb, table.Chart{Kind: "line", X: "turn", Y: []string{"hit_ratio", "none_ratio"}})
	option := fmt.Sprintf("%+v", d.Option["series"])
	if err != nil || strings.Contains(option, "none") || !strings.Contains(option, "hit ratio") {
		t.Errorf("series %s (%v)", option, err)
	}
}
