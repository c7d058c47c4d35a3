package output

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries/table"
	"wb/viz"
)

// MakeDir creates a folder and those above it, unless they exist.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, plain.PathCause(err))
	}
	return nil
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// fileName makes the name of a report's files from the name of a run. It adds the id if another run could have the same file name.
func fileName(r table.RunRef) string {
	const longest = 80
	id := r.ID[:min(8, len(r.ID))]
	base := strings.TrimSuffix(r.Name, " "+id) // the view runs adds the id to names that several runs have
	name := strings.Trim(unsafeName.ReplaceAllString(base, "-"), "-.")
	if name == r.Name && len(name) <= longest && !strings.HasSuffix(name, systemFacts) {
		return name
	}
	return strings.TrimLeft(name[:min(len(name), longest)]+"-"+id, "-")
}

// systemFacts is at the end of the name of the file that describes machine, server and settings.
const systemFacts = "_system"

// Report is the content of a report's files.
type Report struct {
	Tables        []*table.Table          // overview first
	Empty         []string                // names of tables without rows
	Conversations *table.Table            // one row per conversation, with what the machine did: the CSV file
	System        []*table.Table          // machine, server and settings
	Short         func(*table.Table) bool // says which tables go into the Markdown file of several runs
	Version       string
	Opening       []*table.Table // what the page opens with: see queries/report.Opening
	Margin        float64        // of the comparison; 0.02 for 2 %
}

// WriteReport writes NAME.csv (one row per conversation), NAME.json (all tables, and the system's), NAME.md (short, to be pasted),
// NAME.html and NAME_system.json into a folder. It creates the folder if it does not exist, and returns the paths of the files.
func WriteReport(dir string, r Report) ([]string, error) {
	tables, empty, sys, version := r.Tables, r.Empty, r.System, r.Version
	runs := tables[0].Runs
	name, title := fileName(runs[0]), "Run "+runs[0].Name
	if len(runs) > 1 {
		other := fmt.Sprintf("and-%d-more", len(runs)-1)
		if len(runs) == 2 {
			other = "and-" + fileName(runs[1])
		}
		name, title = name+"-"+other, fmt.Sprintf("%d runs", len(runs))
	}
	if err := MakeDir(dir); err != nil {
		return nil, err
	}
	page := viz.Page{Title: title, Tables: tables, Version: version}
	if len(empty) > 0 {
		page.Intro = []string{"Left out because they have no rows: " + strings.Join(empty, ", ") + "."}
	}
	html := page
	html.Intro, html.Lead = nil, r.lead()
	html.Tables = r.folded()
	summary := page
	if summary.Tables = tables[:1]; r.Conversations != nil && len(r.Conversations.Rows) > 0 { // there are none if every turn failed
		summary.Tables = []*table.Table{r.Conversations}
	}
	whole := page
	whole.Tables = slices.Concat(r.Opening, tables, sys)
	var files []string
	for _, x := range []struct {
		suffix, format string
		page           viz.Page
	}{{".csv", "csv", summary}, {".json", "json", whole}, {".md", "md", textPage(r, page)}, {".html", "html", html},
		{systemFacts + ".json", "json", viz.Page{Title: title, Tables: sys, Version: version}}} {
		p := filepath.Join(dir, name+x.suffix)
		if err := WritePage(p, x.format, x.page); err != nil {
			return nil, err
		}
		files = append(files, p)
	}
	return files, nil
}
