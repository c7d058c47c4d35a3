//go:build duckdb_arrow

package store

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	wbsql "wb/sql"
)

// Every table, view and column of a file has a comment.
func TestEverythingHasAComment(t *testing.T) {
	d := tempDB(t)
	for _, what := range lines(t, d, `
		SELECT 'table ' || schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal AND coalesce(comment, '') = ''
		UNION ALL SELECT 'view ' || view_name FROM duckdb_views() WHERE NOT internal AND coalesce(comment, '') = ''
		UNION ALL SELECT 'column ' || schema_name || '.' || table_name || '.' || column_name FROM duckdb_columns()
			WHERE NOT internal AND coalesce(comment, '') = ''`) {
		t.Error("no comment on", what)
	}
	if n := one[int](t, d, "SELECT count(*) FROM duckdb_columns() WHERE NOT internal"); n < 200 {
		t.Errorf("only %d columns were looked at", n)
	}
}

// A comment is written once: the text of a view does not repeat a comment that a column would inherit.
func TestNoCommentRepeatsWhatItWouldInherit(t *testing.T) {
	d := tempDB(t)
	want, err := wanted()
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, v := range want.views {
		for _, m := range regexp.MustCompile(`(?m)^COMMENT ON COLUMN (\w+\.\w+) IS`).FindAllStringSubmatch(v.text, -1) {
			written[m[1]] = true
		}
	}
	// the statement is changed to ask about all columns, not only about those without a comment
	const only = " AND v.comment IS NULL"
	q := wbsql.Statement("inherit_comments")
	if !strings.Contains(q, only) || len(written) < 100 {
		t.Fatalf("the statement does not contain%s, or there are only %d comments", only, len(written))
	}
	has := map[string]bool{}
	for _, s := range lines(t, d, `SELECT format('COMMENT ON COLUMN main."{}"."{}" IS ''{}'';', table_name, column_name,
		replace(comment, '''', '''''')) FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal`) {
		has[s] = true
	}
	column := regexp.MustCompile(`^COMMENT ON COLUMN main\."(\w+)"\."(\w+)"`)
	told := 0
	for _, s := range lines(t, d, strings.Replace(q, only, "", 1)) {
		told++
		if m := column.FindStringSubmatch(s); written[m[1]+"."+m[2]] && has[s] {
			t.Errorf("%s.%s would inherit that comment: %s", m[1], m[2], s)
		}
	}
	if told < 200 {
		t.Errorf("only %d columns would inherit", told)
	}
}

// A view may read a column of one name from several places. The comment comes from a raw table first and then from a view, each in the
// order of the text.
func TestCommentsAreInheritedInOrder(t *testing.T) {
	d := tempDB(t)
	for _, q := range []string{
		"CREATE TABLE raw.x1 (a INTEGER, b INTEGER); COMMENT ON COLUMN raw.x1.a IS 'a of x1'; COMMENT ON COLUMN raw.x1.b IS 'it''s b'",
		"CREATE TABLE raw.x2 (a INTEGER, c INTEGER); COMMENT ON COLUMN raw.x2.a IS 'a of x2'; COMMENT ON COLUMN raw.x2.c IS 'c'",
		"CREATE VIEW v1 AS SELECT a, b, 1 AS extra, 2 AS c FROM raw.x1",
		"COMMENT ON COLUMN v1.extra IS 'extra'; COMMENT ON COLUMN v1.c IS 'c of v1'",
		"CREATE VIEW v2 AS SELECT x.a, x.c, v1.b, v1.extra, 3 AS d FROM v1 JOIN raw.x2 x USING (a)",
		"CREATE VIEW v3 AS WITH y AS (SELECT * FROM v2) SELECT y.*, 4 AS e FROM y",
		"CREATE VIEW selected_v1 AS SELECT x.a, x.c FROM raw.x2 x",
	} {
		if _, err := d.db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := d.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := inheritComments(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{
		"v1.a": "a of x1", "v1.b": "it's b", "v1.c": "c of v1", // comments of v1 itself
		"v2.a": "a of x2", "v2.c": "c", "v2.b": "it's b", "v2.extra": "extra", "v2.d": "", // the raw table first
		"v3.a": "a of x2", "v3.extra": "extra", "v3.d": "", "v3.e": "",
		"selected_v1.a": "a of x1", "selected_v1.c": "c of v1", // comments of v1
	} {
		v, c, _ := strings.Cut(column, ".")
		q := fmt.Sprintf("SELECT coalesce(comment, '') FROM duckdb_columns() WHERE table_name = '%s' AND column_name = '%s'", v, c)
		if got := one[string](t, d, q); got != want {
			t.Errorf("%s: %q, want %q", column, got, want)
		}
	}
}
