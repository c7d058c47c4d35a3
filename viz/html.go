package viz

import (
	"bufio"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"wb/queries/table"
)

// assets holds the files of the page. It also holds echarts.min.js if assets/fetch.sh ran before the build.
//
//go:embed assets
var assets embed.FS

// The pinned chart library. assets/fetch.sh pins the same version; the hash is of dist/echarts.min.js.
const (
	echartsVersion   = "5.6.0"
	echartsIntegrity = "sha384-pPi0zxBAoDu6+JXW/C68UZLvBUUtU+7zonhif43rqj7pxsGyqyqzcian2Rj37Rss"
	cdnOrigin        = "https://cdn.jsdelivr.net"
	echartsURL       = cdnOrigin + "/npm/echarts@" + echartsVersion + "/dist/echarts.min.js"
)

const shownRows = 1000 // most rows of a table on a page; the CSV button gives all

// renderHTML writes one page that opens offline: charts, data, SQL and runs. A build without echarts.min.js links it on a CDN.
func renderHTML(w *bufio.Writer, p Page, _ Options) error {
	echarts, _ := assets.ReadFile("assets/echarts.min.js") // a build without the file is supported
	return writePage(w, p, string(echarts))
}

type pageView struct {
	Title          string
	Simulated      bool
	Intro          []string
	Tables         []tableView
	Version        string
	Policy         string // Content-Security-Policy
	CSS            template.CSS
	Script         template.JS
	Data           template.JS
	ECharts        template.JS // the library to inline, or "" to link it
	URL, Integrity string
	HasCharts      bool
	EChartsVersion string
	Lead           *leadView // nil: the tables are not folded
}

type tableView struct {
	*table.Table
	ID, Title      string
	Charts         []chartView
	Head           []cellView
	Rows           [][]cellView
	More           int // rows not shown
	Total          int
	Simulated      bool
	ShowHeading    bool
	DetailsSummary string
	Open, FoldData bool // of a page with a lead
}

type chartView struct {
	*drawing
	ID string
}

type cellView struct {
	Text    string
	Numeric bool
	Null    bool
}

// pageData is what the script reads. CSV is the text that the csv format writes, so that the button gives the same bytes as the command.
type pageData struct {
	Charts map[string]*drawing `json:"charts"`
	CSV    map[string]csvFile  `json:"csv"`
	Forest map[string]*panel   `json:"forest,omitempty"`
}

type csvFile struct {
	File string `json:"file"`
	Text string `json:"text"`
}

func writePage(w *bufio.Writer, p Page, echarts string) error {
	v := pageView{
		Title: p.title(), Simulated: p.simulated(), Intro: p.Intro, Version: p.Version,
		ECharts: template.JS(echarts), URL: echartsURL, Integrity: echartsIntegrity, EChartsVersion: echartsVersion,
	}
	data := pageData{Charts: map[string]*drawing{}, CSV: map[string]csvFile{}}
	for i, t := range p.Tables {
		tv, err := view(t, fmt.Sprintf("t%d", i), data)
		if err != nil {
			return err
		}
		if p.Lead != nil {
			tv.Open, tv.FoldData = slices.Contains(p.Lead.Open, t.Name), len(tv.Charts) > 0
		}
		tv.ShowHeading = tv.Title != v.Title || len(p.Tables) > 1
		v.Tables = append(v.Tables, tv)
	}
	if p.Lead != nil {
		v.Title, v.Lead, data.Forest = cmp.Or(p.Lead.Title, v.Title), leadOf(p.Lead), map[string]*panel{}
		for _, panel := range v.Lead.Forest {
			data.Forest[panel.ID] = panel
		}
	}
	v.HasCharts = len(data.Charts)+len(data.Forest) > 0 // a page without charts needs no library

	// json.Marshal writes <, >, &, U+2028 and U+2029 as escapes, so no cell can end the script element that holds it.
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode data: %w", err)
	}
	v.Data = template.JS(b)
	v.Policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; " +
		"base-uri 'none'; form-action 'none'"
	if v.HasCharts && echarts == "" {
		v.Policy = strings.Replace(v.Policy, "script-src 'unsafe-inline'", "script-src 'unsafe-inline' "+cdnOrigin, 1)
	}
	if v.CSS, v.Script, err = pageAssets(); err != nil {
		return err
	}
	page, err := template.ParseFS(assets, "assets/page.html", "assets/lead.html")
	if err != nil {
		return err
	}
	return page.Execute(w, v)
}

func view(t *table.Table, id string, data pageData) (tableView, error) {
	v := tableView{
		Table: t, ID: id, Title: heading(t), Total: len(t.Rows), Simulated: t.Simulated(),
	}
	for i, c := range t.Charts {
		d, err := draw(t, c)
		if err != nil {
			return v, err
		}
		cv := chartView{drawing: d, ID: fmt.Sprintf("%s-c%d", id, i)}
		v.Charts = append(v.Charts, cv)
		if !d.Empty {
			data.Charts[cv.ID] = d
		}
	}
	right := make([]bool, len(t.Columns))
	for i, c := range t.Columns {
		right[i] = numeric(t, i)
		v.Head = append(v.Head, cellView{Text: printable(c.Name), Numeric: right[i]})
	}
	rows := t.Rows[:min(len(t.Rows), shownRows)]
	v.More = len(t.Rows) - len(rows)
	texts := make([][]string, len(t.Columns))
	for i := range t.Columns {
		texts[i] = columnTexts(t, i)
	}
	for r, row := range rows {
		cells := make([]cellView, len(row))
		for i, c := range row {
			cells[i] = cellView{Text: strings.TrimRight(texts[i][r], " "), Numeric: right[i], Null: c == nil}
		}
		v.Rows = append(v.Rows, cells)
	}
	var text strings.Builder
	b := bufio.NewWriter(&text)
	if err := renderCSV(b, Page{Tables: []*table.Table{t}}, Options{}); err != nil {
		return v, err
	}
	if err := b.Flush(); err != nil {
		return v, err
	}
	data.CSV[id] = csvFile{File: slug(cmp.Or(t.Name, t.Title)) + ".csv", Text: text.String()}

	var about []string
	if t.SQL != "" {
		about = append(about, "SQL")
	}
	if len(t.Params) > 0 {
		about = append(about, "parameters")
	}
	if len(t.Runs) > 0 {
		about = append(about, "runs")
	}
	v.DetailsSummary = strings.Join(about, ", ")
	return v, nil
}
