package queries

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wb/queries/internal/fixture"
	"wb/store"
	elsewhere "wb/store/history"
)

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                   nil,
		" ;; -- nothing\n /* ; */":           nil,
		"SELECT 1":                           {"SELECT 1"},
		"SELECT 1;":                          {"SELECT 1"},
		"SELECT 1; -- a; b\n":                {"SELECT 1"},
		"/* a; */ SELECT 1; SELECT 2":        {"SELECT 1", "SELECT 2"},
		"SELECT ';', \";\", 'it''s;' ;":      {"SELECT ';', \";\", 'it''s;' "},
		"SELECT e'\\';' ; SELECT 2":          {"SELECT e'\\';' ", "SELECT 2"},
		"SELECT name'\\'; SELECT 2":          {"SELECT name'\\'", "SELECT 2"},
		"SELECT $$ ; $$, $a$ ; $$ $a$; x":    {"SELECT $$ ; $$, $a$ ; $$ $a$", "x"},
		"SELECT a$b$; SELECT c$b$":           {"SELECT a$b$", "SELECT c$b$"},
		"SELECT 1 -- a\r; b":                 {"SELECT 1 -- a\r", "b"},
		"/* /* ; */ ; */ SELECT 1 /* ; ":     {"SELECT 1 /* ; "},
		"SELECT 'open ; ":                    {"SELECT 'open ; "},
		"SELECT $1; SELECT $2":               {"SELECT $1", "SELECT $2"},
		"-- title: x; y\nSELECT 1 -- ; end":  {"SELECT 1 -- ; end"},
		"SET VARIABLE x = 1; (SELECT 2); \n": {"SET VARIABLE x = 1", "(SELECT 2)"},
	} {
		if got := split(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range hostile(f, "d", "o", "s") {
		f.Add(s[:min(len(s), 200)])
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for _, p := range split(text) {
			i := strings.Index(text[at:], p)
			if p == "" || i < 0 {
				t.Fatalf("%q is not a part of %q in its place", p, text)
			}
			at += i + len(p)
		}
	})
}

// Ordinary queries run on files and on folders. Some that are refused on a folder or a lake run on a file.
func TestQueriesThatRun(t *testing.T) {
	file, folder := fixture.History(t), exported(t)
	for _, c := range []struct {
		text, want string
		fileOnly   bool
	}{
		{"SELECT 1", "1", false},
		{"-- x\r\nFROM (VALUES (1), (2)) t(a) SELECT sum(a)", "3", false},
		{"SET VARIABLE x = 7; SET VARIABLE y = [getvariable('x'), 1]; SELECT getvariable('y')[1]", "7", false},
		{"set variable \"x y\" to (SELECT count(*) FROM runs); SELECT getvariable('x y') > 0;", "true", false},
		{"CREATE TEMP TABLE a AS SELECT 3 AS i; CREATE OR REPLACE TEMP VIEW b AS FROM a; FROM b", "3", false},
		{"CREATE TEMP MACRO twice(a, b := 2) AS (a * b); SELECT twice(4)", "8", false},
		{"CREATE TEMP FUNCTION upto(n) AS TABLE FROM range(n); SELECT max(range) FROM upto(5)", "4", false},
		{"SELECT count(*) > 0 FROM (DESCRIBE turns)", "true", false},
		{"EXPLAIN SELECT 1", "physical_plan *", false},
		{"EXPLAIN(SELECT 1)", "physical_plan *", false},
		{"EXPLAIN (ANALYZE, FORMAT json) SELECT 1", "analyzed_plan *", false},
		{"EXPLAIN/*c*/SELECT 1 -- the end", "physical_plan *", false},
		{"CREATE /*a*/ TEMP -- b\nTABLE/**/t(i) AS(SELECT 4); FROM t", "4", false},
		{"SET /*c*/ VARIABLE größe /* d */ = 1; CREATE TEMP TABLE temp.breite AS SELECT 2 AS i; " +
			"SELECT getvariable('größe') + i FROM breite", "3", false},
		{"CREATE TEMP MACRO größe(x := -1, y := 'it''s') AS concat(x, y); SELECT größe()", "-1it's", false},
		{"SELECT 'infinity'::TIMESTAMP, '-infinity'::DATE, '12:00:00+02'::TIMETZ", "infinity -infinity 12:00:00+02:00", false},
		{"SELECT 12345678901234567890.125::DECIMAL(38,3), 1.25::DECIMAL(4,2)", "12345678901234567890.125 1.25", false},
		{"PRAGMA table_info(\"runs\")", "0 run_id *", true},
		{"SELECT current_setting('threads') > 0", "true", true},
		{"EXPLAIN ANALYZE SELECT count(*) FROM runs", "analyzed_plan *", false},
		{"SELECT * FROM (PIVOT (VALUES (1, 'a'), (2, 'b')) t(i, k) ON k IN ('a', 'b') USING sum(i))", "1 2", false},
		{"PIVOT (FROM range(2) t(i)) ON i USING sum(i)", "0 1", true},
		{"WITH t AS (FROM range(2) t(i)) PIVOT t ON i USING sum(i)", "0 1", true},
		{"UNPIVOT (SELECT 1 AS a) ON a", "a 1", false},
		{"PRAGMA table_info('runs'); -- the end", "0 run_id *", true},
		{"CALL pragma_version()", "v1.5.5 *", false},
		{"SELECT name.upper() FROM runs WHERE name = 'base'", "BASE", false},
		{"SELECT count(*) > 10 FROM duckdb_columns() WHERE table_name = 'turns'", "true", false},
		{"SELECT count(*) > 10 FROM information_schema.columns WHERE table_name = 'turns'", "true", false},
		{"SELECT count(*) > 0 FROM duckdb_settings()", "true", true},
		{"SELECT count(*) FROM memory.runs", "3", false},
		{"SELECT unnest(generate_series(1, 1))", "1", false},
		{"SELECT value FROM json_each('{\"a\": 5}')", "5", false},
		{"(SELECT 1) UNION ALL (SELECT 1) LIMIT 1", "1", false},
	} {
		for _, db := range []*store.DB{file, folder} {
			text1 := c.text
			if db == file {
				text1 = strings.ReplaceAll(text1, "memory.runs", "main.runs")
			} else if c.fileOnly {
				continue
			}
			tb, err := AdHoc(text1).Run(context.Background(), db, Options{})
			if err != nil {
				t.Errorf("%s: %v", text1, err)
				continue
			}
			got := fixture.Text(t, tb)
			if start, open := strings.CutSuffix(c.want, "*"); got != c.want && (!open || !strings.HasPrefix(got, start)) {
				t.Errorf("%s: got %q, want %q", text1, got, c.want)
			}
		}
	}
}

// Every report also runs as a query of a user, which the guard checks.
func TestReportsPassTheGuard(t *testing.T) {
	names, err := Library{}.Names()
	if err != nil {
		t.Fatal(err)
	}
	folder := exported(t)
	for _, name := range names {
		q, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		q.builtin = false
		if _, err := q.Run(context.Background(), folder, Options{Runs: "all"}); err != nil && !strings.Contains(err.Error(), "no variable") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	file, folder := fixture.History(t), exported(t)
	const allowed = "SELECT and its variants are allowed, with SET VARIABLE and CREATE TEMP TABLE, VIEW or MACRO before it"
	for _, c := range []struct {
		db         *store.DB
		text, want string
	}{
		{file, "COPY raw.run TO 'x'", "-c: COPY: a query only reads: " + allowed},
		{file, "SELECT 1; SELECT 2",
			"-c: the answer of statement 1 of 2 would not be shown; a query has one answer, that of its last statement"},
		{file, "SET VARIABLE x = 1; SELECT 1; FROM runs",
			"-c: the answer of statement 2 of 3 (SELECT) would not be shown; a query has one answer, that of its last statement"},
		{file, "SET VARIABLE x = 1", "-c: its last statement (SET) gives no answer; end with a SELECT"},
		{file, "SET threads = 2; SELECT 1", "-c: SET: a query only reads: only SET VARIABLE is allowed; wb locks DuckDB's settings"},
		{file, "SET VARIABLE x = (1; SELECT 1", `-c: Parser Error: syntax error at or near ";"`},
		{file, " -- nothing", "-c: holds no SQL"},
		{file, "FROM enable_logging()",
			"-c: enable_logging: a query may not call this function in FROM; it reads the tables and views of the history"},
		{file, "SELECT json_serialize_plan('EXPORT DATABASE ''x''')", "-c: json_serialize_plan: a query may not call this function"},
		{file, "SELECT (1, 2) AS a",
			"-c: a column holds a struct whose members have no names: name them, as in {a: 1}, or cast it to VARCHAR"},
		{folder, "FROM pg_settings", "-c: pg_settings: a query on a folder or a lake may not read its catalog or another database"},
		{folder, "SELECT current_setting('allowed_directories')", "-c: current_setting: a query may not call this function"},
		{file, "SELECT query('SELECT 1')", "-c: query: a query may not call this function"},
		{file, "CREATE TEMP MACRO abs(a) AS 1; SELECT 1", "-c: CREATE MACRO abs: DuckDB or the file has a function of this name"},
		{folder, "FROM '/etc/passwd'", "-c: /etc/passwd: a query on a folder or a lake may not read files by name"},
		{folder, "FROM _lake.main.run", "-c: _lake.main.run: a query on a folder or a lake may not read its catalog or another database"},
		{folder, "PIVOT runs ON status",
			"-c: PIVOT: a query only reads: on a folder or a lake its values must be named: PIVOT … ON column IN ('a', 'b')"},
		{folder, "FROM duckdb_settings()",
			"-c: duckdb_settings: a query may not call this function in FROM; it reads the tables and views of the history"},
	} {
		if _, err := AdHoc(c.text).Run(context.Background(), c.db, Options{}); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v\nwant %s", c.text, err, c.want)
		}
	}
	w, err := store.Open(context.Background(), fixture.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const want = "run query -c: the file is open for writing, and then only the queries of wb run"
	if _, err := AdHoc("SELECT 1").Run(context.Background(), w, Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// harmless says whether a text of hostile.json is a question after all: what looks like a statement is in its strings and comments, or it
// asks a file for what would show where a lake is.
func harmless(text string, elsewhere bool) bool {
	has := func(start string) bool { return strings.HasPrefix(text, start) }
	if slices.ContainsFunc([]string{"SELECT 1 --\u2028", "SELECT 1 /* /* */;", "SELECT $a$ $b$", `SELECT e'a\';`}, has) {
		return true
	}
	return !elsewhere && slices.ContainsFunc([]string{
		"FROM duckdb_logs", "SELECT path FROM duckdb_databases", "PRAGMA database_list", "FROM pragma_database_list", "FROM duckdb_settings()",
	}, has)
}

func TestHostile(t *testing.T) {
	base := t.TempDir()
	file, folder := filepath.Join(base, "a.duckdb"), filepath.Join(base, "data")
	if err := fixture.Record(t, file, fixture.Fill).Close(); err != nil {
		t.Fatal(err)
	}
	export(t, file, folder)
	attack(context.Background(), t, base, file, folder)
	attack(context.Background(), t, base, folder, folder)
}

func TestHostileLake(t *testing.T) {
	dir := os.Getenv("WB_EXTENSION_DIR")
	if dir == "" {
		t.Skip("WB_EXTENSION_DIR is not set; make lake sets it")
	}
	ctx := elsewhere.WithAccess(context.Background(), elsewhere.Access{Extensions: dir})
	base := t.TempDir()
	file, lake := filepath.Join(base, "a.duckdb"), filepath.Join(base, "lake")
	if err := fixture.Record(t, file, fixture.Fill).Close(); err != nil {
		t.Fatal(err)
	}
	l, err := elsewhere.ParseLake(lake, "")
	if err == nil {
		_, err = elsewhere.Push(ctx, file, l, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	attack(ctx, t, base, lake, filepath.Join(lake, "data"))
}

// attack runs every hostile text on a history and compares what is below base before and after.
func attack(ctx context.Context, t *testing.T, base, history, data string) {
	t.Helper()
	out, secret := filepath.Join(base, "out"), filepath.Join(base, "secret.csv")
	if err := errors.Join(os.MkdirAll(out, 0o755), os.WriteFile(secret, []byte("content\nthe-secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	texts := hostile(t, data, out, secret)
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(out) // DuckDB would write files without a path here
	before := checksums(t, base)
	db, err := elsewhere.OpenRead(ctx, history)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range texts {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		tb, err := AdHoc(s).Run(ctx, db, Options{})
		cancel()
		switch {
		case err == nil && strings.Contains(fmt.Sprint(tb.Rows), "the-secret"):
			t.Errorf("%.200s: gave %v", s, tb.Rows)
		case err == nil && !harmless(s, db.Elsewhere()):
			t.Errorf("%.200q ran on %s: %.100v", s, history, tb.Rows)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if after := checksums(t, base); !slices.Equal(before, after) {
		t.Errorf("on %s: before\n%s\nafter\n%s", history, strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	t.Chdir(home)
}

// hostile gives texts that try to write into out and data, to read secret, or to end the process.
func hostile(t testing.TB, data, out, secret string) (texts []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/hostile.json")
	if err == nil {
		err = json.Unmarshal(b, &texts)
	}
	if err != nil {
		t.Fatal(err)
	}
	repeat := regexp.MustCompile(`\{REPEAT:(.*?):(\d+)\}`)
	place := strings.NewReplacer("{DATA}", data, "{OUT}", out, "{SECRET}", secret)
	for i, s := range texts {
		texts[i] = repeat.ReplaceAllStringFunc(place.Replace(s), func(m string) string {
			g := repeat.FindStringSubmatch(m)
			n, err := strconv.Atoi(g[2])
			if err != nil {
				t.Fatal(err)
			}
			return strings.Repeat(g[1], n)
		})
	}
	return texts
}

// checksums lists every file below a folder with the hash of its content.
func checksums(t testing.TB, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			out = append(out, p)
			return err
		}
		b, err := os.ReadFile(p)
		out = append(out, fmt.Sprintf("%s %x", p, sha256.Sum256(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// exported gives the history as a folder of Parquet.
func exported(t testing.TB) *store.DB {
	t.Helper()
	p, dir := fixture.Path(t), filepath.Join(t.TempDir(), "parquet")
	if err := fixture.Record(t, p, fixture.Fill).Close(); err != nil {
		t.Fatal(err)
	}
	export(t, p, dir)
	db, err := elsewhere.OpenRead(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func export(t testing.TB, from, to string) {
	t.Helper()
	if _, err := elsewhere.Export(context.Background(), from, to, nil); err != nil {
		t.Fatal(err)
	}
}
