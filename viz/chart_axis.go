package viz

import (
	"math"
	"strings"
	"time"

	"wb/queries/table"
)

const dayMs = 24 * 60 * 60 * 1000

// axisType is value, log, time or category. It depends on the cells of the column.
func axisType(t *table.Table, i int, c table.Chart) string {
	if c.Kind == "bar" || c.Kind == "interval" {
		return "category"
	}
	times, figures, others := 0, 0, 0
	moments := map[time.Time]bool{}
	for _, row := range t.Rows {
		if row[i] == nil {
			continue
		}
		if m, ok := row[i].(time.Time); ok {
			times++
			moments[m] = true
		} else if _, ok := number(t.Columns[i], row[i]); ok {
			figures++
		} else {
			others++
		}
	}
	switch {
	case others > 0 || times > 0 && figures > 0 || times+figures == 0:
		return "category"
	case len(moments) == 1 && t.Columns[i].Type == "DATE": // an axis of hours around one midnight would show nothing
		return "category"
	case times > 0:
		return "time"
	case c.LogX:
		return "log"
	}
	return "value"
}

// placeOf gives the place of a cell on the axis. It returns false if the cell has none.
func placeOf(c table.Column, v any, axis string) (place, bool) {
	p := place{at: math.NaN()}
	if f, ok := number(c, v); ok {
		p.at = f
	} else if tm, ok := v.(time.Time); ok {
		p.at = float64(tm.UnixMicro()) / 1000
	}
	if axis != "category" {
		return p, !math.IsNaN(p.at) && !math.IsInf(p.at, 0)
	}
	switch p.label = printable(full(c, v)); {
	case v == nil:
		p.label = null
	case p.label == "":
		p.label = "(empty)"
	}
	if math.IsNaN(p.at) {
		p.at = math.Inf(1) // sorted after all figures
	}
	return p, true
}

// whole says whether all places are multiples of a unit.
func whole(places []place, unit float64) bool {
	for _, p := range places {
		if p.at/unit != math.Trunc(p.at/unit) {
			return false
		}
	}
	return true
}

// axisLabel makes the label of a column: "ttft_ms" becomes "ttft (ms)".
func axisLabel(c table.Column) string {
	name := c.Name
	if name == "compared" { // it holds names of different things
		return ""
	}
	if c.Unit != "" && c.Unit != "ratio" {
		for i := len(name) - 1; i > 0; i-- {
			if name[i] == '_' && table.UnitOf("x"+name[i:]) == c.Unit {
				name = name[:i]
				break
			}
		}
	}
	name = printable(strings.ReplaceAll(name, "_", " "))
	if c.Unit != "" && c.Unit != "ratio" {
		name += " (" + c.Unit + ")"
	}
	if strings.HasPrefix(c.Type, "TIMESTAMP") {
		name += " (UTC)"
	}
	return name
}

// commonUnit is the unit of all columns, or "" if they differ.
func commonUnit(t *table.Table, yis []int) string {
	unit := t.Columns[yis[0]].Unit
	for _, i := range yis {
		if t.Columns[i].Unit != unit {
			return ""
		}
	}
	return unit
}

// seriesName names a run. Runs of the same name get the beginning of their id, too. Among real runs the simulated ones are marked.
func seriesName(t *table.Table, c table.Column, v any) string {
	if v == nil {
		return null
	}
	name := printable(full(c, v))
	if name == "" {
		return "(empty)"
	}
	s, ok := v.(string)
	if !ok || c.Name != "run" && c.Name != "run_id" {
		return name
	}
	mixed, sameName := false, 0
	var run *table.RunRef
	for i, r := range t.Runs {
		mixed = mixed || r.Simulated != t.Runs[0].Simulated
		if r.ID == s {
			run = &t.Runs[i]
		}
	}
	if run != nil && run.Name != "" {
		for _, r := range t.Runs {
			if r.Name == run.Name {
				sameName++
			}
		}
		name = printable(run.Name)
		if sameName > 1 {
			name += " " + run.ID[:min(8, len(run.ID))]
		}
	}
	if known, simulated := lookupRun(t, s); mixed && known && simulated {
		name += " (simulated)"
	}
	return name
}
