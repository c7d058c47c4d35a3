//go:build duckdb_arrow

package queries

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wb/queries/internal/fixture"
	"wb/queries/table"
)

// oneTurn are the reports whose rows are one turn, or one gap of one turn. Only they may use the plain names of the views.
var oneTurn = []string{
	"cache_counters_agree", "compare_turns", "failed_turns", "first_divergence", "stalls", "ttft_by_context", "turn_details",
}

var (
	statistic = regexp.MustCompile(`(^|_)(p50|p90|p95|p99|mean|min|max|total|longest|peak)(_|$)`)
	listed    = regexp.MustCompile("(?m)^\\| ((?:`[a-z0-9_]+`(?:, )?)+) \\| ")
	codeWord  = regexp.MustCompile("`([a-z0-9_]+)`")
)

// meanings are the names that docs/reference/columns.md lists. A name is listed once.
func meanings(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/reference/columns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(text), "## Names without a statistic")
	if !found {
		t.Fatal("the page has no list of names")
	}
	names := map[string]bool{}
	for _, line := range listed.FindAllStringSubmatch(list, -1) {
		for _, name := range codeWord.FindAllStringSubmatch(line[1], -1) {
			if names[name[1]] {
				t.Errorf("%s has two meanings", name[1])
			}
			names[name[1]] = false
		}
	}
	return names
}

// One name has one meaning: a row of several turns says which statistic a figure is, or the name is listed with its meaning.
func TestOneNameOneMeaning(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	known := meanings(t)
	inView := map[string]bool{}
	for _, row := range ask(t, db, "SELECT DISTINCT column_name FROM duckdb_columns() WHERE schema_name = 'main'", "all").Rows {
		inView[row[0].(string)] = true
	}
	names, err := Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]*table.Table{}
	for _, name := range names {
		if tables[name], err = find(t, name).Run(ctx, db, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	what := WhatIf{Runs: fixture.Late, BlockSizes: []int{16}, PoolTokens: []int64{0}}
	if tables["cache simulate"], err = Simulate(ctx, db, what); err != nil {
		t.Fatal(err)
	}
	for name, tb := range tables {
		for _, c := range tb.Columns {
			_, listed := known[c.Name]
			if listed {
				known[c.Name] = true
			}
			plain := slices.Contains(oneTurn, name) && inView[c.Name]
			switch {
			case c.Name == "turn" && c.Type != "INTEGER" && c.Type != "BIGINT":
				t.Errorf("%s: turn is %s and must be a number", name, c.Type)
			case c.Name == "variant":
				t.Errorf("%s: the name for people is placement", name)
			case !listed && !statistic.MatchString(c.Name) && !plain:
				t.Errorf("%s: %s says no statistic, and docs/reference/columns.md does not list it", name, c.Name)
			}
		}
	}
	for name, used := range known {
		if !used {
			t.Errorf("docs/reference/columns.md lists %s, which no report has", name)
		}
	}
}
