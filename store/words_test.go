//go:build duckdb_arrow

package store

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	wbsql "wb/sql"
)

// sqlTexts returns all SQL texts of sql/ by name, without comments.
func sqlTexts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(wbsql.Files, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(wbsql.Files, p)
		out[p] = regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(string(text), "")
		return err
	})
	if err != nil || len(out) < 50 {
		t.Fatalf("%d texts, %v", len(out), err)
	}
	return out
}

var (
	statement = regexp.MustCompile(`(?s)[^;]+`)
	compared  = regexp.MustCompile(`\b(status|kind)\s*(?:=|<>|IN|NOT IN)\s*(\([^()]*'[^()]*\)|'[^']*')`)
	quotedOne = regexp.MustCompile(`'([^']*)'`)
)

// The statuses and the kinds of events that SQL uses are declared. So this test fails when a word is renamed here and not there.
func TestWordsOfSQL(t *testing.T) {
	known := map[string][]string{"status": {
		// statuses of turns, which collect declares, and of starts of servers
		"http_error", "refused", "timeout", "cut", "damaged", "server_error", "overflow", "ready",
	}}
	for _, s := range RunStatuses() {
		known["status"] = append(known["status"], string(s))
	}
	for _, s := range SessionStatuses() {
		known["status"] = append(known["status"], string(s))
	}
	for _, k := range EventKinds() {
		known["kind"] = append(known["kind"], string(k))
	}
	found := map[string]int{}
	for name, text := range sqlTexts(t) {
		for _, s := range statement.FindAllString(text, -1) {
			for _, m := range compared.FindAllStringSubmatch(s, -1) {
				if m[1] == "kind" && !strings.Contains(s, "raw.event") && !strings.Contains(s, "FROM events") {
					continue // kinds of chunks, token ids or engines
				}
				for _, w := range quotedOne.FindAllStringSubmatch(m[2], -1) {
					found[m[1]]++
					if !slices.Contains(known[m[1]], w[1]) {
						t.Errorf("%s: the %s %q is not declared in store/words.go", name, m[1], w[1])
					}
				}
			}
		}
	}
	if found["status"] < 10 || found["kind"] < 5 {
		t.Errorf("too few words were found: %v", found)
	}
}

// The comments of the schema list exactly the declared words.
func TestWordsOfComments(t *testing.T) {
	d := tempDB(t)
	comment := func(table, column string) []string {
		t.Helper()
		text := one[string](t, d, "SELECT comment FROM duckdb_columns() WHERE schema_name = 'raw' AND table_name = '"+table+
			"' AND column_name = '"+column+"'")
		text, _, _ = strings.Cut(text, " (")
		words := regexp.MustCompile(`\w+`).FindAllString(text, -1)
		return slices.DeleteFunc(words, func(w string) bool { return w == "or" })
	}
	var runs, sessions, events []string
	for _, s := range RunStatuses() {
		runs = append(runs, string(s))
	}
	for _, s := range SessionStatuses() {
		sessions = append(sessions, string(s))
	}
	for _, k := range EventKinds() {
		events = append(events, string(k))
	}
	if got := comment("run", "status"); !slices.Equal(got, runs) {
		t.Errorf("raw.run.status lists %q, but %q are declared", got, runs)
	}
	if got := comment("session", "status"); !slices.Equal(got, sessions) {
		t.Errorf("raw.session.status lists %q, but %q are declared", got, sessions)
	}
	for _, k := range comment("event", "kind") {
		if !slices.Contains(events, k) {
			t.Errorf("raw.event.kind lists %q, which is not declared", k)
		}
	}
	if slices.Sort(events); len(slices.Compact(slices.Clone(events))) != len(events) {
		t.Errorf("a kind is declared twice: %q", events)
	}
}

// The first line of each file in sql/internal is a comment that says what it is for.
func TestStatementsSayWhatTheyAreFor(t *testing.T) {
	names, err := fs.Glob(wbsql.Files, "internal/*.sql")
	if err != nil || len(names) < 20 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		text := wbsql.Statement(strings.TrimSuffix(path.Base(n), ".sql"))
		if !regexp.MustCompile(`^-- \S.+\n`).MatchString(text) {
			t.Errorf("%s does not begin with a comment", n)
		}
	}
}
