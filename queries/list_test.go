//go:build duckdb_arrow

package queries

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every built-in report is in a group, and its line in the list fits a terminal of 80 columns.
func TestBuiltinGroups(t *testing.T) {
	all, err := Library{}.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if !slices.Contains(Groups(), q.Group) {
			t.Errorf("%s: group %q is none of %v", q.Name, q.Group, Groups())
		}
		if n := utf8.RuneCountInString(q.Answer); n == 0 || n > 52 || !strings.HasSuffix(q.Answer, "?") {
			t.Errorf("%s: answers %q, which wants to be a question of at most 52 characters", q.Name, q.Answer)
		}
		if len(q.Name) > 24 {
			t.Errorf("%s: the name is longer than 24 characters", q.Name)
		}
	}
	tables, err := Library{}.GroupedList()
	if err != nil || len(tables) != len(Groups()) {
		t.Fatalf("%d groups (%v)", len(tables), err)
	}
	rows := 0
	for i, table := range tables {
		if !strings.EqualFold(table.Title, Groups()[i]) {
			t.Errorf("group %d is %q, want %q", i, table.Title, Groups()[i])
		}
		rows += len(table.Rows)
	}
	if rows != len(all) {
		t.Errorf("the groups have %d reports of %d", rows, len(all))
	}
}

// Queries of the user come in their groups, after those of wb; a query without a header is in the last group, with its name.
func TestGroupedListOfUser(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain":   "SELECT 1",
		"mine":    "-- group: my group\n-- answers: What is mine?\nSELECT 1",
		"further": "-- group: cache\n-- title: Further\nSELECT 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".sql"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := Library{Dir: dir}.GroupedList()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, table := range tables {
		for _, row := range table.Rows {
			if slices.Contains([]any{"plain", "mine", "further"}, row[0]) {
				got = append(got, table.Title+": "+row[0].(string)+" "+row[1].(string))
			}
		}
	}
	want := []string{"Cache: further Further", "My group: mine What is mine?", "Other: plain plain"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHelp(t *testing.T) {
	q, err := Parse("slow.sql", "-- title: Slow turns\n-- answers: Which turns are slow?\n-- about: One.\n--   Two.\n-- var: runs = latest\n"+
		"-- var: factor = 5 -- how far above the median\n-- var: x =\nSELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	want := `slow: Which turns are slow?

Slow turns.
One.
Two.

Variables:
  --runs SELECTOR  which runs (default latest)
  --set factor=5  how far above the median
  --set x=

wb query --help lists the other flags.
`
	if got := q.Help("wb"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := AdHoc("SELECT 1").Help("wb"); strings.Contains(got, "Variables") {
		t.Errorf("a query without variables: %s", got)
	}
}
