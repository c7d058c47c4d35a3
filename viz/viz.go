// Package viz renders tables: aligned text for terminals, CSV, Markdown, JSON, NDJSON, and one self-contained HTML page with charts. In
// every format it marks figures of the simulator. It decides how figures look. It must not know what they mean, where they come from, or
// where its output goes.
package viz

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"wb/queries/table"
)

// Page is what Render shows: a title, an introduction, and tables in the order in which they are read.
type Page struct {
	Title   string
	Tables  []*table.Table
	Intro   []string // lines under the title
	Version string   // wb's version, for the footer
	Wide    bool     // on a terminal, show all columns, even if they are wider than it
	More    string   // what shows the columns that do not fit a terminal; "" means the flag --wide
	Lead    *Lead    // what an HTML page opens with; nil: it opens with the tables
}

// Options describe the place where the page is shown; they do not depend on the data.
type Options struct {
	Width int  // terminal columns; 0 means unlimited
	Color bool // use ANSI colours
}

// renderer writes a page in one format. A new format needs a file and a line in renderers.
type renderer func(w *bufio.Writer, p Page, o Options) error

var renderers = []struct {
	format string
	render renderer
}{
	{"table", renderTable},
	{"csv", renderCSV},
	{"md", renderMarkdown},
	{"json", renderJSON},
	{"ndjson", renderNDJSON},
	{"html", renderHTML},
}

// Formats lists the formats that Render knows, with the default first.
func Formats() []string {
	names := make([]string, len(renderers))
	for i, r := range renderers {
		names[i] = r.format
	}
	return names
}

// Render writes a page in a format. csv and ndjson take exactly one table, and the other formats any number. It returns an error if the
// format is unknown or w fails.
func Render(w io.Writer, format string, p Page, o Options) error {
	for _, r := range renderers {
		if r.format != format {
			continue
		}
		b := bufio.NewWriterSize(w, 64<<10)
		if err := r.render(b, p, o); err != nil {
			return fmt.Errorf("viz: render %s: %w", format, err)
		}
		if err := b.Flush(); err != nil {
			return fmt.Errorf("viz: write %s: %w", format, err)
		}
		return nil
	}
	return fmt.Errorf("viz: choose format: no format %q; known are %s", format, strings.Join(Formats(), ", "))
}

func (p Page) simulated() bool {
	for _, t := range p.Tables {
		if t.Simulated() {
			return true
		}
	}
	return false
}

// title is never empty, so that every format has a heading that can carry the mark of simulated figures.
func (p Page) title() string {
	switch {
	case p.Title != "":
		return p.Title
	case len(p.Tables) == 1:
		return heading(p.Tables[0])
	}
	return "wb"
}

func heading(t *table.Table) string {
	switch {
	case t.Title != "":
		return t.Title
	case t.Name != "":
		return t.Name
	}
	return "query"
}

func (p Page) one() (*table.Table, error) {
	if len(p.Tables) != 1 {
		return nil, fmt.Errorf("takes one table, got %d", len(p.Tables))
	}
	return p.Tables[0], nil
}

// null stands for NULL in formats for people. It differs from every figure and from the empty string.
const null = "·"

// short writes a cell for people: tokens and bytes as sizes, other floats with four significant digits, NULL as a middle dot. The result
// may hold control characters.
func short(c table.Column, v any) string {
	if s, ok := size(c, v); ok {
		return s
	}
	switch v := v.(type) {
	case nil:
		return null
	case float64:
		return shortFloat(v)
	case time.Time:
		if c.Type == "DATE" || c.Type == "TIME" {
			return full(c, v)
		}
		if c.Name == "started_at" || c.Name == "ended_at" { // of a run: nobody reads its milliseconds
			return v.UTC().Format("2006-01-02 15:04:05Z")
		}
		return v.UTC().Format("2006-01-02 15:04:05.000Z")
	}
	return full(c, v)
}

// full writes a cell for programs, without any loss. NULL is the empty string.
func full(c table.Column, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return formatTime(c.Type, v)
	}
	j := newJSONWriter()
	j.value("", v)
	return j.String()
}

func formatTime(duckType string, v time.Time) string {
	switch duckType {
	case "DATE":
		return v.UTC().Format(time.DateOnly)
	case "TIME":
		return v.UTC().Format("15:04:05.999999999")
	}
	return v.UTC().Format(time.RFC3339Nano)
}

// shortFloat keeps four significant digits and all digits before the point. It writes an exponent only instead of many zeros.
func shortFloat(f float64) string {
	a := math.Abs(f)
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return strconv.FormatFloat(f, 'g', -1, 64)
	case a == 0:
		return "0"
	case a < 1e-4 || a >= 1e21:
		return strconv.FormatFloat(f, 'g', 4, 64)
	case a >= 1000:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	s := strconv.FormatFloat(f, 'f', 3-int(math.Floor(math.Log10(a))), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// number reads a cell as a figure. Integers that are too large for int64 are decimal strings.
func number(c table.Column, v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		if numericType(c.Type) {
			f, err := strconv.ParseFloat(v, 64)
			return f, err == nil
		}
	}
	return 0, false
}

func numericType(duckType string) bool {
	base, _, _ := strings.Cut(duckType, "(")
	if strings.HasSuffix(duckType, "]") {
		return false
	}
	switch base {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
		"FLOAT", "DOUBLE", "DECIMAL", "BIGNUM", "VARINT":
		return true
	}
	return false
}

// numeric says whether column i holds figures: by its type or, if the type is unknown, by its cells.
func numeric(t *table.Table, i int) bool {
	if t.Columns[i].Type != "" {
		return numericType(t.Columns[i].Type)
	}
	some := false
	for _, row := range t.Rows {
		if row[i] == nil {
			continue
		}
		if _, ok := number(t.Columns[i], row[i]); !ok {
			return false
		}
		some = true
	}
	return some
}

// Whole splits b into whole characters and the bytes of a last character that is not complete yet.
func Whole(b []byte) (text, rest []byte) {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-n], append([]byte(nil), tail...)
			}
			break
		}
	}
	return b, nil
}

// Printable escapes characters that could drive a terminal or reorder a line. Names come from users and servers, and may hold such.
func Printable(s string) string { return printable(s) }

func printable(s string) string {
	clean := func(r rune) bool {
		return unicode.IsGraphic(r) && r != utf8.RuneError || r == '\u200c' || r == '\u200d' // they join characters of some scripts, and emoji
	}
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r) || r == utf8.RuneError && size > 1:
			b.WriteRune(r)
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += size
	}
	return b.String()
}

// simulatedRows says for each row whether it comes from the simulator. It gives nil if no run is simulated. A row that names no known run
// counts as simulated: a mark too many is better than one too few.
func simulatedRows(t *table.Table) []bool {
	if !t.Simulated() {
		return nil
	}
	col := t.ColumnIndex("run_id")
	if col < 0 {
		col = t.ColumnIndex("run")
	}
	marks := make([]bool, len(t.Rows))
	for i, row := range t.Rows {
		marks[i] = true
		if col < 0 {
			continue
		}
		if known, simulated := lookupRun(t, row[col]); known {
			marks[i] = simulated
		}
	}
	return marks
}

// lookupRun finds a run by id or name. If several have the name, they count as simulated when one of them is.
func lookupRun(t *table.Table, cell any) (known, simulated bool) {
	s, ok := cell.(string)
	if !ok {
		return false, false
	}
	for _, r := range t.Runs {
		if s == r.ID {
			return true, r.Simulated
		}
		if s == r.Name {
			known, simulated = true, simulated || r.Simulated
		}
	}
	return known, simulated
}
