package viz

import (
	"math"
	"strings"
	"testing"

	"wb/queries/table"
)

// leadPage is the page of two runs that are compared with a third, with everything that a lead can show.
func leadPage() Page {
	p := gallery()
	text := func(names ...string) (out []table.Column) {
		for _, n := range names {
			out = append(out, column(n, "VARCHAR"))
		}
		return out
	}
	const hostile = `</script><script>alert(1)</script>`
	p.Lead = &Lead{
		Title: "2 runs against base", Answers: []string{"ttft 20 % lower, faster" + hostile}, Margin: 0.02,
		Figures: &table.Table{Name: "answer", Columns: text("run", "figure", "shown", "remark"), Rows: [][]any{
			{"a", "TTFT p50", "52.1 ms", "median of 34 turns"}, {"a", "Energy per token", nil, "no GPU that wb can read"},
		}},
		Facts: &table.Table{Name: "facts", Columns: text("run", "fact", "value"), Rows: [][]any{
			{"a", "Machine", "vm" + hostile}, {"a", "Tags", "apc=on"},
		}},
		Slowest: &table.Table{
			Name: "slowest_turns", Columns: append(text("run", "summary"), column("ttft_ms", "DOUBLE")),
			Rows: [][]any{{"a", "qa turn 5: 98.8 ms, changed text", 98.8}, {"a", "qa turn 6: 120 ms, new text", 120.0}},
		},
		Advice: &table.Table{Name: "advice", Columns: text("run", "finding", "evidence", "advice", "command"), Rows: [][]any{
			{"a", "Turns failed", "1 of 13 turns", "none counts", "wb query failed_turns --runs a"},
		}},
		Changes: &table.Table{
			Name: "compare", Columns: append(text("run", "metric", "verdict"), column("change_ratio", "DOUBLE"),
				column("low_ratio", "DOUBLE"), column("high_ratio", "DOUBLE")),
			Rows: [][]any{
				{"a", "ttft", "faster", -0.2, -0.25, -0.1}, {"b", "ttft", "slower", 0.3, 0.2, 0.4},
				{"a", "tpot", "equivalent", 0.001, -0.01, 0.01}, {"b", "tpot", "inconclusive", 0.05, nil, nil},
				{"a", "hit_ratio", "faster", 0.84, 0.8, 0.9}, {"b", "hit_ratio", "inconclusive", nil, nil, nil},
			},
		},
		Open: []string{"hit_ratio_by_turn"}, Empty: []string{"stalls", "drift"},
	}
	return p
}

func TestForest(t *testing.T) {
	panels := forest(leadPage().Lead.Changes, 0.02)
	var got []string
	for _, p := range panels {
		got = append(got, p.Metric+" in "+p.Unit+": "+p.Text)
	}
	want := `ttft in %: a: -20.0 % (95 %: -25.0 to -10.0), faster. b: +30.0 % (95 %: +20.0 to +40.0), slower. 
tpot in %: a: +0.1 % (95 %: -1.0 to +1.0), equivalent. b: +5.0 %, inconclusive: no interval. 
hit_ratio in points: a: +84.0 points (95 %: +80.0 to +90.0), faster. b: not known. `
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s", s)
	}
	if panels[0].Margin != 2 || panels[0].ID != "forest-0" || panels[2].Lines[1].Change != nil {
		t.Errorf("%+v", panels[0])
	}
	changes := leadPage().Lead.Changes
	for _, i := range []int{0, 2, 3} { // a metric that is compared for some runs only, and one for none
		changes.Rows[i] = []any{changes.Rows[i][0], changes.Rows[i][1], "not compared", nil, nil, nil}
	}
	if left := forest(changes, 0.02); len(left) != 2 || len(left[0].Lines) != 1 || left[0].Lines[0].Run != "b" {
		t.Errorf("panels of what is not compared: %+v", left)
	}
	if hundredfold(math.Inf(1)) != nil || forest(nil, 0.02) != nil {
		t.Error("a change that is not finite, or no table, gives something")
	}
}

// A lead of one run has tiles. Facts of several runs are those that all have in common, and the names of
// those that differ. Their turns and findings name the run.
func TestLeadOfOneRunAndOfSeveral(t *testing.T) {
	l := leadPage().Lead
	one := leadOf(l)
	if len(one.Tiles) != 2 || one.Tiles[0] != (tileView{"TTFT p50", "52.1", "ms", "median of 34 turns", true}) ||
		one.Tiles[1] != (tileView{"Energy per token", "·", "", "no GPU that wb can read", false}) {
		t.Errorf("tiles %+v", one.Tiles)
	}
	if len(one.Facts) != 2 || one.Slowest[0] != "qa turn 6: 120 ms, new text" || one.Findings[0].Evidence[0].Run != "" {
		t.Errorf("%+v", one)
	}
	l.Facts.Rows = append(l.Facts.Rows, []any{"b", "Machine", l.Facts.Rows[0][2]}, []any{"b", "Tags", "apc=off"}, []any{"b", "GPU", "x"})
	for _, run := range []string{"b", "c", "d", "e"} {
		l.Advice.Rows = append(l.Advice.Rows, []any{run, "Turns failed", "2 of 13 turns", "", nil})
	}
	l.Advice.Rows = append(l.Advice.Rows, []any{"b", "Tokens stalled", "3 gaps", "", nil})
	several := leadOf(l)
	if several.Tiles != nil || len(several.Facts) != 2 || several.Facts[0].Name != "Machine" ||
		several.Facts[1] != (factView{"Different", "Tags, GPU"}) {
		t.Errorf("tiles %v, facts %v", several.Tiles, several.Facts)
	}
	if several.Slowest[0] != "a, qa turn 6: 120 ms, new text" {
		t.Errorf("slowest %q", several.Slowest)
	}
	f := several.Findings
	if len(f) != 2 || f[0].More != 2 || len(f[0].Evidence) != 3 || f[0].Evidence[1] != (evidenceView{"b", "2 of 13 turns"}) {
		t.Errorf("findings %+v", f)
	}
	if v := leadOf(&Lead{}); v.Tiles != nil || v.Facts != nil || v.Slowest != nil || v.Findings != nil || v.Forest != nil {
		t.Errorf("a lead without tables: %+v", v)
	}
}

// A page with a lead folds its tables, names at its end those that were left out, and lets no text out of its place.
func TestPageWithLead(t *testing.T) {
	got := page(t, leadPage(), "/* echarts */")
	if n := strings.Count(got, `<details class="fold">`); n != 6 {
		t.Errorf("%d folded tables", n)
	}
	if n := strings.Count(got, `<details class="fold" open>`); n != 1 {
		t.Errorf("%d open tables", n)
	}
	if strings.Contains(got, "<script>alert") || len(scriptTag.FindAllString(got, -1)) != 3 {
		t.Error("a text is a script")
	}
	before, after, found := strings.Cut(got, "</main>")
	if !found || strings.Contains(before, "Left out") || !strings.Contains(after, "Left out because they have no rows: stalls, drift.") {
		t.Error("what was left out does not stand at the end")
	}
	for _, place := range []string{
		"<title>2 runs against base (simulated)</title>", `aria-label="ttft. a: -20.0 % (95 %: -25.0 to -10.0), faster. b: `,
		"<code>wb query failed_turns",
	} {
		if !strings.Contains(strings.ReplaceAll(got, "&#43;", "+"), place) {
			t.Errorf("no %s", place)
		}
	}
	if got := page(t, gallery(), ""); strings.Contains(got, `<details class="fold"`) || strings.Contains(got, `class="folded"`) {
		t.Error("a page without a lead is folded")
	}
}
