package compare

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"wb/queries/table"
)

func TestTable(t *testing.T) {
	r := quiet()
	r.Comparison.By, r.Comparison.Margin = byTurn, 0.05
	v := Verdict{Metric: Metrics()[0], Group: "turn  2", Noise: math.NaN(), Outcome: Slower, More: 3}
	v.Estimate = Estimate{Base: 10, Head: 11.0000049, Change: 0.1, Low: 0.05, High: math.NaN(), P: 0.012345678, Adjusted: 0.02}
	v.Evidence = Evidence{Sessions: 6, Processes: 4, Turns: 12}
	bare := Verdict{Metric: Metrics()[0], Group: all, Outcome: Inconclusive}
	r.Verdicts = []Verdict{v, bare}
	tb := r.Table()
	if tb.Title != "two against one" || len(tb.Runs) != 2 || !strings.Contains(tb.About, "lies within ±5 %") {
		t.Errorf("%+v", tb)
	}
	want := []any{
		"ttft", "turn 2", 10.0, 11.0, 0.1, 0.05, nil, "slower", 0.01235, 0.02, nil,
		int64(6), int64(4), int64(12), int64(3), "ttft · turn 2",
	}
	if !reflect.DeepEqual(tb.Rows[0], want) {
		t.Errorf("%v, want %v", tb.Rows[0], want)
	}
	if got := fmt.Sprint(tb.Rows[1][11:]); got != "[0 <nil> 0 <nil> ttft · all]" {
		t.Error(got)
	}
	units := ""
	for _, c := range tb.Columns {
		units += c.Unit + " "
	}
	if units != "    ratio ratio ratio    ratio      " {
		t.Errorf("units %q", units)
	}
	for _, c := range append(tb.Charts, Chart("metric", "run")) {
		for _, name := range c.References() {
			if tb.ColumnIndex(name) < 0 && name != "run" {
				t.Errorf("a chart reads %s, which is not a column", name)
			}
		}
	}
}

func TestSideName(t *testing.T) {
	for want, s := range map[string]Side{
		"baseline":  {Selector: "latest", Runs: []table.RunRef{{Name: "baseline"}}},
		"tag:apc=1": {Selector: "tag:apc=1", Runs: []table.RunRef{{Name: "a"}, {Name: "b"}}},
	} {
		if got := s.Name(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	got, err := Comparison{Metrics: []string{"ttft", "tpot", "ttft"}}.metrics()
	if err != nil || len(got) != 2 || got[1].Name != "tpot" {
		t.Errorf("%v (%v)", got, err)
	}
	for _, c := range []struct {
		c    Comparison
		want string
	}{
		{Comparison{}, "compare runs: no metric is named"},
		{Comparison{Metrics: []string{"nope"}}, `choose metric "nope": no metric has this name; known are ttft, itl_p50,`},
		{Comparison{Metrics: []string{"tfft"}}, `choose metric "tfft": no metric has this name; did you mean ttft?`},
		{Comparison{Metrics: []string{"ttft"}, By: "moon"}, `compare by "moon": wants turn, context or conversation`},
	} {
		if _, err := c.c.metrics(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
