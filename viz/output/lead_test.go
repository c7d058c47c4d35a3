package output

import (
	"testing"

	"wb/queries/table"
)

// What a report opens with is found by the names of its tables. A comparison gives the title and the answer, and its table is shown without
// them and without its chart.
func TestLead(t *testing.T) {
	compared := &table.Table{
		Name: "compare", Title: "Against base", Answer: []string{"a: faster"}, Charts: []table.Chart{{Kind: "interval"}},
		Columns: []table.Column{{Name: "run"}}, Rows: [][]any{{"a"}, {"a"}},
	}
	var opening []*table.Table
	for _, name := range []string{"answer", "facts", "slowest_turns", "advice"} {
		opening = append(opening, &table.Table{Name: name})
	}
	one := Report{Tables: []*table.Table{{Name: "run_overview"}}, Opening: opening, Empty: []string{"stalls"}, Margin: 0.02}
	l := one.lead()
	if l.Figures != opening[0] || l.Facts != opening[1] || l.Slowest != opening[2] || l.Advice != opening[3] || l.Changes != nil ||
		l.Title != "" || l.Margin != 0.02 || len(l.Empty) != 1 {
		t.Errorf("%+v", l)
	}
	if f := one.folded(); len(f) != 5 || f[0].Name != "run_overview" || f[4].Name != "advice" {
		t.Errorf("%d tables", len(f))
	}
	two := one
	two.Tables = append(two.Tables, compared)
	if l = two.lead(); l.Changes != compared || l.Title != "a against base" || len(l.Answers) != 1 || l.Open[0] != "compare" {
		t.Errorf("%+v", l)
	}
	if f := two.folded()[1]; f.Charts != nil || f.Answer != nil || compared.Charts == nil || compared.Answer == nil {
		t.Error("the table of the comparison repeats what the page opens with, or was changed itself")
	}
	compared.Rows = append(compared.Rows, []any{"b"})
	if s := two.lead().Title; s != "2 runs against base" {
		t.Errorf("title %q", s)
	}
	compared.Title, compared.Rows = "Other", nil
	if s := two.lead().Title; s != "" {
		t.Errorf("title %q of no comparison", s)
	}
}
