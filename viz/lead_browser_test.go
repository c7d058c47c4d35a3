//go:build browser

package viz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// forestColors is JavaScript that gives, for each panel, the colours of its lines as the names of the page's colours.
const forestColors = `[...document.querySelectorAll('.plot')].map(e => {
	const style = getComputedStyle(document.documentElement);
	const names = ['--better', '--worse', '--same', '--open'];
	return echarts.getInstanceByDom(e).getOption().series[0].data.map(d =>
		names.find(n => style.getPropertyValue(n).trim() === d.itemStyle.color) || d.itemStyle.color).join(' ');
})`

// TestBrowserLead opens a page with a lead, light and dark, wide and narrow.
func TestBrowserLead(t *testing.T) {
	tab := browserTab(t)
	file := filepath.Join(t.TempDir(), "lead.html")
	if err := os.WriteFile(file, []byte(render(t, "html", leadPage(), Options{})), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		width int64
		theme string
	}{{1280, "light"}, {1280, "dark"}, {400, "light"}, {400, "dark"}} {
		t.Run(fmt.Sprintf("%d-%s", c.width, c.theme), func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(tab)
			defer cancel()
			must(t, chromedp.Do(ctx))
			ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			var seen traffic
			must(t, chromedp.Listen(ctx, seen.note))
			call(t, ctx, network.Enable, network.EnableParams{})
			call(t, ctx, runtime.Enable, cdp.Empty{})
			call(t, ctx, log.Enable, cdp.Empty{})
			prefer(t, ctx, c.theme)
			url := "file://" + file
			must(t, chromedp.Do(ctx, chromedp.EmulateViewport(c.width, 900), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#wb-data"))))
			checkLead(t, ctx)
			shoot(t, ctx, c.width, "lead-"+c.theme)
			checkFolds(t, ctx)
			checkThemeOfForest(t, ctx)
			seen.check(t, url)
		})
	}
}

// checkLead checks what is seen first: the forest plot, and that nothing is wider than the window.
func checkLead(t *testing.T, ctx context.Context) {
	t.Helper()
	if eval[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page scrolls sideways")
	}
	want := []string{"--better --worse", "--same --open", "--better"} // the last panel has a run without a change
	if got := eval[[]string](t, ctx, forestColors); !slices.Equal(got, want) {
		t.Errorf("colours of the forest plot: %q", got)
	}
	for _, url := range eval[[]string](t, ctx, `[...document.querySelectorAll('.plot canvas')].map(c => c.toDataURL())`) {
		if n := shades(t, url); n < 8 {
			t.Errorf("a panel has %d colours: nothing drawn", n)
		}
	}
	if n := eval[int](t, ctx, `document.querySelectorAll('.tile').length`); n != 2 {
		t.Errorf("%d tiles", n)
	}
}

// checkFolds checks that charts of folded tables are drawn when these are opened, by a click or by a link.
func checkFolds(t *testing.T, ctx context.Context) {
	t.Helper()
	const drawn = `[...document.querySelectorAll('.chart')].filter(e => e.querySelector('canvas')).map(e => e.id).join(' ')`
	if got := eval[string](t, ctx, drawn); got != "t0-c0 t0-c1" {
		t.Errorf("charts drawn while the other tables are folded: %q", got)
	}
	must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`#t1 summary`)), chromedp.Click(chromedp.CSS(`nav a[href="#t2"]`)),
		chromedp.WaitReady(chromedp.CSS(`#t1-c0 canvas`)), chromedp.WaitReady(chromedp.CSS(`#t2-c0 canvas`))))
	if got := eval[string](t, ctx, drawn); got != "t0-c0 t0-c1 t1-c0 t2-c0" {
		t.Errorf("charts drawn after two tables were opened: %q", got)
	}
	for _, id := range []string{"t1-c0", "t2-c0"} {
		if n := shades(t, eval[string](t, ctx, `document.querySelector('#`+id+` canvas').toDataURL()`)); n < 8 {
			t.Errorf("chart %s has %d colours: nothing drawn", id, n)
		}
		if !eval[bool](t, ctx, `(e => Math.abs(e.querySelector('canvas').clientWidth - e.clientWidth) < 2)(document.getElementById('`+id+`'))`) {
			t.Errorf("chart %s does not have the width of its place", id)
		}
	}
	if eval[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page scrolls sideways with open tables")
	}
}

// checkThemeOfForest checks that the forest plot and the charts follow another theme, while some tables are folded again.
func checkThemeOfForest(t *testing.T, ctx context.Context) {
	t.Helper()
	const better = `echarts.getInstanceByDom(document.querySelector('.plot')).getOption().series[0].data[0].itemStyle.color`
	before := eval[string](t, ctx, better)
	must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`#t1 summary`)), chromedp.Click(chromedp.CSS("#theme")),
		chromedp.Sleep(300*time.Millisecond)))
	if after := eval[string](t, ctx, better); after == before {
		t.Errorf("the colour of the forest plot stayed %s", after)
	}
	must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`#t1 summary`)), chromedp.WaitReady(chromedp.CSS(`#t1-c0 canvas`))))
	if n := shades(t, eval[string](t, ctx, `document.querySelector('#t1-c0 canvas').toDataURL()`)); n < 8 {
		t.Errorf("a chart that is opened after a change of the theme has %d colours", n)
	}
	if got := eval[[]string](t, ctx, forestColors); len(got) != 3 || got[0] != "--better --worse" {
		t.Errorf("colours in the other theme: %q", got)
	}
}
