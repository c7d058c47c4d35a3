package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

// Names of the tables of Opening.
const (
	AnswerTable  = "answer"
	FactsTable   = "facts"
	SlowestTable = "slowest_turns"
	AdviceTable  = "advice"
)

// Opening gives what a report opens with, in four tables with one or more rows for each run:
//
//   - answer: the figures that matter most. Columns run, figure, value, unit, shown (value and unit for people; NULL where the figure is
//     not known) and remark (what the figure is made of, or why it is not known).
//   - facts: machine, engine, model and settings. Columns run, fact, value.
//   - slowest_turns: the five turns with the longest TTFT, with their cause in words in the column summary.
//   - advice: what makes figures doubtful, what costs time, and what to do. Columns run, finding, evidence, advice and command.
//
// tables are those of Tables: the remarks of drift become advice. flags are added to each command, such as " --db FILE".
func Opening(ctx context.Context, db *store.DB, selector string, tables []*table.Table, flags string) ([]*table.Table, error) {
	read := map[string]*table.Table{}
	for _, s := range []struct{ name, title string }{
		{"figures", "Key figures"}, {"facts", "Machine, engine, model and settings"}, {"slowest", "Slowest turns"},
		{"causes", "Causes"}, {"events", "Events"}, {"stalls", "Stalls"},
	} {
		t, err := queries.Internal("report_"+s.name, s.name, s.title).Run(ctx, db, queries.Options{Runs: selector})
		if err != nil {
			return nil, err
		}
		t.Notes = nil // the tables of the report have them
		read[s.name] = t
	}
	a := adviser{flags: flags, runs: read["figures"].Runs}
	a.advise(rows(read["figures"]), rows(read["causes"]), rows(read["events"]), rows(read["stalls"]), rows(named(tables, "drift")))
	facts := read["facts"]
	facts.Name = FactsTable
	return []*table.Table{answer(read["figures"]), facts, slowest(read["slowest"]), a.table(read["figures"])}, nil
}

// row is one row of a table, by the names of its columns.
type row map[string]any

func rows(t *table.Table) (out []row) {
	if t == nil {
		return nil
	}
	for _, cells := range t.Rows {
		r := row{}
		for i, c := range t.Columns {
			r[c.Name] = cells[i]
		}
		out = append(out, r)
	}
	return out
}

// number gives a figure; ok is false where it is not known.
func (r row) number(name string) (f float64, ok bool) {
	switch v := r[name].(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// count gives a number of things, or 0 where it is not known.
func (r row) count(name string) int {
	f, _ := r.number(name)
	return int(f)
}

func (r row) text(name string) string {
	s, _ := r[name].(string)
	return s
}

// newTable makes a table about the runs of another, with its SQL.
func newTable(of *table.Table, name, title, about string, columns ...table.Column) *table.Table {
	for i := range columns {
		columns[i].Unit = table.UnitOf(columns[i].Name)
	}
	return &table.Table{Name: name, Title: title, About: about, SQL: of.SQL, Params: of.Params, Runs: of.Runs, Columns: columns}
}

func textColumn(name string) table.Column { return table.Column{Name: name, Type: "VARCHAR"} }

// answer gives the figures of each run.
func answer(figures *table.Table) *table.Table {
	t := newTable(figures, AnswerTable, "Key figures",
		"The figures that matter most. remark says what a figure is made of, or why it is not known.",
		textColumn("run"), textColumn("figure"), table.Column{Name: "value", Type: "DOUBLE"}, textColumn("unit"), textColumn("shown"),
		textColumn("remark"))
	for _, r := range rows(figures) {
		for _, f := range figuresOf(r) {
			cells := []any{r.text("run"), f.name, nil, f.unit, nil, f.remark}
			if f.known {
				cells[2], cells[4] = f.value, f.shown
			}
			t.Rows = append(t.Rows, cells)
		}
	}
	return t
}

// figure is one of the figures that a report opens with.
type figure struct {
	name, unit, shown, remark string
	value                     float64
	known                     bool
}

// figuresOf gives the figures of a run, known or not, always in the same order.
func figuresOf(r row) []figure {
	turns := plain.Count(r.count("turns"), "turn")
	none := ""
	if r.count("turns") == 0 {
		none = "no measured turn"
	}
	largest, _ := r.number("ttft_max_ms")
	rate, _ := r.number("decode_p50_tokens_per_s")
	ideal, hasIdeal := r.number("block_ideal_ratio")
	hit := plain.Comma(r.count("cached_tokens")) + " of " + plain.Comma(r.count("prompt_tokens")) + " prompt tokens"
	if hasIdeal {
		hit += fmt.Sprintf("; %s %s", allowed(r), percent(ideal))
	}
	if r["prefix_caching"] == false {
		hit = "prefix caching is off"
	}
	busy, _ := r.number("busy_s")
	joules, _ := r.number("energy_j")
	return []figure{
		r.figure("TTFT p50", "ttft_p50_ms", "ms", "median of "+turns, cmp.Or(none, "no turn has a first token")),
		r.figure("TTFT p99", "ttft_p99_ms", "ms", "largest "+shown(largest, "ms"), cmp.Or(none, "no turn has a first token")),
		r.figure("Time per token", "tpot_p50_ms", "ms", "median TPOT; a stream gives "+shown(rate, "tokens/s"),
			cmp.Or(none, "how many tokens came when is not known")),
		r.figure("Hit ratio", "hit_ratio", "ratio", hit, cmp.Or(none, "the server does not report cached tokens")),
		r.figure("Throughput", "completion_tokens_per_s", "tokens/s",
			plain.Comma(r.count("completion_tokens"))+" tokens in "+shown(busy, "s"), cmp.Or(none, "the server does not report completion tokens")),
		r.figure("Energy per token", "energy_per_token_j", "J", shown(joules, "J")+" in all", cmp.Or(none, noEnergy(r))),
	}
}

func (r row) figure(name, column, unit, remark, unknown string) figure {
	v, ok := r.number(column)
	if !ok {
		return figure{name: name, unit: unit, remark: unknown}
	}
	return figure{name: name, unit: unit, value: v, shown: shown(v, unit), remark: remark, known: true}
}

// noEnergy says why the energy of a run is not known.
func noEnergy(r row) string {
	switch {
	case r.count("gpus") == 0:
		return "no GPU that wb can read"
	case r.text("sample_hz") == "0":
		return "no samples (--sample-hz 0)"
	}
	return "the GPU has no energy counter, or the turns were too short"
}

// selectorOf gives a selector of one run that a shell takes as it is: its name, or the start of its id.
func selectorOf(runs []table.RunRef, name string) string {
	i := slices.IndexFunc(runs, func(r table.RunRef) bool { return r.Name == name })
	if plain.Quote(name) == name || i < 0 {
		return name
	}
	return runs[i].ID[:min(8, len(runs[i].ID))]
}

// sentence joins the parts that are not empty.
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// named gives the table of that name, or nil.
func named(tables []*table.Table, name string) *table.Table {
	if i := slices.IndexFunc(tables, func(t *table.Table) bool { return t.Name == name }); i >= 0 {
		return tables[i]
	}
	return nil
}
