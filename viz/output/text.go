package output

import (
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries/table"
	"wb/viz"
)

// Most rows of a table in the Markdown file of a report, so that the file can be pasted.
const (
	textTurns = 60
	textRows  = 20
)

// textPage gives the content of a report's Markdown file: the machine, the server and the settings, then what was measured. It is short, so
// that it can be pasted, and has no SQL. The page of one run ends with its turns.
func textPage(r Report, page viz.Page) viz.Page {
	page.Intro = nil
	tables := []*table.Table{facts(r)}
	one := len(r.Tables[0].Runs) == 1
	for _, t := range r.Tables {
		switch {
		case one && t.Name == "turn_details":
			tables = append(tables, capped(turnsOf(t), textTurns))
		case one && !slices.Contains([]string{"run_overview", "conversation_summary", "failed_turns"}, t.Name), !one && !r.Short(t):
		default:
			c := *t
			c.SQL = ""
			if one {
				c.Columns, c.Rows = t.Without("run")
			}
			tables = append(tables, capped(&c, textRows))
		}
	}
	page.Tables = tables
	return page
}

// capped gives the table with its first rows, and a note that says how many there are and which command shows them.
func capped(t *table.Table, most int) *table.Table {
	if len(t.Rows) <= most {
		return t
	}
	c := *t
	c.Rows = t.Rows[:most]
	command := ""
	if len(t.Runs) == 1 {
		command = "; wb query " + t.Name + " --runs " + plain.Quote(t.Runs[0].Name) + " shows all"
	}
	c.Notes = append(slices.Clone(t.Notes), fmt.Sprintf("%d of %d rows are here%s.", most, len(t.Rows), command))
	return &c
}

// turnsOf gives the turns of one run with the columns that most readers look for. Columns in which all rows are equal, and warm-ups, are
// left out where they say nothing.
func turnsOf(details *table.Table) *table.Table {
	t := *details
	t.Title, t.About, t.SQL, t.Charts = "Turns", "All turns that were measured, in their order.", "", nil
	t.Columns, t.Rows = nil, make([][]any, 0, len(details.Rows))
	var kept [][]any
	warmup := details.ColumnIndex("warmup")
	for _, row := range details.Rows {
		if warmup < 0 || row[warmup] != true {
			kept = append(kept, row)
			t.Rows = append(t.Rows, nil)
		}
	}
	for i, c := range details.Columns {
		switch c.Name {
		case "conversation", "turn", "prompt_tokens", "cached_tokens", "hit_ratio", "completion_tokens", "ttft_ms", "tpot_ms",
			"decode_tokens_per_s", "e2e_ms":
		case "placement", "repeat", "status", "error":
			if !slices.ContainsFunc(kept, func(row []any) bool { return row[i] != kept[0][i] }) {
				continue
			}
		default:
			continue
		}
		t.Columns = append(t.Columns, c)
		for n, row := range kept {
			t.Rows[n] = append(t.Rows[n], row[i])
		}
	}
	return &t
}

// facts gives the machine, the GPUs, the server and the settings of the runs in one table, with one row per fact.
func facts(r Report) *table.Table {
	t := &table.Table{
		Name: "system", Title: "System, server, model and settings", Runs: r.Tables[0].Runs,
		Columns: []table.Column{{Name: "part"}, {Name: "fact"}, {Name: "value"}},
	}
	for _, s := range r.System {
		switch s.Name {
		case "hosts":
			factsOf(t, "host", s, "cpu_model", "cpu_cores", "cpu_threads", "memory_total_bytes", "virtualization", "os", "kernel")
		case "gpus":
			factsOf(t, "GPU", s, "name", "memory_total_bytes", "power_limit_w", "driver_version", "cuda_version")
		case "engines":
			factsOf(t, "server", s, "kind", "version", "model", "max_model_len_tokens", "block_size_tokens", "kv_cache_size_tokens",
				"prefix_caching")
		case "settings":
			settingsOf(t, s)
		}
	}
	return t
}

// factsOf adds columns of a system table as facts. A fact that no run has is left out.
func factsOf(t *table.Table, part string, s *table.Table, columns ...string) {
	for _, name := range columns {
		i := s.ColumnIndex(name)
		if i < 0 {
			continue
		}
		var values []string
		for _, row := range s.Rows {
			if row[i] != nil {
				values = append(values, factText(name, row[i]))
			}
		}
		addFact(t, part, name, values)
	}
}

// settingsOf adds the settings of the plan and of the server's command.
func settingsOf(t, s *table.Table) {
	source, name, value := s.ColumnIndex("source"), s.ColumnIndex("name"), s.ColumnIndex("value")
	if source < 0 || name < 0 || value < 0 {
		return
	}
	for _, part := range []struct{ source, name string }{{"plan", "setting"}, {"server", "server setting"}} {
		values := map[string][]string{}
		var names []string
		for _, row := range s.Rows {
			if row[source] != part.source {
				continue
			}
			n := fmt.Sprint(row[name])
			if values[n] == nil {
				names = append(names, n)
			}
			values[n] = append(values[n], fmt.Sprint(row[value]))
		}
		for _, n := range names {
			addFact(t, part.name, n, values[n])
		}
	}
}

// addFact adds a fact with its values: one if all runs or GPUs have the same, else the first few.
func addFact(t *table.Table, part, name string, values []string) {
	if len(values) == 0 {
		return
	}
	var different []string
	for _, v := range values {
		if !slices.Contains(different, v) {
			different = append(different, v)
		}
	}
	const most = 3
	text := strings.Join(different[:min(most, len(different))], "; ")
	if n := len(different) - most; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	if part == "GPU" && name == "name" && len(different) == 1 && len(values) > len(t.Runs) && len(values)%max(len(t.Runs), 1) == 0 {
		text = fmt.Sprintf("%d × %s", len(values)/max(len(t.Runs), 1), text)
	}
	t.Rows = append(t.Rows, []any{part, name, text})
}

// factText gives memory in GiB, as the facts of a report's page do.
func factText(name string, v any) string {
	if n, ok := v.(int64); ok && strings.HasSuffix(name, "_bytes") {
		return plain.InGiB(n)
	}
	return fmt.Sprint(v)
}
