//go:build duckdb_arrow

package queries

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/viz"
)

// lengthen gives runs and conversations of a table long names.
func lengthen(t *table.Table) {
	names := strings.NewReplacer(fixture.Late, "a-run-whose-name-lists-all-its-settings "+fixture.LateID[:8],
		fixture.Early, "another-run-whose-name-lists-all-its-settings "+fixture.EarlyID[:8])
	for _, row := range t.Rows {
		for i, v := range row {
			s, ok := v.(string)
			switch {
			case ok && t.Columns[i].Name == "conversation":
				row[i] = "a-conversation-about-" + s
			case ok && t.Columns[i].Name == "run_id":
			case ok:
				row[i] = names.Replace(s)
			}
		}
	}
}

// tooWide gives the lines of a text that are wider than a terminal.
func tooWide(text string, width int) (lines []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); runewidth.StringWidth(l) > width {
			lines = append(lines, l)
		}
	}
	return lines
}

// Every report fits the usual terminals. Its first column and the names that users type are whole, or are said to be left out.
func TestEveryReportFits(t *testing.T) {
	db := fixture.History(t)
	names, err := Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	grids := 0
	for _, name := range names {
		q, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		runs := "all"
		if !slices.ContainsFunc(q.Vars, func(v Var) bool { return v.Name == RunsVar }) {
			runs = ""
		}
		tb, err := q.Run(context.Background(), db, Options{Runs: runs})
		if err != nil {
			t.Fatal(err)
		}
		for _, long := range []bool{false, true} {
			if long {
				lengthen(tb)
			}
			if len(tb.Rows) > 0 {
				grids++
			}
			for _, width := range []int{80, 120, 200} {
				var b strings.Builder
				if err := viz.Render(&b, "table", viz.Page{Tables: []*table.Table{tb}}, viz.Options{Width: width}); err != nil {
					t.Fatal(err)
				}
				got := b.String()
				for _, l := range tooWide(got, width) {
					t.Errorf("%s at %d columns: %s", name, width, l)
				}
				if missing := missingNames(tb, got); len(missing) > 0 {
					t.Errorf("%s at %d columns lacks %q:\n%s", name, width, missing, got)
				}
			}
		}
	}
	if grids < len(names) {
		t.Errorf("only %d of %d tables have rows", grids, 2*len(names))
	}
}

// missingNames gives the cells of the first column, and names of runs and conversations, that a text does not hold whole.
func missingNames(t *table.Table, text string) (missing []string) {
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	words := strings.Fields(text)
	whole := squeeze(text)
	for _, row := range t.Rows {
		for i, c := range t.Columns {
			s, ok := row[i].(string)
			if !ok || i > 0 && c.Name != "run" && c.Name != "conversation" || strings.Contains(whole, squeeze(s)) {
				continue
			}
			joined := i == 0 && !slices.ContainsFunc(strings.Fields(s), func(w string) bool { return w != "·" && !slices.Contains(words, w) })
			if !joined { // a label whose parts are all in other columns is not shown twice
				missing = append(missing, s)
			}
		}
	}
	return missing
}
