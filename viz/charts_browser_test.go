//go:build browser

package viz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wb/queries/table"
)

// manySeries is a page of three charts: one of 12 series, and two with one axis of 60 steps, on which three turns are marked.
func manySeries() Page {
	many := &table.Table{Name: "many", Title: "Many series",
		Columns: []table.Column{column("turn", "BIGINT"), column("ttft_ms", "DOUBLE"), column("series", "VARCHAR")},
		Charts:  []table.Chart{{Kind: "line", X: "turn", Y: []string{"ttft_ms"}, Series: "series"}}}
	for turn := range 5 {
		for s := range 12 {
			many.Rows = append(many.Rows, []any{int64(turn), float64(10*s + turn), fmt.Sprintf("run %02d", s)})
		}
	}
	var steps [][]any
	for i := range 60 {
		var label any
		if i%20 < 15 {
			label = fmt.Sprint("qa ", i/20+1)
		}
		steps = append(steps, []any{float64(i), float64(100 + i%7), "GPU 0", label})
	}
	power := timeline(steps...)
	power.Charts = append(power.Charts, power.Charts[0])
	return Page{Title: "Charts", Tables: []*table.Table{many, power}}
}

// A chart of many series has a picker, turns are marked, and charts with one axis zoom together.
func TestBrowserCharts(t *testing.T) {
	ctx, cancel := context.WithTimeout(browserTab(t), time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "charts.html")
	if err := os.WriteFile(file, []byte(render(t, "html", manySeries(), Options{})), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, chromedp.Do(ctx,
		chromedp.EmulateViewport(1280, 900), chromedp.Navigate("file://"+file), chromedp.WaitReady(chromedp.CSS("#wb-data"))))
	eval[chromedp.Void](t, ctx, `globalThis.chart = id => echarts.getInstanceByDom(document.getElementById(id))`)
	const shown = `Object.values(chart('t0-c0').getOption().legend[0].selected).filter(x => x).length`
	summary := `document.querySelector('.picker summary').textContent`
	if n, s := eval[int](t, ctx, shown), eval[string](t, ctx, summary); n != 8 || s != "8 of 12 series are shown: choose" {
		t.Errorf("%d series are shown, and the picker says %q", n, s)
	}
	eval[chromedp.Void](t, ctx, `document.querySelectorAll('.picker input[type=checkbox]')[9].click()`)
	eval[chromedp.Void](t, ctx, `document.querySelectorAll('.picker input[type=checkbox]')[0].click()`)
	eval[chromedp.Void](t, ctx, `document.querySelectorAll('.picker input[type=checkbox]')[10].click()`)
	if n, s := eval[int](t, ctx, shown), eval[string](t, ctx, summary); n != 9 || s != "9 of 12 series are shown: choose" {
		t.Errorf("after two more and one less %d series are shown, and the picker says %q", n, s)
	}
	eval[chromedp.Void](t, ctx, `{
		const search = document.querySelector('.picker input[type=search]');
		search.value = 'RUN 11';
		search.dispatchEvent(new Event('input'));
	}`)
	if n := eval[int](t, ctx, `[...document.querySelectorAll('.picker label')].filter(l => !l.hidden).length`); n != 1 {
		t.Errorf("the search leaves %d series", n)
	}
	if n := eval[int](t, ctx, `chart('t1-c0').getOption().series[0].markArea.data.length`); n != 3 {
		t.Errorf("%d turns are marked, want 3", n)
	}
	eval[chromedp.Void](t, ctx, `chart('t1-c0').dispatchAction({type: 'dataZoom', start: 25, end: 50})`)
	must(t, chromedp.Do(ctx, chromedp.Sleep(200*time.Millisecond)))
	zoomed := eval[string](t, ctx, `(o => o.start + ' to ' + o.end)(chart('t1-c1').getOption().dataZoom[0])`)
	if zoomed != "25 to 50" {
		t.Errorf("the other chart shows %s", zoomed)
	}
}
