package viz

import (
	"fmt"
	"math"
	"slices"
)

// mark is a stretch of the horizontal axis with a label, such as the time of a turn.
type mark struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Label string  `json:"label"`
}

// marksOf gives the stretches of the axis in which the column of marks has one value. NULL is no mark. A stretch ends where the next row
// begins, so that a turn of one row has a width.
func marksOf(src source) (marks []mark) {
	type row struct {
		at    float64
		label string
	}
	var rows []row
	for _, r := range src.t.Rows {
		x, ok := placeOf(src.t.Columns[src.x], r[src.x], "value")
		if !ok {
			continue
		}
		label := ""
		if v := r[src.marks]; v != nil {
			label = printable(full(src.t.Columns[src.marks], v))
		}
		rows = append(rows, row{x.at, label})
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	for i, r := range rows {
		if r.label == "" {
			continue
		}
		end := r.at
		if k := slices.IndexFunc(rows[i:], func(x row) bool { return x.at > r.at }); k > 0 {
			end = rows[i+k].at
		}
		if n := len(marks); n > 0 && marks[n-1].Label == r.label && marks[n-1].To >= r.at {
			marks[n-1].To = end
			continue
		}
		if n := len(marks); n > 0 && marks[n-1].From == r.at { // another series has the same place
			continue
		}
		marks = append(marks, mark{r.at, end, r.label})
	}
	return marks
}

// group names the horizontal axis of a chart that can be zoomed. Charts with the same axis have the same name; "" where there is nothing
// to zoom.
func group(d *drawing, places []place) string {
	if len(places) <= zoomAbove {
		return ""
	}
	if d.XType == "category" {
		return fmt.Sprintf("%s %d %s %s", d.XLabel, len(places), places[0].label, places[len(places)-1].label)
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, p := range places {
		least, most = min(least, p.at), max(most, p.at)
	}
	return fmt.Sprintf("%s %s %v %v", d.XLabel, d.XType, least, most)
}

// fixedInks gives the values, by the name of their column, that have one colour in every chart. The numbers are those of the palette in
// page.js. Values with the same colour belong to different engines, so that they do not meet in one run.
func fixedInks() map[string][][]string {
	return map[string][][]string{
		"cause": {{"new_text"}, {"changed_text"}, {"block_rounding", "not_restorable"}, {"template_rewrote_history"}, {"retokenized"},
			{"evicted", "slot_taken"}, {"isolation"}, {"unknown"}, {"last_token"}, {"hybrid_state", "host_memory_full"},
			{"context_shifted"}, {"small_share"}},
		"phase":  {{"before"}, {"with"}, {"after"}},
		"series": {{"cold"}, {"cached"}, {"partly"}},
	}
}

// inkCount is how many colours of the palette series take in turn; the ninth is only for fixed values.
const inkCount = 8

// severalColumns says whether several values and several figures of each are drawn.
func severalColumns(list []*series) bool {
	column, nth := 0, 0
	for _, s := range list {
		column, nth = max(column, s.column), max(nth, s.nth)
	}
	return column > 0 && nth > 0
}

// inks gives the colours of the series whose values mean the same in every chart.
func inks(src source, list []*series) map[string]int {
	if src.series < 0 {
		return nil
	}
	fixed := fixedInks()[src.t.Columns[src.series].Name]
	out := map[string]int{}
	several := src.chart.Kind == "line" && severalColumns(list)
	for _, s := range list {
		if several {
			out[s.name] = s.nth % inkCount
		}
		if i := slices.IndexFunc(fixed, func(names []string) bool { return slices.Contains(names, s.name) }); i >= 0 {
			out[s.name] = i
		}
	}
	return out
}
