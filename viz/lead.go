package viz

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"wb/queries/table"
)

// Lead is what a page opens with instead of its tables: what they say, in short. Its tables are read by the names of their columns. Any of
// them may be nil. A page with a lead folds its tables.
type Lead struct {
	Title   string       // of the page; "" for that of Page
	Answers []string     // a comparison in words
	Missing []string     // commands that would record what an answer lacks
	Figures *table.Table // columns run, figure, shown (NULL where it is not known) and remark; tiles, of a page about one run
	Facts   *table.Table // columns run, fact and value
	Slowest *table.Table // columns run, ttft_ms and summary
	Advice  *table.Table // columns run, finding, evidence, advice and command; rows of one finding stand together
	Changes *table.Table // columns run, metric, base, head, change_ratio, low_ratio, high_ratio and verdict; a forest plot
	Margin  float64      // changes within it do not matter; 0.02 for 2 %
	Open    []string     // names of tables that are not folded
	Empty   []string     // names of tables that were left out because they have no rows
}

const (
	mostSlow     = 5 // slowest turns that a lead shows
	mostEvidence = 3 // runs that one finding shows
)

// leadView is a lead as the page's template shows it.
type leadView struct {
	Answers  []string
	Missing  []string
	Tiles    []tileView
	Facts    []factView
	Slowest  []string
	Findings []findingView
	Forest   []*panel
	Margin   string
	Empty    []string
}

type tileView struct {
	Name, Value, Unit, Remark string
	Known                     bool
}

type factView struct{ Name, Value string }

type findingView struct {
	Title, Advice, Command string
	Evidence               []evidenceView
	More                   int // runs with the same finding that are not shown
}

type evidenceView struct{ Run, Text string }

// leadOf prepares a lead for the template. All texts are escaped for people; the template escapes them for HTML.
func leadOf(l *Lead) *leadView {
	v := &leadView{Margin: fmt.Sprintf("%.3g", 100*l.Margin), Empty: l.Empty}
	for _, s := range l.Answers {
		v.Answers = append(v.Answers, printable(s))
	}
	for _, s := range l.Missing {
		v.Missing = append(v.Missing, printable(s))
	}
	several := runsOf(l.Facts) > 1
	if !several {
		v.Tiles = tiles(l.Figures)
	}
	v.Facts = facts(l.Facts)
	slow := reader{l.Slowest}
	order := make([]int, slow.rows())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(slow.number(b, "ttft_ms"), slow.number(a, "ttft_ms")) })
	for _, i := range order[:min(len(order), mostSlow)] {
		text := slow.text(i, "summary")
		if several {
			text = slow.text(i, "run") + ", " + text
		}
		v.Slowest = append(v.Slowest, text)
	}
	v.Findings = findings(l.Advice, several)
	v.Forest = forest(l.Changes, l.Margin)
	return v
}

// reader reads the cells of a table by the names of their columns. A column that is not there is empty.
type reader struct{ t *table.Table }

func (r reader) rows() int {
	if r.t == nil {
		return 0
	}
	return len(r.t.Rows)
}

// text gives a cell as escaped text, or "" for NULL.
func (r reader) text(row int, column string) string {
	if s, ok := r.t.Value(row, column).(string); ok {
		return printable(s)
	}
	return ""
}

// number gives a figure, or NaN where it is not known.
func (r reader) number(row int, column string) float64 {
	if f, ok := number(table.Column{}, r.t.Value(row, column)); ok {
		return f
	}
	return math.NaN()
}

func runsOf(t *table.Table) int {
	names, r := map[string]bool{}, reader{t}
	for i := range r.rows() {
		names[r.text(i, "run")] = true
	}
	return len(names)
}

func tiles(t *table.Table) (out []tileView) {
	r := reader{t}
	for i := range r.rows() {
		v := tileView{Name: r.text(i, "figure"), Value: r.text(i, "shown"), Remark: r.text(i, "remark")}
		if v.Known = v.Value != ""; v.Known {
			v.Value, v.Unit = splitUnit(v.Value)
		} else {
			v.Value = null
		}
		out = append(out, v)
	}
	return out
}

// splitUnit splits a figure such as "14.2 ms" into its number and its unit.
func splitUnit(s string) (value, unit string) {
	for i, r := range s {
		if r == ' ' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// facts gives the facts that all runs have in common, and the names of the others.
func facts(t *table.Table) (out []factView) {
	r := reader{t}
	runs := runsOf(t)
	var order []string
	values := map[string][]string{}
	for i := range r.rows() {
		name := r.text(i, "fact")
		if values[name] == nil {
			order = append(order, name)
		}
		values[name] = append(values[name], r.text(i, "value"))
	}
	var different []string
	for _, name := range order {
		if all := values[name]; len(all) < runs || len(slices.Compact(slices.Clone(all))) > 1 {
			if name != "When" && name != "Command" { // no two runs have the same
				different = append(different, name)
			}
			continue
		}
		out = append(out, factView{name, values[name][0]})
	}
	if len(different) > 0 {
		out = append(out, factView{"Different", strings.Join(different, ", ")})
	}
	return out
}

func findings(t *table.Table, several bool) (out []findingView) {
	r := reader{t}
	for i := range r.rows() {
		title := r.text(i, "finding")
		if len(out) == 0 || out[len(out)-1].Title != title {
			out = append(out, findingView{Title: title, Advice: r.text(i, "advice"), Command: r.text(i, "command")})
		}
		last := &out[len(out)-1]
		if len(last.Evidence) == mostEvidence {
			last.More++
			continue
		}
		e := evidenceView{Text: r.text(i, "evidence")}
		if several {
			e.Run = r.text(i, "run")
		}
		last.Evidence = append(last.Evidence, e)
	}
	return out
}

// pageAssets joins the style and the script of all pages with those of leads.
func pageAssets() (css template.CSS, script template.JS, err error) {
	for _, name := range []string{"page.css", "lead.css"} {
		b, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return "", "", err
		}
		css += template.CSS(b)
	}
	for _, name := range []string{"page.js", "lead.js"} {
		b, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return "", "", err
		}
		script += template.JS(b)
	}
	return css, script, nil
}
