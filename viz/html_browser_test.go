//go:build browser

package viz

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"wb/queries/table"
)

// TestBrowser opens the gallery in a real browser, light and dark, wide and narrow:
//
//	go test -tags duckdb_arrow,browser ./viz/
//
// WB_SCREENSHOTS=DIR keeps a picture of each page.
func TestBrowser(t *testing.T) {
	tab := browserTab(t)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(render(t, "html", gallery(), Options{})), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		width int64
		theme string
	}{{1200, "light"}, {1200, "dark"}, {400, "light"}, {400, "dark"}} {
		t.Run(fmt.Sprintf("%d-%s", c.width, c.theme), func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(tab)
			defer cancel()
			if err := chromedp.Do(ctx); err != nil {
				t.Fatal(err)
			}
			ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			checkPage(t, ctx, "file://"+file, c.width, c.theme)
		})
	}
}

// browserTab starts a browser, in which tabs can be opened until the test ends. The test is skipped where there is no browser.
func browserTab(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium on PATH: apt-get install chromium")
	}
	if _, err := assets.ReadFile("assets/echarts.min.js"); err != nil {
		t.Skip("echarts.min.js is not embedded: run viz/assets/fetch.sh")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WSURLReadTimeout(60*time.Second))
	t.Cleanup(stop)
	tab, closeBrowser := chromedp.NewContext(alloc)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(tab); err != nil { // this starts the browser, which must run longer than the tabs below
		t.Fatal(err)
	}
	return tab
}

func checkPage(t *testing.T, ctx context.Context, url string, width int64, theme string) {
	var seen traffic
	must(t, chromedp.Listen(ctx, seen.note))
	downloads := t.TempDir()
	call(t, ctx, network.Enable, network.EnableParams{})
	call(t, ctx, runtime.Enable, cdp.Empty{})
	call(t, ctx, log.Enable, cdp.Empty{})
	prefer(t, ctx, theme)
	_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior,
		browser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: downloads})
	must(t, err)
	must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("#wb-data"))))

	checkFirstSight(t, ctx, theme)
	checkDownloads(t, ctx, downloads)
	shoot(t, ctx, width, theme)
	checkChanges(t, ctx, width)
	seen.check(t, url)
}

// traffic is what a page requested, and what the browser complained about.
type traffic struct {
	mu                   sync.Mutex
	requests, complaints []string
}

func (s *traffic) note(ev any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		s.requests = append(s.requests, ev.Request.URL)
	case *runtime.EventConsoleAPICalled:
		for _, a := range ev.Args {
			s.complaints = append(s.complaints, fmt.Sprintf("console.%s %s %s", ev.Type, a.Value, a.Description))
		}
	case *runtime.EventExceptionThrown:
		s.complaints = append(s.complaints, fmt.Sprintf("exception: %+v", ev.ExceptionDetails))
	case *log.EventEntryAdded:
		s.complaints = append(s.complaints, ev.Entry.Text)
	}
}

// check fails if the page requested anything but itself, or if the browser complained.
func (s *traffic) check(t *testing.T, url string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := false
	for _, r := range s.requests {
		seen = seen || r == url
		if r != url && !strings.HasPrefix(r, "data:") && !strings.HasPrefix(r, "blob:") {
			t.Errorf("the page requested %s", r)
		}
	}
	if !seen {
		t.Error("no request was seen: the test does not work")
	}
	if len(s.complaints) > 0 {
		t.Errorf("console: %s", strings.Join(s.complaints, "\n"))
	}
}

func backgroundOf(t *testing.T, ctx context.Context) string {
	t.Helper()
	return eval[string](t, ctx, `getComputedStyle(document.body).backgroundColor`)
}

// checkFirstSight checks a page after loading: its theme, its width, its title and its charts.
func checkFirstSight(t *testing.T, ctx context.Context, theme string) {
	t.Helper()
	background := backgroundOf(t, ctx)
	if dark := background != "rgb(255, 255, 255)"; dark != (theme == "dark") {
		t.Errorf("background %s in the %s theme", background, theme)
	}
	if eval[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("the page scrolls sideways")
	}
	if title := eval[string](t, ctx, `document.title`); !strings.HasSuffix(title, " (simulated)") {
		t.Errorf("title %q", title)
	}
	charts := eval[map[string]string](t, ctx,
		`Object.fromEntries([...document.querySelectorAll('.chart')].map(e => [e.id, e.querySelector('canvas').toDataURL()]))`)
	if len(charts) != 9 {
		t.Errorf("%d charts", len(charts))
	}
	for id, url := range charts {
		if n := shades(t, url); n < 8 {
			t.Errorf("chart %s has %d colours: nothing drawn", id, n)
		}
	}
}

// checkDownloads checks that the picture is not empty, and that the CSV has the same bytes as the csv format.
func checkDownloads(t *testing.T, ctx context.Context, folder string) {
	t.Helper()
	must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`[data-csv="t1"]`)), chromedp.Sleep(300*time.Millisecond),
		chromedp.Click(chromedp.CSS(`[data-png="t1-c0"]`))))
	want := render(t, "csv", Page{Tables: []*table.Table{gallery().Tables[1]}}, Options{})
	if got := string(download(t, filepath.Join(folder, "misses.csv"))); got != want {
		t.Errorf("misses.csv: %s", got)
	}
	picture := base64.StdEncoding.EncodeToString(download(t, filepath.Join(folder, "misses.png")))
	if n := shades(t, pngURL+picture); n < 8 {
		t.Errorf("misses.png has %d colours", n)
	}
}

// checkChanges checks that charts follow a smaller window and another theme. A tooltip over each chart renders hostile names.
func checkChanges(t *testing.T, ctx context.Context, width int64) {
	t.Helper()
	background := backgroundOf(t, ctx)
	must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width-60, 900), chromedp.Sleep(300*time.Millisecond)))
	if !eval[bool](t, ctx, `[...document.querySelectorAll('.chart')].every(
		e => Math.abs(echarts.getInstanceByDom(e).getWidth() - e.clientWidth) < 2)`) {
		t.Error("charts did not follow the window")
	}
	must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#theme")), chromedp.Sleep(200*time.Millisecond)))
	if other := backgroundOf(t, ctx); other == background {
		t.Errorf("the toggle left the background at %s", background)
	}
	prefer(t, ctx, "light")
	eval[chromedp.Void](t, ctx, `for (const e of document.querySelectorAll('.chart'))
		echarts.getInstanceByDom(e).dispatchAction({type: 'showTip', seriesIndex: 0, dataIndex: 0})`)
	must(t, chromedp.Do(ctx, chromedp.Sleep(200*time.Millisecond)))
	if n := eval[int](t, ctx, `document.querySelectorAll('body script').length`); n != 3 {
		t.Errorf("%d scripts after tooltips, want 3", n)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func call[P, R any](t *testing.T, ctx context.Context, cmd cdp.Command[P, R], params P) {
	t.Helper()
	_, err := chromedp.Call(ctx, cmd, params)
	must(t, err)
}

func eval[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	must(t, err)
	return v
}

func prefer(t *testing.T, ctx context.Context, theme string) {
	t.Helper()
	call(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
}

const pngURL = "data:image/png;base64,"

func shades(t *testing.T, dataURL string) int {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(dataURL, pngURL))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 2 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 2 {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}

func download(t *testing.T, path string) []byte {
	t.Helper()
	for range 100 {
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			return b
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("no download %s", filepath.Base(path))
	return nil
}

func shoot(t *testing.T, ctx context.Context, width int64, theme string) {
	dir := os.Getenv("WB_SCREENSHOTS")
	if dir == "" {
		return
	}
	height := eval[int64](t, ctx, `document.documentElement.scrollHeight`)
	must(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Sleep(200*time.Millisecond)))
	b, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s.png", width, theme)), b, 0o644))
}
