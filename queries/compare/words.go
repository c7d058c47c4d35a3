package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"wb/queries/table"
)

// aboutText explains the columns that are not plain. "wb compare --help" and the documentation explain the others.
func aboutText(margin float64) string {
	return fmt.Sprintf("change_ratio: head over base, less 1 (for hit_ratio the difference), with its 95 %% interval. "+
		"It is estimated from equal turns, and is not the ratio of the two medians beside it. "+
		"equivalent: the interval lies within ±%s %%.", decimal(100*margin, 1))
}

// columnNames are the columns of the table. A name ends in its unit.
func columnNames() []string {
	return []string{
		"metric", "group", "base", "head", "change_ratio", "low_ratio", "high_ratio", "verdict", "p", "p_holm",
		"noise_ratio", "sessions", "processes", "turns", "more_sessions", "compared",
	}
}

// Chart draws changes with their intervals over the column x, with one series for each value of the column series; "" for none.
func Chart(x, series string) table.Chart {
	y := []string{"change_ratio", "low_ratio", "high_ratio"}
	return table.Chart{Kind: "interval", X: x, Y: y, Series: series, Title: "Change with its 95 % interval"}
}

// tableOf gives a result as a table for people.
func tableOf(r *Result) *table.Table {
	t := &table.Table{
		Name: "compare", Title: fmt.Sprintf("%s against %s", r.Head.Name(), r.Base.Name()), About: aboutText(r.Comparison.Margin),
		SQL: r.Base.SQL, Runs: slices.Concat(r.Base.Runs, r.Head.Runs), Charts: []table.Chart{Chart("compared", "")},
	}
	for _, name := range columnNames() {
		t.Columns = append(t.Columns, table.Column{Name: name, Unit: table.UnitOf(name)})
	}
	answer := r.Answer()
	t.Answer, t.Missing = []string{answer.Line}, answer.Commands
	for _, v := range r.Verdicts {
		t.Rows = append(t.Rows, rowOf(v, r.Comparison.By != ""))
	}
	for _, w := range r.Warnings {
		if n, ok := w.(NotTheSame); ok {
			t.NotSame = n.List()
		}
		t.Notes = append(t.Notes, w.Note())
	}
	return t
}

// rowOf gives a verdict as a row, in the order of columnNames.
func rowOf(v Verdict, grouped bool) []any {
	label := v.Metric.Name
	if grouped {
		label += " · " + groupLabel(v.Group)
	}
	return []any{
		v.Metric.Name, groupLabel(v.Group), cell(v.Base), cell(v.Head), cell(v.Change), cell(v.Low), cell(v.High), string(v.Outcome),
		cell(v.P), cell(v.Adjusted), cell(v.Noise), int64(v.Sessions), some(v.Processes), int64(v.Turns), some(v.More), label,
	}
}

// cell rounds a figure to five decimals. A figure that is not known is NULL.
func cell(f float64) any {
	if math.IsNaN(f) {
		return nil
	}
	return math.Round(f*1e5) / 1e5
}

// some gives a count, or NULL for 0.
func some(n int) any {
	if n <= 0 {
		return nil
	}
	return int64(n)
}

// groupLabel gives a group without the spaces that make groups sort by number.
func groupLabel(group string) string { return strings.Join(strings.Fields(group), " ") }

// NoiseFound says how much equal runs differed, one line per metric. There is no line where too few sessions were compared.
func NoiseFound(verdicts []Verdict) (lines []string) {
	for _, v := range verdicts {
		most, unit := 100*max(-v.Low, v.High), "%"
		if v.Metric.Ratio {
			unit = "points"
		}
		if v.Enough {
			lines = append(lines, fmt.Sprintf("noise of %s: up to %.1f %s", v.Metric.Name, most, unit))
		}
	}
	return lines
}
