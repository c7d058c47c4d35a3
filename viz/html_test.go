package viz

import (
	"bufio"
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-echarts/go-echarts/v2/opts"

	"wb/queries/table"
)

// gallery is a page with every kind of chart that reports have.
func gallery() Page {
	sim := []table.RunRef{
		{ID: "5b7f0c1e-0000-4000-8000-000000000001", Name: "baseline", Simulated: true},
		{ID: "5b7f0c1e-0000-4000-8000-000000000002", Name: "bigger blocks", Simulated: true},
	}
	lines := &table.Table{
		Name: "hit_ratio_by_turn", Title: "Prefix-cache hit ratio by turn", About: "Cached prompt tokens over prompt tokens, warm-up excluded.",
		SQL: "-- title: Prefix-cache hit ratio by turn\nSELECT run, turn, avg(hit_ratio) AS hit_ratio\nFROM turns\n" +
			"GROUP BY ALL\nORDER BY run, turn\n",
		Params: []table.Param{{Name: "runs", Value: "baseline, bigger blocks"}, {Name: "model", Value: ""}}, Runs: sim,
		Columns: []table.Column{column("run", "VARCHAR"), column("turn", "INTEGER"), column("hit_ratio", "DOUBLE"), column("ttft_ms", "DOUBLE")},
		Charts: []table.Chart{
			{Kind: "line", X: "turn", Y: []string{"hit_ratio"}, Series: "run"},
			{Kind: "bar", Title: "Time to first token by turn", X: "turn", Y: []string{"ttft_ms"}, Series: "run", LogY: true},
		},
		Notes: []string{"Turn 5 of baseline was evicted before it could be measured."},
	}
	for _, r := range sim {
		for turn := range 8 {
			hit := any(0.95 - 0.9/float64(turn+1)*float64(len(r.Name))/13)
			if r.Name == "baseline" && turn == 4 {
				hit = math.NaN()
			}
			if r.Name == "baseline" && turn == 1 {
				hit = nil
			}
			lines.Rows = append(lines.Rows, []any{r.Name, int64(turn + 1), hit, 40 + 900/float64(turn+1)})
		}
	}

	causes := &table.Table{
		Name: "misses", Title: "Recomputed tokens by cause", SQL: "SELECT …",
		Runs:    []table.RunRef{{ID: "5b7f0c1e-0000-4000-8000-000000000003", Name: "h200"}},
		Columns: []table.Column{column("conversation", "VARCHAR"), column("cause", "VARCHAR"), column("recomputed_tokens", "HUGEINT")},
		Charts:  []table.Chart{{Kind: "bar", X: "conversation", Y: []string{"recomputed_tokens"}, Series: "cause", Stack: true}},
	}
	for i, c := range []string{"support chat", "retrieval with rotating documents", "code review", "long novel"} {
		for k, cause := range []string{"changed text", "block granularity", "eviction", "template rewrote history"} {
			causes.Rows = append(causes.Rows, []any{c, cause, fmt.Sprint(300 + 1700*((i*7+k*3)%5))})
		}
	}

	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	power := &table.Table{
		Name: "power", Title: "Power and cap during the run",
		Columns: []table.Column{column("at", "TIMESTAMP"), column("power_w", "DOUBLE"), column("limit_w", "DOUBLE")},
		Charts: []table.Chart{
			{Kind: "line", X: "at", Y: []string{"power_w", "limit_w"}},
			{Kind: "area", Title: "Power, stacked", X: "at", Y: []string{"power_w", "limit_w"}, Stack: true},
		},
	}
	for i := range 1200 {
		w := any(420 + 220*math.Sin(float64(i)/60) + 25*math.Sin(float64(i)*1.7))
		if i > 500 && i < 560 {
			w = nil
		}
		power.Rows = append(power.Rows, []any{start.Add(time.Duration(i) * 100 * time.Millisecond), w, 700.0})
	}
	names := hostile()
	names.Title = "Hostile </script><script>alert(1)</script> names"
	names.Charts = []table.Chart{
		{Kind: "bar", X: "run", Y: []string{"turn"}, Series: "run"},
		{Kind: "scatter", X: "hit_ratio", Y: []string{"ttft_ms"}, Series: "run"},
	}
	names.Rows[1][1] = int64(4)
	return Page{
		Title: "Prefix caching on one machine", Intro: []string{"Two simulated runs beside measurements on an H200."},
		Tables: []*table.Table{lines, causes, prefill(), power, empty(), names, changes()}, Version: "0.1.0-test",
	}
}

// prefill is a chart of points on logarithmic axes, with a point that cannot be drawn.
func prefill() *table.Table {
	points := &table.Table{
		Name: "prefill", Title: "Prefill time against uncached tokens",
		Columns: []table.Column{column("model", "VARCHAR"), column("uncached_tokens", "BIGINT"), column("prefill_ms", "DOUBLE")},
		Charts:  []table.Chart{{Kind: "scatter", X: "uncached_tokens", Y: []string{"prefill_ms"}, Series: "model", LogX: true, LogY: true}},
	}
	for i := range 120 {
		n := int64(math.Pow(10, 1+float64(i)/30))
		ms := 4 + float64(n)*[]float64{0.02, 0.16}[i%2]*(1+0.2*math.Sin(float64(i*i)))
		points.Rows = append(points.Rows, []any{[]string{"8B", "70B"}[i%2], n, ms})
	}
	points.Rows = append(points.Rows, []any{"8B", int64(0), 3.0})
	return points
}

// changes is a chart of intervals, with rows that have none.
func changes() *table.Table {
	return &table.Table{
		Name: "changes", Title: "Changes",
		Columns: []table.Column{
			column("run", "VARCHAR"), column("metric", "VARCHAR"),
			{Name: "change_ratio", Unit: "ratio"}, {Name: "low_ratio", Unit: "ratio"}, {Name: "high_ratio", Unit: "ratio"},
		},
		Charts: []table.Chart{{Kind: "interval", X: "metric", Y: []string{"change_ratio", "low_ratio", "high_ratio"}, Series: "run"}},
		Rows: [][]any{
			{"a", "ttft", -0.2, -0.25, -0.1}, {"a", "tpot", 0.01, -0.01, 0.02}, {"b", "ttft", 0.05, 0.01, 0.08},
			{"b", "peak_mem", nil, nil, nil}, {"b", "tpot", math.NaN(), 0.0, 0.1},
		},
	}
}

func page(t *testing.T, p Page, echarts string) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := writePage(w, p, echarts); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return b.String()
}

func TestAssetIsThePinnedOne(t *testing.T) {
	script, err := os.ReadFile("assets/fetch.sh")
	if err != nil || !strings.Contains(string(script), "version="+echartsVersion+" ") {
		t.Errorf("fetch.sh does not pin %s (%v)", echartsVersion, err)
	}
	asset, err := assets.ReadFile("assets/echarts.min.js")
	if err != nil {
		t.Skip("echarts.min.js is not embedded; run viz/assets/fetch.sh")
	}
	sum := sha512.Sum384(asset)
	if got := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); got != echartsIntegrity {
		t.Errorf("echarts.min.js has %s, want %s", got, echartsIntegrity)
	}
	for _, s := range []string{"</script", "<!--"} {
		if bytes.Contains(bytes.ToLower(asset), []byte(s)) {
			t.Errorf("echarts.min.js contains %s and cannot be inlined", s)
		}
	}
	if !bytes.Contains(asset[:1000], []byte("Licensed to the Apache Software Foundation")) {
		t.Error("echarts.min.js lost its licence header")
	}
}

var (
	scriptTag = regexp.MustCompile(`(?is)<script[^>]*>`)
	loads     = regexp.MustCompile(`(src|href|action|srcset)\s*=\s*["']?\s*(https?:)?//|\burl\(|@import`)
)

func TestPageLoadsNothing(t *testing.T) {
	got := page(t, gallery(), "/* echarts */")
	if m := loads.FindString(got); m != "" {
		t.Errorf("the page loads something: %s", m)
	}
	if !strings.Contains(got, "default-src &#39;none&#39;; script-src &#39;unsafe-inline&#39;; style-src") {
		t.Error("content security policy missing or wide")
	}
	if n := len(scriptTag.FindAllString(got, -1)); n != 3 {
		t.Errorf("%d script elements, want 3", n)
	}

	linked := page(t, gallery(), "")
	want := `<script src="` + echartsURL + `" integrity="` + strings.ReplaceAll(echartsIntegrity, "+", "&#43;") +
		`" crossorigin="anonymous"></script>`
	if !strings.Contains(linked, want) || !strings.Contains(linked, "script-src &#39;unsafe-inline&#39; "+cdnOrigin+";") {
		t.Error("without the asset the page must link the pinned library")
	}
	if got := page(t, Page{Tables: []*table.Table{empty()}}, ""); strings.Contains(got, cdnOrigin) {
		t.Error("a page without charts needs no library")
	}
}

func TestPageHoldsHostileCells(t *testing.T) {
	h := hostile()
	h.Title = "</title></script><script>alert(2)</script>"
	h.Columns[0].Name = "run"
	h.Charts = []table.Chart{{Kind: "line", Title: `"><img src=x onerror=alert(3)>`, X: "turn", Y: []string{"ttft_ms"}, Series: "run"}}
	got := page(t, Page{Tables: []*table.Table{h}, Intro: []string{"<img src=x>"}, Version: "<u>"}, "/* echarts */")
	for _, bad := range []string{"<script>alert", "<img", "</script><script>", "<u>"} {
		if strings.Contains(got, bad) {
			t.Errorf("page contains %s", bad)
		}
	}
	if n := strings.Count(strings.ToLower(got), "</script"); n != 3 {
		t.Errorf("%d script ends, want 3", n)
	}
	if !strings.Contains(got, "__f__") {
		t.Error("a marker of go-echarts in a user's text was rewritten")
	}
	if strings.Contains(got, "\u2028") {
		t.Error("U+2028 is not escaped")
	}

	data := embedded(t, got)
	if data.CSV["t0"].Text != render(t, "csv", Page{Tables: []*table.Table{h}}, Options{}) {
		t.Error("the CSV button does not give what the csv format gives")
	}
	for _, s := range data.Charts["t0-c0"].Option.Series {
		for _, d := range s.Data {
			if len(d.Value) != 2 {
				t.Errorf("point %v", d.Value)
			}
		}
	}
}

type embeddedData struct {
	Charts map[string]struct {
		XType  string
		Option struct {
			Title  struct{ Text string }
			Legend struct{ Show bool }
			Series []struct {
				Name, Type, Stack string
				Data              []struct{ Value []any }
			}
			XAxis    []struct{ Type, Name string }
			YAxis    []struct{ Type, Name string }
			DataZoom []struct{ Type string }
			Aria     struct{ Enabled bool }
		}
	}
	CSV map[string]struct{ File, Text string }
}

func embedded(t *testing.T, html string) (data embeddedData) {
	t.Helper()
	_, rest, ok := strings.Cut(html, `<script type="application/json" id="wb-data">`)
	text, _, ok2 := strings.Cut(rest, "</script>")
	if !ok || !ok2 {
		t.Fatal("no embedded data")
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCharts(t *testing.T) {
	got := page(t, gallery(), "/* echarts */")
	data := embedded(t, got)

	line := data.Charts["t0-c0"].Option
	if line.Title.Text != "Prefix-cache hit ratio by turn (simulated)" || line.XAxis[0].Type != "value" || line.YAxis[0].Name != "hit ratio" {
		t.Errorf("line: %+v %+v %+v", line.Title, line.XAxis, line.YAxis)
	}
	if len(line.Series) != 2 || line.Series[0].Name != "baseline" || len(line.Series[0].Data) != 8 || !line.Legend.Show || !line.Aria.Enabled {
		t.Fatalf("line series: %+v", line.Series)
	}
	if line.Series[0].Data[1].Value[1] != nil || line.Series[0].Data[4].Value[1] != nil || line.Series[1].Data[1].Value[1] == nil {
		t.Error("NULL and NaN must be gaps, and nothing else")
	}

	bar := data.Charts["t1-c0"].Option
	if bar.XAxis[0].Type != "category" || bar.YAxis[0].Name != "recomputed (tokens)" || len(bar.Series) != 4 || bar.Series[0].Stack == "" {
		t.Errorf("bar: %+v", bar)
	}
	scatter := data.Charts["t2-c0"].Option
	if scatter.XAxis[0].Type != "log" || scatter.YAxis[0].Type != "log" || len(scatter.DataZoom) != 2 {
		t.Errorf("scatter: %+v %+v", scatter.XAxis, scatter.DataZoom)
	}
	if !strings.Contains(got, "1 figure is zero or negative and cannot be shown on a logarithmic axis.") {
		t.Error("a point that a log axis cannot show must be mentioned")
	}
	clock := data.Charts["t3-c0"].Option
	if clock.XAxis[0].Type != "time" || clock.YAxis[0].Name != "W" || len(clock.Series) != 2 || clock.Series[1].Name != "limit (W)" {
		t.Errorf("time: %+v %+v", clock.XAxis, clock.YAxis)
	}
	if !strings.Contains(got, "59 figures are missing; the stack is lower there than it should be.") {
		t.Error("a stack with NULLs must say so")
	}
	interval := data.Charts["t6-c0"].Option
	if interval.XAxis[0].Type != "category" || interval.YAxis[0].Name != "change ratio" ||
		len(interval.Series) != 2 || len(interval.Series[0].Data) != 2 || len(interval.Series[1].Data) != 1 ||
		fmt.Sprint(interval.Series[1].Data[0].Value) != "[ttft 0.05 0.01 0.08]" ||
		!strings.Contains(got, "2 rows have no interval and are not drawn.") {
		t.Errorf("interval: %+v", interval)
	}
	if _, ok := data.Charts["t4-c0"]; ok || !strings.Contains(got, "Nothing yet: nothing to draw") {
		t.Error("a chart without figures must say so")
	}
	for _, want := range []string{
		"<title>Prefix caching on one machine (simulated)</title>", `<span class="badge">simulated</span></h1>`, "<caption>", `lang="en"`,
		`role="img" aria-label="Prefix-cache hit ratio by turn (simulated).`, "… and 200 more; the CSV has all rows.", "no rows",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Contains(got, `<h2>Recomputed tokens by cause <span`) {
		t.Error("a measured table is marked simulated")
	}
}

func TestChartEdges(t *testing.T) {
	tb := &table.Table{
		Title: "edges", Columns: []table.Column{column("x", "BIGINT"), column("y_ms", "DOUBLE"), column("s", "VARCHAR")},
		Rows: [][]any{{int64(10), 1.0, "a"}, {int64(2), 2.0, "a"}, {int64(2), 3.0, "a"}, {nil, 4.0, "b"}, {int64(1), nil, nil}},
	}
	series := func(c table.Chart) (*drawing, map[string][]any) {
		t.Helper()
		tb.Charts = []table.Chart{c}
		data := embedded(t, page(t, Page{Tables: []*table.Table{tb}}, ""))
		out := map[string][]any{}
		for _, s := range data.Charts["t0-c0"].Option.Series {
			for _, d := range s.Data {
				out[s.Name] = append(out[s.Name], d.Value...)
			}
		}
		d, err := draw(tb, c)
		if err != nil {
			t.Fatal(err)
		}
		return d, out
	}
	d, got := series(table.Chart{Kind: "line", X: "x", Y: []string{"y_ms"}, Series: "s"})
	if fmt.Sprint(got) != "map[a:[2 2 2 3 10 1] ·:[1 <nil>]]" || fmt.Sprint(d.Warnings) != "[1 row has no x and is not drawn.]" {
		t.Errorf("line: %v %v", got, d.Warnings)
	}
	d, got = series(table.Chart{Kind: "bar", X: "x", Y: []string{"y_ms"}, Series: "s"})
	const bars = "map[a:[1 <nil> 2 3 10 1 · <nil>] b:[1 <nil> 2 <nil> 10 <nil> · 4] ·:[1 <nil> 2 <nil> 10 <nil> · <nil>]]"
	if fmt.Sprint(got) != bars || len(d.Warnings) != 1 {
		t.Errorf("bar: %v %v", got, d.Warnings)
	}
	for _, bad := range []table.Chart{
		{Kind: "pie", X: "x", Y: []string{"y_ms"}},
		{Kind: "line", X: "no", Y: []string{"y_ms"}},
		{Kind: "line", X: "x"},
	} {
		if _, err := draw(tb, bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}

	runs := &table.Table{Runs: []table.RunRef{{ID: "11111111-aaaa", Name: "x", Simulated: true}, {ID: "22222222-bbbb", Name: "x"}}}
	if got := seriesName(runs, column("run_id", "UUID"), "11111111-aaaa"); got != "x 11111111 (simulated)" {
		t.Errorf("runs of the same name: %s", got)
	}
	for in, want := range map[string]string{"ttft_ms": "ttft (ms)", "decode_tokens_per_s": "decode (tokens/s)", "hit_ratio": "hit ratio",
		"gpu_c": "gpu (°C)", "turn": "turn"} {
		if got := axisLabel(column(in, "DOUBLE")); got != want {
			t.Errorf("axisLabel(%s) = %s, want %s", in, got, want)
		}
	}
}

// An axis of days has no hours: one day is a category, and the labels of several days are a day apart.
func TestDayAxis(t *testing.T) {
	first := time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int]string{1: "category 0", 2: "time 8.64e+07"} {
		tb := &table.Table{Title: "days", Columns: []table.Column{column("day", "DATE"), column("y_ratio", "DOUBLE")}}
		for i := range days {
			tb.Rows = append(tb.Rows, []any{first.AddDate(0, 0, i), 0.1})
		}
		d, err := draw(tb, table.Chart{Kind: "line", X: "day", Y: []string{"y_ratio"}})
		if err != nil {
			t.Fatal(err)
		}
		x := d.Option["xAxis"].([]opts.XAxis)[0]
		if got := fmt.Sprint(x.Type, " ", x.MinInterval); got != want {
			t.Errorf("%d days: %s, want %s", days, got, want)
		}
	}
}
