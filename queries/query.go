// Package queries finds, parses and runs saved queries. They are .sql files that run unchanged in the DuckDB shell. A comment block at
// their head says what they show, which variables they read and how to draw them.
package queries

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries/table"
	wbsql "wb/sql"
)

// Query is one saved query.
type Query struct {
	Name   string // file name without .sql; "" for ad-hoc SQL
	File   string // where it came from, for messages
	Title  string
	About  string
	Group  string // under which wb query --list has it, such as cache; "" for none
	Answer string // the question that it answers, in one line; "" if the header does not say
	Vars   []Var
	Charts []table.Chart
	SQL    string // the whole text, header included

	builtin bool // it is a report of wb
}

// Var is a variable a query reads with getvariable('name').
type Var struct {
	Name    string
	Default string // "" leaves the variable unset unless it was written in quotes
	About   string

	quoted bool // the default was in quotes: the value is a text, whatever it looks like
}

// RunsVar is the variable that says which runs a query is about. Its value is a selector, and the query gets a list of run ids.
const RunsVar = "runs"

// HeaderError is a mistake in the comment block of a query file.
type HeaderError struct {
	File string
	Line int // from 1
	Msg  string
}

func (e *HeaderError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Hint says where headers are described.
func (e *HeaderError) Hint() string { return "docs/reference/queries.md describes the header" }

// MaxQueryBytes is the largest size of a query's text.
const MaxQueryBytes = 1 << 20

var (
	headerLine  = regexp.MustCompile(`^--\s*([a-z][a-z_]*):(?:\s+(.*))?$`)
	keyLine     = regexp.MustCompile(`^--\s*(group|answers|title|about|var|chart):\S`) // a known key that lacks the space
	furtherLine = regexp.MustCompile(`^--\s{3,}(\S.*)$`)
	varLine     = regexp.MustCompile(`^([a-z][a-z0-9_]*)\s*=\s*("[^"]*"|'[^']*'|.*?)(?:\s+--\s*(.*))?$`)
	chartPart   = regexp.MustCompile(`([a-z0-9]+)=("[^"]*"|[^\s"]\S*)`)
	identifier  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

var chartKinds = []string{"line", "area", "bar", "scatter", "interval"}

// Parse reads the header of a query file. Comment lines that are not "-- key: value" are ignored.
// A line that begins with "--" and at least three spaces continues the value of the line before it, even if it looks like a key.
// An unknown key, a key that is given twice or a malformed line is a *HeaderError.
func Parse(file, text string) (*Query, error) {
	name := strings.TrimSuffix(filepath.Base(file), ".sql")
	q := &Query{Name: name, File: file, SQL: text}
	if len(text) > MaxQueryBytes {
		return nil, &HeaderError{file, 1, fmt.Sprintf("longer than %d bytes", MaxQueryBytes)}
	}
	entries, err := header(file, text)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		bad := func(format string, a ...any) error { return &HeaderError{file, e.line, fmt.Sprintf(format, a...)} }
		value := strings.TrimSpace(strings.Join(e.lines, " "))
		if value == "" {
			return nil, bad("%s: needs a value", e.key)
		}
		if e.key != "var" && e.key != "chart" && seen[e.key] {
			return nil, bad("%s: given twice", e.key)
		}
		seen[e.key] = true
		switch e.key {
		case "title":
			q.Title = value
		case "about":
			q.About = value
		case "group":
			q.Group = value
		case "answers":
			q.Answer = value
		case "var":
			v, err := parseVar(value)
			if err == nil && slices.ContainsFunc(q.Vars, func(x Var) bool { return x.Name == v.Name }) {
				err = fmt.Errorf("%s is declared twice", v.Name)
			}
			if err != nil {
				return nil, bad("var: %v", err)
			}
			q.Vars = append(q.Vars, v)
		case "chart":
			c, err := parseChart(value)
			if err != nil {
				return nil, bad("chart: %v", err)
			}
			q.Charts = append(q.Charts, c)
		default:
			return nil, bad("unknown key %q; known are group, answers, title, about, var and chart", e.key)
		}
	}
	if q.Title == "" {
		q.Title = name
	}
	return q, nil
}

// entry is one "-- key: value" of a header, with the number of its first line.
type entry struct {
	line  int
	key   string
	lines []string // of the value
}

// AboutLines gives About line by line, as it stands in the header.
func (q *Query) AboutLines() []string {
	entries, _ := header(q.File, q.SQL) // Parse has checked it
	for _, e := range entries {
		if e.key == "about" {
			return e.lines
		}
	}
	return nil
}

// header gives the entries of the comment block at the head of a query.
func header(file, text string) (entries []entry, _ error) {
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, MaxQueryBytes+1)
	within := false // the line before belongs to an entry
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff"))
		if line == "" {
			within = false
			continue
		}
		if !strings.HasPrefix(line, "--") {
			return entries, nil
		}
		if m := furtherLine.FindStringSubmatch(line); m != nil && within {
			last := &entries[len(entries)-1]
			last.lines = append(last.lines, m[1])
			continue
		}
		if k := keyLine.FindStringSubmatch(line); k != nil {
			return nil, &HeaderError{file, n, k[1] + ": wants a space after the colon"}
		}
		m := headerLine.FindStringSubmatch(line)
		if within = m != nil; within {
			entries = append(entries, entry{n, m[1], []string{strings.TrimSpace(m[2])}})
		}
	}
	if err := sc.Err(); err != nil {
		return nil, &HeaderError{file, 1, err.Error()}
	}
	return nil, &HeaderError{file, 1, "holds no SQL"}
}

// parseVar reads "NAME = DEFAULT -- ABOUT".
func parseVar(value string) (Var, error) {
	v := varLine.FindStringSubmatch(value)
	if v == nil {
		return Var{}, fmt.Errorf("wants NAME = DEFAULT, not %q", value)
	}
	text, quoted := v[2], len(v[2]) > 1 && strings.ContainsAny(v[2][:1], `"'`) && v[2][0] == v[2][len(v[2])-1]
	if quoted {
		text = text[1 : len(text)-1]
	} else if strings.IndexAny(text, `"'`) == 0 {
		return Var{}, fmt.Errorf("%s: the quote is not closed", v[1])
	}
	return Var{v[1], text, v[3], quoted}, nil
}

func parseChart(value string) (table.Chart, error) {
	kind, rest, _ := strings.Cut(strings.ReplaceAll(value, "\t", " "), " ")
	c := table.Chart{Kind: kind}
	if !slices.Contains(chartKinds, kind) {
		return c, fmt.Errorf("unknown kind %q; known are %s", kind, strings.Join(chartKinds, ", "))
	}
	if left := strings.TrimSpace(chartPart.ReplaceAllString(rest, "")); left != "" {
		return c, fmt.Errorf("wants KEY=VALUE, not %q", left)
	}
	given := map[string]bool{}
	for _, m := range chartPart.FindAllStringSubmatch(rest, -1) {
		v := strings.Trim(m[2], `"`)
		if given[m[1]] {
			return c, fmt.Errorf("%s is given twice", m[1])
		}
		given[m[1]] = true
		var err error
		switch m[1] {
		case "x":
			c.X = v
		case "y":
			c.Y = strings.Split(v, ",")
		case "series":
			c.Series = v
		case "marks":
			c.Marks = v
		case "title":
			c.Title = v
		case "stack":
			c.Stack, err = flag(v)
		case "logx":
			c.LogX, err = flag(v)
		case "logy":
			c.LogY, err = flag(v)
		default:
			err = fmt.Errorf("unknown option; known are x, y, series, marks, title, stack, logx and logy")
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", m[1], err)
		}
	}
	if c.X == "" || len(c.Y) == 0 {
		return c, errors.New("needs x=COLUMN and y=COLUMN")
	}
	for _, col := range c.References() {
		if !identifier.MatchString(col) {
			return c, fmt.Errorf("%q is not a valid column name", col)
		}
	}
	if c.Kind == "interval" && (len(c.Y) != 3 || c.LogX || c.LogY) {
		return c, errors.New("interval: wants y=VALUE,LOW,HIGH and linear axes")
	}
	if c.Stack && c.Kind != "bar" && c.Kind != "area" {
		return c, errors.New("stack: only bar and area charts can be stacked")
	}
	if c.Marks != "" && c.Kind != "line" && c.Kind != "area" {
		return c, errors.New("marks: only line and area charts have them")
	}
	return c, nil
}

func flag(v string) (bool, error) {
	switch v {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("wants true or false, not %q", v)
}

// Library is where saved queries are looked for: first a directory of the user, then the built-in reports.
type Library struct {
	Dir string // "" for none
}

// ErrUnknownQuery is returned for a name that is neither a file nor a saved query.
var ErrUnknownQuery = plain.WithHint(errors.New("unknown query"), "wb query --list shows the saved queries")

// Find gives a query by name ("ttft_by_turn") or by the path of a file, which has a slash or ends in ".sql". Names without a slash that are
// not an existing file are looked up in the directory and then among the built-in reports.
func (l Library) Find(name string) (*Query, error) {
	if strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".sql") && there(name) {
		return readFile(name)
	}
	base := strings.TrimSuffix(name, ".sql") + ".sql"
	if l.Dir != "" {
		if _, err := os.ReadDir(l.Dir); err != nil {
			return nil, fmt.Errorf("find query %q: %w", name, err)
		}
		if p := filepath.Join(l.Dir, base); visible(base) && there(p) {
			return readFile(p)
		}
	}
	q, err := Builtin(base)
	if errors.Is(err, ErrUnknownQuery) {
		return nil, l.unknown(name)
	}
	return q, err
}

// Builtin gives a report of wb, whatever files of the user have the same name. Only these run on a connection that can write.
func Builtin(name string) (*Query, error) {
	base := strings.TrimSuffix(name, ".sql") + ".sql"
	text, err := fs.ReadFile(wbsql.Files, "reports/"+base)
	if err != nil {
		return nil, fmt.Errorf("find query %q: %w", name, ErrUnknownQuery)
	}
	q, err := Parse(base, string(text))
	if err == nil {
		q.builtin = true
	}
	return q, err
}

// Internal gives a query about runs whose text is a statement of sql/internal, without the comment in its first line.
func Internal(statement, name, title string) *Query {
	_, text, _ := strings.Cut(strings.TrimSuffix(wbsql.Statement(statement), "\n"), "\n")
	return &Query{Name: name, File: name, Title: title, Vars: []Var{{Name: RunsVar, Default: "latest"}}, SQL: text, builtin: true}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// visible says whether a file of a directory is a query. Hidden files are not: editors and systems leave them there.
func visible(name string) bool {
	return strings.HasSuffix(name, ".sql") && !strings.HasPrefix(name, ".")
}

func readFile(p string) (*Query, error) {
	st, err := os.Stat(p) // only a regular file is opened: a pipe would block
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read query: %s: no such file", p)
	case err != nil:
		return nil, fmt.Errorf("read query: %w", err)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("read query: %s: not a regular file", p)
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxQueryBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	return Parse(p, string(text))
}

// unknown makes the error for a name that is neither a file nor a saved query, with names that may have been meant.
func (l Library) unknown(name string) error {
	base, where := strings.TrimSuffix(name, ".sql"), ""
	if base != name {
		where = ", and no such file"
	}
	known, _ := l.Names() // a directory that cannot be read was reported before
	return plain.Mistake(fmt.Errorf("find query %q: %w%s%s", name, ErrUnknownQuery, where, plain.DidYouMean(base, known)))
}

// Names lists the saved queries, each once, in order.
func (l Library) Names() ([]string, error) {
	files, err := fs.Glob(wbsql.Files, "reports/*.sql")
	if err != nil {
		return nil, err
	}
	if l.Dir != "" {
		entries, err := os.ReadDir(l.Dir)
		if err != nil {
			return nil, fmt.Errorf("list queries: %w", err)
		}
		for _, e := range entries {
			if st, err := os.Stat(filepath.Join(l.Dir, e.Name())); err == nil && st.Mode().IsRegular() && visible(e.Name()) {
				files = append(files, e.Name())
			}
		}
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".sql")
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// AdHoc gives a query from the command line.
func AdHoc(text string) *Query { return &Query{File: "-c", Title: "query", SQL: text} }

// ParseSettings reads values of variables, each written as NAME=VALUE.
func ParseSettings(texts []string) (map[string]string, error) {
	set := map[string]string{}
	for _, s := range texts {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("wants NAME=VALUE, not %q", s)
		}
		if k == RunsVar {
			return nil, errors.New("choose runs with --runs")
		}
		set[k] = v
	}
	return set, nil
}
