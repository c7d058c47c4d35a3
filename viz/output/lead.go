package output

import (
	"fmt"
	"slices"
	"strings"

	"wb/queries/table"
	"wb/viz"
)

// lead gives what the page of a report opens with: its tables by their names, and which tables are not folded.
func (r Report) lead() *viz.Lead {
	l := &viz.Lead{Margin: r.Margin, Empty: r.Empty}
	for _, t := range r.Opening {
		switch t.Name {
		case "answer":
			l.Figures = t
		case "facts":
			l.Facts = t
		case "slowest_turns":
			l.Slowest = t
		case "advice":
			l.Advice = t
		}
	}
	l.Open = []string{"cache_hit_by_turn", "ttft_by_turn"}
	if i := r.comparison(); i >= 0 {
		t := r.Tables[i]
		l.Changes, l.Answers, l.Missing, l.Title, l.Open = t, t.Answer, t.Missing, comparedTitle(t), []string{t.Name}
	}
	return l
}

// comparedTitle gives the title of a page that compares runs with one of them: the table's title begins with "Against".
func comparedTitle(t *table.Table) string {
	heads := map[any]bool{}
	at := t.ColumnIndex("run")
	for _, row := range t.Rows {
		heads[row[at]] = true
	}
	base, found := strings.CutPrefix(t.Title, "Against ")
	switch {
	case !found || len(heads) == 0:
		return ""
	case len(heads) == 1:
		return fmt.Sprintf("%s against %s", t.Rows[0][at], base)
	}
	return fmt.Sprintf("%d runs against %s", len(heads), base)
}

// comparison gives the place of the comparison of several runs in Tables, or -1.
func (r Report) comparison() int {
	return slices.IndexFunc(r.Tables, func(t *table.Table) bool { return t.Name == "compare" })
}

// folded gives the tables below a lead: those of Opening come last, for their SQL. What the lead says of the comparison is not said again.
func (r Report) folded() []*table.Table {
	tables := slices.Concat(r.Tables, r.Opening)
	if i := r.comparison(); i >= 0 {
		plain := *tables[i]
		plain.Charts, plain.Answer, plain.Missing = nil, nil, nil
		tables[i] = &plain
	}
	return tables
}
