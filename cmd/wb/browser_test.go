//go:build browser

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chartsOnPage is JavaScript that counts the charts and tables of a page, and lists the charts on which nothing is drawn.
const chartsOnPage = `(() => {
	const drawn = e => [...e.querySelectorAll('canvas')].some(c => {
		const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
		return new Set(d).size > 7;
	});
	const charts = [...document.querySelectorAll('.chart')];
	return {
		charts: charts.length, blank: charts.filter(e => !drawn(e)).map(e => e.id).join(' '),
		title: document.title, tables: document.querySelectorAll('table').length,
	};
})()`

// The pages of a run open in a browser that is offline: nothing is fetched, the console is silent, and every chart is drawn. The package
// viz tests how a chart looks.
func TestBrowserOpensReports(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on PATH: apt-get install chromium")
	}
	dir := t.TempDir()
	wb(t, dir, "run", "--sim-profile", "instant", "--name", "page", "--results", "out", "--quiet")
	wb(t, dir, "query", "cache_hit_by_turn.sql", "--format", "html", "-o", "x.html")
	wb(t, dir, "run", "--sim-profile", "instant", "--name", "slow", "--quiet", "--", "--no-enable-prefix-caching")
	wb(t, dir, "report", "page", "slow", "--out", "both")

	ctx, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WSURLReadTimeout(time.Minute))
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	var mu sync.Mutex
	var requests, complaints []string
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(chromedp.Do(ctx))
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	check(chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			requests = append(requests, ev.Request.URL)
		case *runtime.EventConsoleAPICalled:
			complaints = append(complaints, "console."+string(ev.Type))
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, "exception: "+ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complaints = append(complaints, ev.Entry.Text)
		}
	}))
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	check(err)
	_, err = chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	check(err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	check(err)
	for page, atLeast := range map[string]int{"x.html": 1, "out/page.html": 8, "both/page-and-slow.html": 8} {
		url := "file://" + filepath.Join(dir, page)
		check(chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(url),
			chromedp.WaitReady(chromedp.CSS("#wb-data"))))
		if page != "x.html" {
			checkOpening(t, ctx, page)
		}
		_, err := chromedp.Run(ctx, chromedp.Evaluate[int](`[...document.querySelectorAll('details')].map(d => d.open = true).length`))
		check(err)
		check(chromedp.Do(ctx, chromedp.Sleep(time.Second)))
		got, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]any](chartsOnPage))
		check(err)
		n, _ := got["charts"].(float64)
		if int(n) < atLeast || got["blank"] != "" || !strings.Contains(got["title"].(string), "simulated") || got["tables"] == 0.0 {
			t.Errorf("%s: %v", page, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(requests) < 2 {
		t.Error("no request was seen: the test does not work")
	}
	for _, r := range requests {
		if !strings.HasPrefix(r, "file://"+dir) && !strings.HasPrefix(r, "data:") && !strings.HasPrefix(r, "blob:") {
			t.Errorf("a page requested %s", r)
		}
	}
	if len(complaints) > 0 {
		t.Errorf("the browser complained: %s", strings.Join(complaints, "\n"))
	}
}

// openingOfPage is JavaScript that says what a page opens with, and whether it is wider than the window.
const openingOfPage = `(() => ({
	tiles: [...document.querySelectorAll('.tile')].map(e => e.querySelector('.name').textContent).join(', '),
	known: [...document.querySelectorAll('.tile:not(.unknown) b')].filter(e => /[0-9]/.test(e.textContent)).length,
	facts: document.querySelectorAll('.facts dt').length, slowest: document.querySelectorAll('.slowest li').length,
	panels: [...document.querySelectorAll('.plot')].filter(e => e.querySelector('canvas')).length,
	answers: document.querySelectorAll('.answers p').length, wide: document.documentElement.scrollWidth > innerWidth,
	screens: document.documentElement.scrollHeight / 900,
}))()`

// checkOpening checks what the page of a run, or of two, opens with.
func checkOpening(t *testing.T, ctx context.Context, page string) {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[map[string]any](openingOfPage))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"tiles": "TTFT p50, TTFT p99, Time per token, Hit ratio, Throughput, Energy per token", "answers": 0.0,
	}
	known, panels := 5.0, 0.0
	if page != "out/page.html" { // ttft, tpot, itl_p99, e2e and hit_ratio, and more with a GPU
		want = map[string]any{"tiles": "", "answers": 1.0}
		known, panels = 0, 5
	}
	want["slowest"], want["wide"] = 5.0, false
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s: %v, want %v", page, k, got[k], v)
		}
	}
	if got["known"].(float64) < known || got["panels"].(float64) < panels {
		t.Errorf("%s: %v figures are known, %v panels are drawn", page, got["known"], got["panels"])
	}
	if n, _ := got["screens"].(float64); n > 5 || got["facts"] == 0.0 {
		t.Errorf("%s: %v screens, %v facts", page, n, got["facts"])
	}
}
