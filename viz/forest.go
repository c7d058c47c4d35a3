package viz

import (
	"fmt"
	"math"
	"slices"

	"wb/queries/table"
)

// panel is one metric of a forest plot: a line for each run with its change and interval. Changes are percentages, or percentage points
// for ratios.
type panel struct {
	ID     string     `json:"-"`
	Metric string     `json:"metric"`
	Unit   string     `json:"unit"` // % or points
	Margin float64    `json:"margin"`
	Lines  []lineView `json:"lines"`
	Text   string     `json:"-"` // the same in words
}

// lineView is one run in a panel.
type lineView struct {
	Run     string   `json:"run"`
	Verdict string   `json:"verdict"`
	Change  *float64 `json:"change"` // nil: not known
	Low     *float64 `json:"low"`
	High    *float64 `json:"high"`
	Text    string   `json:"text"`
}

// forest gives a panel for each metric, in the order of the rows. Only rows over all turns are drawn.
func forest(t *table.Table, margin float64) (panels []*panel) {
	r := reader{t}
	for i := range r.rows() {
		if r.text(i, "verdict") == "not compared" { // there is nothing to draw: notes say why
			continue
		}
		metric := r.text(i, "metric")
		at := slices.IndexFunc(panels, func(p *panel) bool { return p.Metric == metric })
		if at < 0 {
			at = len(panels)
			p := &panel{ID: fmt.Sprintf("forest-%d", at), Metric: metric, Unit: "%", Margin: 100 * margin}
			if table.UnitOf(metric) == "ratio" {
				p.Unit = "points"
			}
			panels = append(panels, p)
		}
		p := panels[at]
		l := lineView{
			Run: r.text(i, "run"), Verdict: r.text(i, "verdict"),
			Change: hundredfold(r.number(i, "change_ratio")), Low: hundredfold(r.number(i, "low_ratio")),
			High: hundredfold(r.number(i, "high_ratio")),
		}
		l.Text = l.words(p.Unit)
		p.Lines = append(p.Lines, l)
		p.Text += fmt.Sprintf("%s: %s. ", l.Run, l.Text)
	}
	return panels
}

// words says what a line shows.
func (l lineView) words(unit string) string {
	switch {
	case l.Change == nil:
		return "not known"
	case l.Low == nil || l.High == nil:
		return fmt.Sprintf("%s %s, %s: no interval", signed(*l.Change), unit, l.Verdict)
	}
	return fmt.Sprintf("%s %s (95 %%: %s to %s), %s", signed(*l.Change), unit, signed(*l.Low), signed(*l.High), l.Verdict)
}

func signed(v float64) string {
	s := fmt.Sprintf("%+.1f", v)
	if math.Abs(v) >= 100 {
		s = fmt.Sprintf("%+.0f", v)
	}
	if s == "-0.0" || s == "+0.0" {
		return "0"
	}
	return s
}

// hundredfold gives a ratio as a percentage, or nil where it is not a finite number.
func hundredfold(ratio float64) *float64 {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return nil
	}
	return new(100 * ratio)
}
