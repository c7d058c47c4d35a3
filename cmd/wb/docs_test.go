package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/client"
	"wb/data/plain"
	"wb/data/prefix"
	"wb/queries"
	"wb/store"
)

var update = flag.Bool("update", false, "rewrite the pages of docs/reference that are made from the code")

// same compares a page that is made from the code with what it would be now.
func same(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("../../docs/reference", name)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/reference/%s does not match the code; run make docs", name)
	}
}

// prose writes sentences, one per line and wrapped at 120 characters, behind a first prefix and then another.
func prose(b *strings.Builder, first, then, text string) {
	prefix := first
	for _, sentence := range plain.Sentences(strings.Join(strings.Fields(text), " ")) {
		line := prefix
		for i, word := range strings.Fields(sentence) {
			if len(line)+len(word) > 118 && i > 0 {
				b.WriteString(line + "\n")
				line = then
			}
			if line != "" && !strings.HasSuffix(line, " ") {
				line += " "
			}
			line += word
		}
		b.WriteString(line + "\n")
		prefix = then
	}
}

// docs/reference/commands.md has each command and each flag, as --help has them.
func TestCommandsPage(t *testing.T) {
	const home = "/home/you" // defaults that are folders depend on it
	t.Setenv("HOME", home)
	for _, name := range []string{"XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME", "WB_DB", "WB_QUERIES", "WB_EXTENSION_DIR", "WB_VLLM"} {
		t.Setenv(name, "")
	}
	var b strings.Builder
	b.WriteString("# Commands\n\nThis page is made from the flags by `make docs`.\n`wb COMMAND --help` prints the same.\n")
	root := newRoot(io.Discard, io.Discard)
	root.InitDefaultVersionFlag()
	commandPage(&b, root)
	for _, group := range root.Groups() {
		for _, c := range root.Commands() {
			if c.GroupID != group.ID {
				continue
			}
			commandPage(&b, c)
			for _, sub := range c.Commands() {
				commandPage(&b, sub)
			}
		}
	}
	same(t, "commands.md", strings.ReplaceAll(b.String(), home, "~"))
}

func commandPage(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	for i, paragraph := range strings.Split(about, "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		prose(b, "", "", paragraph)
	}
	if c.Runnable() && c.HasParent() {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n")
		for line := range strings.Lines(c.Example) {
			b.WriteString(strings.TrimPrefix(line, "  "))
		}
		b.WriteString("\n```\n")
	}
	flags := 0
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if flags++; flags == 1 {
			b.WriteString("\n")
		}
		kind, usage := pflag.UnquoteUsage(f)
		head := "--" + f.Name
		if f.Shorthand != "" {
			head = "-" + f.Shorthand + ", " + head
		}
		if kind != "" {
			head += " " + kind
		}
		usage = strings.ReplaceAll(usage, "|", `\|`)
		none := []string{"", "false", "0", "0s"}
		if value := strings.Trim(f.DefValue, "[]"); !slices.Contains(none, value) && f.Name != "extension-dir" {
			usage += " (default " + value + ")"
		}
		prose(b, "- `"+head+"`: ", "  ", usage)
	})
}

// docs/reference/schema.md has each table, view and column with its comment.
func TestSchemaPage(t *testing.T) {
	c := newFile(t)
	rows, err := c.QueryContext(t.Context(), `SELECT schema_name, o.name, o.kind, coalesce(o.comment, ''),
			column_name, data_type, coalesce(c.comment, '')
		FROM (SELECT schema_name, table_name AS name, 'table' AS kind, comment FROM duckdb_tables() WHERE NOT internal
			UNION ALL SELECT schema_name, view_name, 'view', comment FROM duckdb_views() WHERE NOT internal) o
		JOIN duckdb_columns() c USING (schema_name) WHERE c.table_name = o.name AND schema_name IN ('main', 'raw')
		ORDER BY schema_name, o.name, column_index`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	b.WriteString("# Schema\n\nThis page is made from the comments in the file by `make docs`.\n" +
		"The views of the schema `main` are for people; the tables of `raw` hold the facts as they were recorded.\n" +
		"NULL means that it is not known; it never means 0.\n")
	schema, object := "", ""
	for rows.Next() {
		var s, name, kind, about, column, typ, comment string
		if err := rows.Scan(&s, &name, &kind, &about, &column, &typ, &comment); err != nil {
			t.Fatal(err)
		}
		if about == "" || comment == "" {
			t.Errorf("%s.%s has no comment, or its column %s has none", s, name, column)
		}
		if s != schema {
			fmt.Fprintf(&b, "\n## %s\n", map[string]string{"main": "Views", "raw": "Facts"}[s])
		}
		if s+name != object {
			shown := name
			if s == "raw" {
				shown = "raw." + name
			}
			fmt.Fprintf(&b, "\n### `%s`\n\n", shown)
			prose(&b, "", "", capital(about)+".")
			b.WriteString("\n")
		}
		schema, object = s, s+name
		prose(&b, "- `"+column+"` ("+typ+"): ", "  ", comment)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	same(t, "schema.md", b.String())
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// reportIndex writes the groups, with the question that each report answers.
func reportIndex(b *strings.Builder, all []*queries.Query) {
	for i, q := range all {
		if i == 0 || q.Group != all[i-1].Group {
			fmt.Fprintf(b, "\n%s:\n\n", capital(q.Group))
		}
		fmt.Fprintf(b, "- [`%s`](#%s): %s\n", q.Name, q.Name, q.Answer)
	}
}

// docs/reference/reports.md has each saved query with its variables, charts and columns.
func TestReportsPage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.duckdb")
	for _, name := range []string{"a", "b"} {
		args := []string{"run", "--db", file, "--sim-profile", "instant", "--conversations", "rag_simulation", "--max-turns", "2",
			"--max-tokens", "2", "--repeat", "2", "--quiet", "--name", name}
		if code := run(args, nil, io.Discard, io.Discard); code != 0 {
			t.Fatalf("wb run: exit %d", code)
		}
	}
	all, err := queries.Library{}.All()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Reports\n\nThis page is made from the saved queries by `make docs`.\n" +
		"`wb query NAME` runs one, and [queries.md](queries.md) says how.\n")
	reportIndex(&b, all)
	for i, q := range all {
		name := q.Name
		if i == 0 || q.Group != all[i-1].Group {
			fmt.Fprintf(&b, "\n## %s\n", capital(q.Group))
		}
		if q.About == "" {
			t.Errorf("%s has no about", name)
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n", name, q.Answer)
		title := q.Title
		if !strings.HasSuffix(title, "?") {
			title += "."
		}
		prose(&b, "", "", title)
		for _, line := range q.AboutLines() {
			prose(&b, "", "", line)
		}
		b.WriteString("\n")
		for _, v := range q.Vars {
			about := v.About
			if about == "" && v.Name == queries.RunsVar {
				about = "which runs"
			}
			prose(&b, fmt.Sprintf("- Variable `%s`, default `%s`: ", v.Name, v.Default), "  ", about)
		}
		for _, c := range q.Charts {
			title := c.Title
			if title == "" {
				title = q.Title
			}
			prose(&b, "- Chart: ", "  ", fmt.Sprintf("%s of `%s` by `%s`, \"%s\"", c.Kind, strings.Join(c.Y, "`, `"), c.X, title))
		}
		var out, errs bytes.Buffer
		if code := run([]string{"query", name, "--db", file, "--runs", "a,b", "--format", "csv"}, nil, &out, &errs); code != 0 {
			t.Fatalf("wb query %s: exit %d: %s", name, code, &errs)
		}
		columns, err := csv.NewReader(&out).Read()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		columns = slices.DeleteFunc(columns, func(c string) bool { return c == "simulated" })
		prose(&b, "- Columns: ", "  ", "`"+strings.Join(columns, "`, `")+"`.")
	}
	same(t, "reports.md", b.String())
}

// docs/reference/statuses.md names each status, each kind of event, each cause of a miss and each exit code.
func TestStatusesPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/reference/statuses.md")
	if err != nil {
		t.Fatal(err)
	}
	events, err := os.ReadFile("../../store/words.go")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, m := range regexp.MustCompile(`EventKind += "(\w+)"`).FindAllSubmatch(events, -1) {
		kinds = append(kinds, string(m[1]))
	}
	if len(kinds) < 20 {
		t.Errorf("only %d kinds of events were found", len(kinds))
	}
	words := slices.Concat(kinds, texts(client.Statuses()), texts(prefix.Causes()), texts(store.RunStatuses()), texts(store.SessionStatuses()))
	for _, w := range words {
		if !strings.Contains(string(b), "`"+w+"`") {
			t.Errorf("docs/reference/statuses.md does not name `%s`", w)
		}
	}
	for _, code := range []int{0, exitFailed, exitUsage, exitGate, exitInterrupted} {
		if !strings.Contains(string(b), fmt.Sprintf("| %d |", code)) {
			t.Errorf("docs/reference/statuses.md does not name the exit code %d", code)
		}
	}
}

// The glossary defines each word once.
func TestGlossary(t *testing.T) {
	b, err := os.ReadFile("../../docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`\*\*([^*]+)\*\*`).FindAllStringSubmatch(string(b), -1) {
		if seen[m[1]] {
			t.Errorf("%s is defined twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, word := range []string{"run", "session", "turn", "repeat", "cell", "placement", "KV block", "cached tokens", "ideal",
		"noise", "verdict", "lake"} {
		if !seen[word] {
			t.Errorf("%s is not defined", word)
		}
	}
}

// Each decision has one page, with its date and what else was possible, and the index names it.
func TestDecisions(t *testing.T) {
	const folder = "../../docs/design/decisions/"
	index, err := os.ReadFile(folder + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(folder + "*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages (%v)", len(files), err)
	}
	dated := regexp.MustCompile(`(?m)^Date: 20\d\d-\d\d-\d\d$`)
	for _, file := range files {
		name := filepath.Base(file)
		if name == "README.md" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !dated.Match(b) {
			t.Errorf("%s has no date", name)
		}
		for _, part := range []string{"Context", "Decision", "Alternatives", "Consequences"} {
			if !bytes.Contains(b, []byte("\n## "+part+"\n")) {
				t.Errorf("%s has no part %s", name, part)
			}
		}
		if !bytes.Contains(index, []byte("]("+name+")")) {
			t.Errorf("the index does not name %s", name)
		}
	}
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors gives the names by which a page's headings are linked.
func anchors(text string) (names []string) {
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

// Every link of a document leads to a file, or to a heading, that is there.
func TestLinksOfDocuments(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mdLink.FindAllStringSubmatch(string(b), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			text, err := os.ReadFile(path)
			if st, serr := os.Stat(path); err != nil && (serr != nil || !st.IsDir()) {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: the link %s leads to no heading", page, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}
