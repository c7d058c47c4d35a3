package output

import (
	"fmt"
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
	for _, t := range r.Tables {
		if t.Name == "compare" {
			l.Changes, l.Title, l.Open = t, comparedTitle(t), []string{"compare"}
		}
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
