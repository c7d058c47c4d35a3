//go:build browser && duckdb_arrow

package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/viz"
)

// picture is what is seen of a chart. Lengths are in CSS pixels.
type picture struct {
	ID      string            `json:"id"`
	Title   string            `json:"title"`
	Shades  int               `json:"shades"`  // different colours on the canvas
	Top     float64           `json:"top"`     // end of the vertical axis
	Y       string            `json:"y"`       // name of the vertical axis
	Shown   int               `json:"shown"`   // names of series that are shown
	Names   int               `json:"names"`   // names of series
	Colours map[string]string `json:"colours"` // by series
	Outside []string          `json:"outside"` // texts that the edge of the chart cuts
	Over    []string          `json:"over"`    // pairs of texts, one on the other
	Group   string            `json:"group"`   // charts of one group zoom together
	NaN     []string          `json:"nan"`     // texts with a figure that is none
}

// pictures is JavaScript that gives a picture for each chart of a page.
const pictures = `[...document.querySelectorAll('.chart')].map(el => {
	const chart = echarts.getInstanceByDom(el), model = chart.getModel(), canvas = el.querySelector('canvas');
	const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
	const y = model.getComponent('yAxis', 0), all = model.getSeries(), chosen = model.getComponent('legend')?.option.selected || {};
	const names = [...new Set(all.map(s => s.name))];
	const texts = chart.getZr().storage.getDisplayList(true).filter(e => e.type === 'tspan' && !e.ignore && e.style.text.trim()).map(e => {
		const r = e.getBoundingRect().clone();
		if (e.transform) r.applyTransform(e.transform);
		return {text: e.style.text, x: r.x, y: r.y, right: r.x + r.width, bottom: r.y + r.height,
			turned: !!e.transform && e.transform[1] !== 0, clipped: !!e.__clipPaths?.length};
	}).filter(t => !t.clipped && !/^\d+\/\d+$/.test(t.text)); // without the hidden number of the legend's page
	const over = [];
	const level = texts.filter(t => !t.turned);
	for (const [i, a] of level.entries()) for (const b of level.slice(i + 1))
		if (Math.min(a.right, b.right) - Math.max(a.x, b.x) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.y, b.y) > 4)
			over.push(a.text + ' | ' + b.text);
	return {
		id: el.id, title: chart.getOption().title[0].text, shades: new Set(new Uint32Array(d.buffer)).size,
		top: y.axis.scale.getExtent()[1], y: y.get('name').trim(), names: names.length,
		shown: names.filter(n => chosen[n] !== false).length,
		colours: Object.fromEntries(all.map(s => [s.name, s.getData().getVisual('style').fill || s.getData().getVisual('style').stroke])),
		outside: texts.filter(t => t.x < -1 || t.right > el.clientWidth + 1 || t.y < -1 || t.bottom > el.clientHeight + 1).map(t => t.text),
		over, nan: texts.map(t => t.text).filter(t => /NaN|undefined|Infinity/.test(t)), group: chart.group || '',
	};
})`

// TestBrowserCharts looks at each chart of each report, wide and narrow, light and dark.
func TestBrowserCharts(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on PATH: apt-get install chromium")
	}
	tables, _, err := Tables(context.Background(), fixture.History(t), "all", "")
	must(t, err)
	charts := 0
	for _, x := range tables {
		charts += len(x.Charts)
	}
	if charts < 20 {
		t.Fatalf("%d charts in all reports: the fixture does not fill them", charts)
	}
	pages := map[string]string{}
	for name, list := range map[string][]*table.Table{"all": tables, "causes": {fewerCauses(t, tables)}, "many": {manySeries(t, tables)}} {
		var b bytes.Buffer
		must(t, viz.Render(&b, "html", viz.Page{Title: name, Tables: list}, viz.Options{}))
		pages[name] = filepath.Join(t.TempDir(), name+".html")
		must(t, os.WriteFile(pages[name], b.Bytes(), 0o644))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-background-networking", true), chromedp.WSURLReadTimeout(time.Minute))
	defer stop()
	tab, closeBrowser := chromedp.NewContext(alloc)
	defer closeBrowser()
	must(t, chromedp.Do(tab))
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 400} {
			t.Run(fmt.Sprintf("%d-%s", width, theme), func(t *testing.T) {
				all := look(tab, t, pages["all"], width, theme)
				if len(all) < 20 {
					t.Errorf("%d charts are drawn", len(all))
				}
				for _, name := range wholeShares {
					if !slices.ContainsFunc(all, func(p picture) bool { return p.Y == name }) {
						t.Errorf("no vertical axis is called %q: the ends of shares are not checked", name)
					}
				}
				checkCauses(t, all, look(tab, t, pages["causes"], width, theme))
				many := look(tab, t, pages["many"], width, theme)
				if len(many) != 1 || many[0].Names <= 8 || many[0].Shown != 8 {
					t.Errorf("not 8 of many series are shown at first: %+v", many)
				}
			})
		}
	}
}

// look opens a page and checks what holds for each of its charts.
func look(tab context.Context, t *testing.T, file string, width int64, theme string) []picture {
	t.Helper()
	ctx, cancel := chromedp.NewContext(tab)
	defer cancel()
	must(t, chromedp.Do(ctx))
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var mu sync.Mutex
	var complaints []string
	must(t, chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			complaints = append(complaints, "console."+string(ev.Type))
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, "exception: "+ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complaints = append(complaints, ev.Entry.Text)
		}
	}))
	_, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	must(t, err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	must(t, err)
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	must(t, err)
	must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+file),
		chromedp.WaitReady(chromedp.CSS("#wb-data")), chromedp.Sleep(1200*time.Millisecond))) // the charts move into place
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[[]picture](pictures))
	must(t, err)
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
	must(t, err)
	name := strings.TrimSuffix(filepath.Base(file), ".html")
	if wide {
		t.Errorf("%s: the page scrolls sideways", name)
	}
	for _, p := range seen {
		p.check(t, name)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("%s: the browser complained: %s", name, strings.Join(complaints, "\n"))
	}
	return seen
}

// wholeShares are the vertical axes that end at 1, however small the figures are.
var wholeShares = []string{"hit ratio", "gpu util mean ratio", "dram active mean ratio"}

func (p picture) check(t *testing.T, page string) {
	t.Helper()
	if p.Shades < 8 {
		t.Errorf("%s: chart %s %q has %d colours: nothing is drawn", page, p.ID, p.Title, p.Shades)
	}
	if slices.Contains(wholeShares, p.Y) && p.Top != 1 {
		t.Errorf("%s: chart %s %q: the axis of a share ends at %v", page, p.ID, p.Title, p.Top)
	}
	if p.Shown > 8 {
		t.Errorf("%s: chart %s %q shows %d series at first", page, p.ID, p.Title, p.Shown)
	}
	if len(p.Outside) > 0 {
		t.Errorf("%s: chart %s %q: cut at the edge: %q", page, p.ID, p.Title, p.Outside)
	}
	if len(p.NaN) > 0 {
		t.Errorf("%s: chart %s %q: no figure: %q", page, p.ID, p.Title, p.NaN)
	}
	if len(p.Over) > 0 {
		t.Errorf("%s: chart %s %q: one text on another: %q", page, p.ID, p.Title, p.Over)
	}
}

// checkCauses checks that a cause of misses has one colour on two pages with different causes, and each cause another one.
func checkCauses(t *testing.T, all, fewer []picture) {
	t.Helper()
	i := slices.IndexFunc(all, func(p picture) bool { return len(fewer) == 1 && p.Title == fewer[0].Title })
	if i < 0 {
		t.Errorf("no chart of causes: %+v", fewer)
		return
	}
	if len(fewer[0].Colours) == 0 || len(fewer[0].Colours) >= len(all[i].Colours) {
		t.Errorf("the second page must have fewer causes: %v, %v", fewer[0].Colours, all[i].Colours)
	}
	causes := map[string]string{}
	for cause, colour := range all[i].Colours {
		if other, ok := causes[colour]; ok {
			t.Errorf("%s and %s are both %s", other, cause, colour)
		}
		causes[colour] = cause
	}
	for cause, colour := range fewer[0].Colours {
		if first := all[i].Colours[cause]; first != colour {
			t.Errorf("%s is %s on one page and %s on another", cause, first, colour)
		}
	}
}

// fewerCauses gives the table of causes without the cause that comes first.
func fewerCauses(t *testing.T, tables []*table.Table) *table.Table {
	t.Helper()
	out, cause := copyOf(t, tables, "cache_miss_causes", "cause")
	first := out.Rows[0][cause]
	out.Rows = slices.DeleteFunc(slices.Clone(out.Rows), func(r []any) bool { return r[cause] == first })
	return out
}

// manySeries gives the hit ratios with 12 times as many series.
func manySeries(t *testing.T, tables []*table.Table) *table.Table {
	t.Helper()
	out, series := copyOf(t, tables, "cache_hit_by_turn", "series")
	rows := out.Rows
	out.Rows = nil
	for i := range 12 {
		for _, r := range rows {
			r = slices.Clone(r)
			r[series] = fmt.Sprintf("%v %d", r[series], i)
			out.Rows = append(out.Rows, r)
		}
	}
	return out
}

// copyOf gives a copy of a table that shares its rows, and the place of one column.
func copyOf(t *testing.T, tables []*table.Table, name, column string) (*table.Table, int) {
	t.Helper()
	i := slices.IndexFunc(tables, func(x *table.Table) bool { return x.Name == name })
	if i < 0 || len(tables[i].Rows) == 0 {
		t.Fatalf("no rows of %s", name)
	}
	out := *tables[i]
	k := slices.IndexFunc(out.Columns, func(c table.Column) bool { return c.Name == column })
	if k < 0 {
		t.Fatalf("%s has no column %s", name, column)
	}
	return &out, k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
