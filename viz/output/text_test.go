package output

import (
	"fmt"
	"strings"
	"testing"

	"wb/queries/table"
	"wb/viz"
)

func reportOf(runs []table.RunRef, turns int) Report {
	overview := &table.Table{Name: "run_overview", SQL: "SELECT 1", Runs: runs, Columns: []table.Column{{Name: "run"}, {Name: "turns"}}}
	details := &table.Table{Name: "turn_details", SQL: "SELECT 2", Runs: runs, Columns: []table.Column{{Name: "conversation"}, {Name: "turn"},
		{Name: "warmup"}, {Name: "status"}, {Name: "server_queue_ms"}}, Rows: [][]any{{"warm", int64(1), true, "ok", 1.0}}}
	hosts := &table.Table{Name: "hosts", Columns: []table.Column{{Name: "run"}, {Name: "cpu_model"}, {Name: "memory_total_bytes"}}}
	settings := &table.Table{Name: "settings", Columns: []table.Column{{Name: "run"}, {Name: "source"}, {Name: "name"}, {Name: "value"}}}
	for i, r := range runs {
		overview.Rows = append(overview.Rows, []any{r.Name, int64(turns)})
		hosts.Rows = append(hosts.Rows, []any{r.Name, "Epyc", int64(32 << 30)})
		settings.Rows = append(settings.Rows, []any{r.Name, "plan", "max_tokens", fmt.Sprint(64 + i)}, []any{r.Name, "software", "go", "1"})
	}
	for i := range turns {
		details.Rows = append(details.Rows, []any{"talk", int64(i + 1), false, "ok", 1.0})
	}
	return Report{Tables: []*table.Table{overview, details, {Name: "itl_percentiles", Runs: runs, Rows: [][]any{{1}}}},
		System: []*table.Table{hosts, settings}, Short: func(t *table.Table) bool { return t.Name == "run_overview" }}
}

// The Markdown file of a run begins with machine and settings, has its turns, and is short.
func TestTextPage(t *testing.T) {
	for _, tt := range []struct {
		turns int
		note  string
	}{{34, ""}, {textTurns, ""}, {400, "60 of 400 rows are here; wb query turn_details --runs 'a b' shows all."}} {
		r := reportOf([]table.RunRef{{ID: "1", Name: "a b"}}, tt.turns)
		p := textPage(r, viz.Page{Tables: r.Tables})
		var names []string
		for _, x := range p.Tables {
			names = append(names, x.Name)
			if x.SQL != "" {
				t.Errorf("%s has SQL", x.Name)
			}
		}
		if got := strings.Join(names, " "); got != "system run_overview turn_details" {
			t.Errorf("tables are %s", got)
		}
		if got := fmt.Sprint(p.Tables[0].Rows); got != "[[host cpu_model Epyc] [host memory_total_bytes 32.0 GiB] [setting max_tokens 64]]" {
			t.Errorf("facts are %s", got)
		}
		turns := p.Tables[2]
		if len(turns.Rows) != min(tt.turns, textTurns) || strings.Join(turns.Notes, "") != tt.note || len(turns.Columns) != 2 {
			t.Errorf("%d turns: %d rows, columns %v, notes %q", tt.turns, len(turns.Rows), turns.Columns, turns.Notes)
		}
	}
}

// A fact that differs between runs has all its values.
func TestTextPageOfRuns(t *testing.T) {
	var runs []table.RunRef
	for i := range 5 {
		runs = append(runs, table.RunRef{ID: fmt.Sprint(i), Name: fmt.Sprint("run", i)})
	}
	r := reportOf(runs, 3)
	p := textPage(r, viz.Page{Tables: r.Tables})
	if len(p.Tables) != 2 || len(p.Tables[1].Columns) != 2 {
		t.Fatalf("%d tables", len(p.Tables))
	}
	if got := fmt.Sprint(p.Tables[0].Rows[2]); got != "[setting max_tokens 64; 65; 66; and 2 more]" {
		t.Errorf("a setting that differs: %s", got)
	}
}
