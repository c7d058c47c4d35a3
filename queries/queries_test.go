//go:build duckdb_arrow

package queries

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/queries/table"
	"wb/store"
)

func write(t testing.TB, p, text string) string {
	t.Helper()
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine [1]") // a name that a glob would misread
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	shadow := write(t, filepath.Join(dir, "ttft_by_turn.sql"), "-- title: mine\nSELECT 1")
	extra := write(t, filepath.Join(dir, "extra.sql"), "-- title: extra\n-- var: a = 1\n-- var: b = x\nSELECT 2")
	write(t, filepath.Join(dir, "notes.txt"), "no query")
	write(t, filepath.Join(dir, "broken.sql"), "-- colour: red\nSELECT 1")
	mine := Library{Dir: dir}
	for _, c := range []struct {
		lib               Library
		name, title, file string
		want              string // of the error
	}{
		{Library{}, "ttft_by_turn", "Time to first token by turn", "ttft_by_turn.sql", ""},
		{Library{}, "ttft_by_turn.sql", "Time to first token by turn", "ttft_by_turn.sql", ""},
		{mine, "ttft_by_turn", "mine", shadow, ""},
		{mine, "ttft_by_turn.sql", "mine", shadow, ""},
		{mine, "extra", "extra", extra, ""},
		{mine, "itl_percentiles", "Inter-token latency", "itl_percentiles.sql", ""},
		{Library{}, extra, "extra", extra, ""},
		{Library{}, "extra", "", "", `find query "extra": unknown query`},
		{mine, "extraa", "", "", `find query "extraa": unknown query; did you mean extra?`},
		{Library{}, "tfft_by_turn", "", "", `find query "tfft_by_turn": unknown query; did you mean ttft_by_turn?`},
		{Library{}, "stals.sql", "", "", `find query "stals.sql": unknown query, and no such file; did you mean stalls?`},
		{Library{}, "zzzzzzzzzzzz", "", "", `find query "zzzzzzzzzzzz": unknown query`},
		{Library{}, "", "", "", `find query "": unknown query`},
		{Library{}, "../reports/stalls", "", "", "read query: ../reports/stalls: no such file"},
		{mine, "broken", "", "", filepath.Join(dir, "broken.sql") +
			`:1: unknown key "colour"; known are group, answers, title, about, var and chart`},
		{Library{Dir: filepath.Join(dir, "absent")}, "stalls", "", "",
			`find query "stalls": open ` + filepath.Join(dir, "absent") + ": no such file or directory"},
	} {
		q, err := c.lib.Find(c.name)
		if c.want != "" {
			if err == nil || err.Error() != c.want || strings.Contains(c.want, "unknown query") != errors.Is(err, ErrUnknownQuery) {
				t.Errorf("%q: got %v\nwant %s", c.name, err, c.want)
			}
		} else if err != nil || q.Title != c.title || q.File != c.file {
			t.Errorf("%q: got %+v, %v", c.name, q, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "broken.sql")); err != nil {
		t.Fatal(err)
	}
	builtin, err := Library{}.Names()
	if err != nil || len(builtin) < 19 || builtin[0] != "cache_counters_agree" || builtin[len(builtin)-1] != "turn_details" {
		t.Errorf("built-in names are %v, %v", builtin, err)
	}
	both, err := mine.Names()
	if err != nil || len(both) != len(builtin)+1 {
		t.Errorf("names are %v, %v", both, err)
	}
	list, err := mine.List()
	if err != nil || len(list.Rows) != len(both) {
		t.Fatalf("list is %v, %v", list, err)
	}
	for _, want := range []string{"extra extra a=1 b=x ", "ttft_by_turn mine  ",
		"stalls Stalls inside turns runs=latest factor=5 min_ms=20 latency Which "} {
		if !strings.Contains("\n"+fixture.Text(t, list)+"\n", "\n"+want) {
			t.Errorf("list lacks %q:\n%s", want, fixture.Text(t, list))
		}
	}
}

func TestSelect(t *testing.T) {
	ctx := context.Background()
	conn := fixture.Conn(t, fixture.History(t))
	for _, c := range []struct{ selector, want string }{
		{"latest", fixture.Late}, {"latest~0", fixture.Late}, {"latest~1", fixture.Early}, {"latest~2", "base"},
		{"latest~3", `! select runs "latest~3": no such run: the file holds 3`},
		{"latest~x", `! select runs "latest~x": latest~N wants a whole number`},
		{"latest~-1", `! select runs "latest~-1": latest~N wants a whole number`},
		{"last:1", fixture.Late}, {"last:2", fixture.Early + ", " + fixture.Late}, {"last:99", "base, " + fixture.Early + ", " + fixture.Late},
		{"last:0", `! select runs "last:0": last:N wants a whole number from 1`},
		{"last:", `! select runs "last:": last:N wants a whole number from 1`},
		{"all", "base, " + fixture.Early + ", " + fixture.Late},
		{"base", "base"}, {"tuned", fixture.Early + ", " + fixture.Late}, {fixture.Late, fixture.Late},
		{fixture.BaseID, "base"},
		{strings.ToUpper(fixture.LateID), fixture.Late},
		{"1111", "base"},
		{"AAAA1", fixture.Late},
		{"aaaa1111-0000", fixture.Late},
		{"aaaa", `! select runs "aaaa": 2 runs start with it; give more of the id`},
		{"111", `! select runs "111": no such run; did you mean tuned aaaa1111?`},
		{"bsae", `! select runs "bsae": no such run; did you mean base?`},
		{"latst", `! select runs "latst": no such run; did you mean latest?`},
		{"bbbb", `! select runs "bbbb": no such run`},
		{"tag:host=lab", "base, " + fixture.Late},
		{"tag:host=attic", fixture.Early},
		{"tag:note=x=y", "base"},
		{"tag:host=la", `! select runs "tag:host=la": no such run; did you mean tag:host=lab?`},
		{"tag:host", `! select runs "tag:host": wants tag:KEY=VALUE`},
		{"latest,base", "base, " + fixture.Late},
		{" latest , base, latest", "base, " + fixture.Late},
		{"latest,nosuch", `! select runs "nosuch": no such run`},
		{"", `! select runs "": no such run`}, {"'; DROP TABLE raw.run; --", `! select runs "'; DROP TABLE raw.run; --": no such run`},
	} {
		refs, err := Select(ctx, conn, c.selector)
		var got []string
		for _, r := range refs {
			got = append(got, r.Name)
			if r.Simulated != (r.ID == fixture.BaseID) {
				t.Errorf("%s: simulated is %v", r.Name, r.Simulated)
			}
		}
		s := strings.Join(got, ", ")
		if err != nil {
			s = "! " + err.Error()
		}
		if s != c.want {
			t.Errorf("%q: got %s\nwant %s", c.selector, s, c.want)
		}
		if strings.Contains(c.want, ErrNoRuns.Error()) && !errors.Is(err, ErrNoRuns) {
			t.Errorf("%q: %v is not ErrNoRuns", c.selector, err)
		}
	}
}

// Of two runs that began at the same moment, "latest" is the one that the views take too.
func TestSelectEdges(t *testing.T) {
	ctx := context.Background()
	db := fixture.Record(t, fixture.Path(t), fixture.Empty)
	if _, err := find(t, "run_overview").Run(ctx, db, Options{}); !errors.Is(err, ErrNoRuns) ||
		err.Error() != `select runs "latest": no such run: the file holds no runs yet` {
		t.Errorf("empty file: %v", err)
	}
	db = fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return store.Add(ctx, r,
			store.Run{RunID: uuid.MustParse(fixture.EarlyID), Name: "one", Status: "ok", StartedAt: at},
			store.Run{RunID: uuid.MustParse(fixture.BaseID), Name: "two", Status: "ok", StartedAt: at})
	})
	var view string
	if err := fixture.Conn(t, db).QueryRowContext(ctx, "SELECT run FROM selected_runs").Scan(&view); err != nil {
		t.Fatal(err)
	}
	tb, err := find(t, "run_overview").Run(ctx, db, Options{})
	if err != nil || len(tb.Runs) != 1 || tb.Runs[0].Name != view {
		t.Errorf("latest is %v, the view says %s (%v)", tb, view, err)
	}
}

func parsed(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse("q.sql", text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestVariables(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	const head = "-- var: n = 5\n-- var: s = some text\n-- var: q = '7'\n-- var: b = true\n-- var: e =\n-- var: order = 1\n"
	show := head + "SELECT getvariable('n') AS n, typeof(getvariable('n')) AS tn, getvariable('s') AS s, typeof(getvariable('s')) AS ts, " +
		"getvariable('q') AS q, typeof(getvariable('q')) AS tq, " +
		"getvariable('b') AS b, getvariable('e') AS e, getvariable('order') AS o"
	evil := "'; DROP TABLE raw.run; --"
	for _, c := range []struct {
		set  map[string]string
		want string
	}{
		{nil, "5 BIGINT some text VARCHAR 7 VARCHAR true NULL 1"},
		{map[string]string{"n": "2.5", "s": "12", "q": "0012", "b": "false", "e": "3", "order": "-2"},
			"2.5 DOUBLE 12 VARCHAR 0012 VARCHAR false 3 -2"},
		{map[string]string{"s": evil, "e": evil}, "5 BIGINT " + evil + " VARCHAR 7 VARCHAR true " + evil + " 1"},
		{map[string]string{"s": "", "e": "nan"}, "5 BIGINT  VARCHAR 7 VARCHAR true nan 1"},
		{map[string]string{"n": "many"}, `! q.sql: variable n: wants a value such as 5, not "many"`},
		{map[string]string{"n": ""}, `! q.sql: variable n: wants a value such as 5, not ""`},
		{map[string]string{"n": "true"}, `! q.sql: variable n: wants a value such as 5, not "true"`},
		{map[string]string{"n": "inf"}, `! q.sql: variable n: wants a value such as 5, not "inf"`},
		{map[string]string{"b": "1"}, `! q.sql: variable b: wants a value such as true, not "1"`},
		{map[string]string{"m": "1"}, `! q.sql: no variable "m"; it has n, s, q, b, e, order`},
	} {
		tb, err := parsed(t, show).Run(ctx, db, Options{Set: c.set})
		got := fmt.Sprint("! ", err)
		if err == nil {
			got = fixture.Text(t, tb)
			if len(tb.Params) != 6 || tb.Params[0].Name != "n" || tb.Params[5].Name != "order" {
				t.Errorf("%v: params are %v", c.set, tb.Params)
			}
		}
		if got != c.want {
			t.Errorf("%v: got %s\nwant %s", c.set, got, c.want)
		}
	}
	if _, err := parsed(t, "SELECT 1").Run(ctx, db, Options{Set: map[string]string{"m": "1"}}); err == nil ||
		err.Error() != `q.sql: no variable "m"; it has none` {
		t.Errorf("got %v", err)
	}
	tb, err := AdHoc("SELECT getvariable('z') AS z, getvariable('a') AS a, count(*) AS n FROM selected_runs").
		Run(ctx, db, Options{Runs: "last:2", Set: map[string]string{"z": "1", "a": evil}})
	params := []table.Param{{Name: "a", Value: evil}, {Name: "runs", Value: "last:2"}, {Name: "z", Value: "1"}}
	if err != nil || fixture.Text(t, tb) != "1 "+evil+" 2" || !reflect.DeepEqual(tb.Params, params) || len(tb.Runs) != 2 {
		t.Errorf("got %+v, %v", tb, err)
	}
	if _, err := AdHoc("SELECT 1").Run(ctx, db, Options{Set: map[string]string{"a b": "1"}}); err == nil ||
		err.Error() != `set variable "a b": not a name` {
		t.Errorf("got %v", err)
	}
}

// What a query leaves on its connection is not there for the next query.
func TestQueriesDoNotMeet(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	for _, left := range []string{"SET VARIABLE x = 1; SELECT 1", "CREATE TEMP TABLE x AS SELECT 1 AS i; SELECT 1"} {
		if _, err := AdHoc(left).Run(ctx, db, Options{Runs: "base"}); err != nil {
			t.Fatal(err)
		}
		tb, err := AdHoc("SET VARIABLE y = 1; SELECT getvariable('x') AS x, getvariable('runs') AS r, "+
			"(SELECT count(*) FROM duckdb_tables() WHERE temporary) AS n").Run(ctx, db, Options{})
		if err != nil || fixture.Text(t, tb) != "NULL NULL 0" {
			t.Errorf("after %s: %v, %v", left, tb, err)
		}
	}
	for range 3 { // a connection has no variables when it is taken
		var left int
		const all = "SELECT count(*) FROM duckdb_variables()"
		if err := fixture.Conn(t, db).QueryRowContext(ctx, all).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d variables are left (%v)", left, err)
		}
	}
}

func TestRunErrors(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	for _, c := range []struct{ text, want string }{
		{"-- chart: line x=a y=b\nSELECT 1 AS a", "q.sql: chart 1: the query has no column b"},
		{"-- chart: line x=a y=a\n-- chart: bar x=a y=a series=s\nSELECT 1 AS a", "q.sql: chart 2: the query has no column s"},
		{"SELEC 1", `q.sql: Parser Error: syntax error at or near "SELEC"`},
		{"SELECT x\nFROM\n  no_table", "q.sql: Catalog Error: Table with name no_table does not exist! *"},
		{"SELECT 'a'::INT", "q.sql: Conversion Error: Could not convert string 'a' to INT32*"},
		{"SELECT i, CASE WHEN i = 5000 THEN error('late') END FROM range(5001) t(i)", "q.sql: Invalid Input Error: late"},
		{"SELECT 1\x00 + nonsense", "q.sql: holds a NUL byte, where DuckDB would stop reading"},
		{";", "q.sql: holds no SQL"},
		{"-- var: runs = nosuch\nSELECT 1", `select runs "nosuch": no such run`},
		{"DROP TABLE raw.run", "q.sql: DROP: a query only reads: *"},
	} {
		_, err := parsed(t, c.text).Run(ctx, db, Options{})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v", c.text, err)
			continue
		}
		if start, open := strings.CutSuffix(c.want, "*"); err.Error() != c.want && (!open || !strings.HasPrefix(err.Error(), start)) {
			t.Errorf("%q: got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestNotes(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	died := "run " + fixture.Early + " is failed: the server died"
	one := "1 of 1 turns of run " + fixture.Early + " did not end well and count in no figure (wb query failed_turns)"
	six := "1 of 5 turns of run " + fixture.Late + " did not end well and count in no figure (wb query failed_turns)"
	for selector, want := range map[string][]string{"base": nil, "latest": {six}, "latest~1": {died, one}, "all": {died, one, six}} {
		tb, err := find(t, "stalls").Run(ctx, db, Options{Runs: selector})
		if err != nil || !reflect.DeepEqual(tb.Notes, want) {
			t.Errorf("%s: notes %q, %v\nwant %q", selector, tb.Notes, err, want)
		}
	}
	if tb, err := AdHoc("SELECT 1").Run(ctx, db, Options{}); err != nil || tb.Notes != nil || tb.Runs != nil {
		t.Errorf("a query about no runs: %+v, %v", tb, err)
	}
}

func TestValues(t *testing.T) {
	ctx := context.Background()
	db := fixture.Record(t, fixture.Path(t), fixture.Empty)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	const id = "00112233-4455-6677-8899-aabbccddeeff"
	hex := "30313233343536373839616263646566" // of 0123456789abcdef
	for _, c := range []struct {
		expr string
		want any
		typ  string
	}{
		{"NULL::BIGINT", nil, "BIGINT"}, {"true", true, "BOOLEAN"}, {"'x'", "x", "VARCHAR"}, {"''", "", "VARCHAR"},
		{"1::TINYINT", int64(1), "TINYINT"},
		{"-2::SMALLINT", int64(-2), "SMALLINT"},
		{"3", int64(3), "INTEGER"},
		{"4::BIGINT", int64(4), "BIGINT"},
		{"255::UTINYINT", int64(255), "UTINYINT"},
		{"65535::USMALLINT", int64(65535), "USMALLINT"},
		{"4294967295::UINTEGER", int64(4294967295), "UINTEGER"},
		{"9223372036854775807::UBIGINT", int64(math.MaxInt64), "UBIGINT"}, {"18446744073709551615::UBIGINT", "18446744073709551615", "UBIGINT"},
		{"-5::HUGEINT", int64(-5), "HUGEINT"},
		{"9223372036854775808::HUGEINT", "9223372036854775808", "HUGEINT"},
		{"'-170141183460469231731687303715884105728'::HUGEINT",
			"-170141183460469231731687303715884105728", "HUGEINT"},
		{"sum(5)", int64(5), "HUGEINT"},
		{"1.25::DECIMAL(9,2)", 1.25, "DECIMAL(9,2)"},
		{"-7::DECIMAL(38,0)", int64(-7), "DECIMAL(38,0)"},
		{"123456789012345678901234567890::DECIMAL(38,0)", "123456789012345678901234567890", "DECIMAL(38,0)"},
		{"1.5::FLOAT", 1.5, "FLOAT"},
		{"0.1::DOUBLE", 0.1, "DOUBLE"},
		{"'inf'::DOUBLE", math.Inf(1), "DOUBLE"},
		{"'-inf'::FLOAT", math.Inf(-1), "FLOAT"},
		{"1 / 0", math.Inf(1), "DOUBLE"},
		{"'b'::ENUM('a', 'b')", "b", "ENUM"},
		{"'" + id + "'::UUID", id, "UUID"}, {"'0123456789abcdef'::BLOB", hex, "BLOB"}, {"'\\xff'::BLOB", "ff", "BLOB"}, {"''::BLOB", "", "BLOB"},
		{"TIMESTAMP '2026-01-02 03:04:05.678901'", at, "TIMESTAMP"},
		{"TIMESTAMP_NS '2026-01-02 03:04:05.678901234'", at.Add(234), "TIMESTAMP_NS"},
		{"TIMESTAMP_S '2026-01-02 03:04:05'", at.Truncate(time.Second), "TIMESTAMP_S"},
		{"TIMESTAMPTZ '2026-01-02 04:04:05.678901+01'", at, "TIMESTAMPTZ"},
		{"DATE '2026-01-02'", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "DATE"},
		{"TIME '03:04:05.5'", time.Date(1, 1, 1, 3, 4, 5, 5e8, time.UTC), "TIME"},
		{"INTERVAL '1 month 2 days 3 seconds'", "1 months 2 days 3000000 µs", "INTERVAL"},
		{"[1, NULL, 170141183460469231731687303715884105727]::HUGEINT[]",
			[]any{int64(1), nil, "170141183460469231731687303715884105727"}, "HUGEINT[]"},
		{"[1, 2]::TINYINT[2]", []any{int64(1), int64(2)}, "TINYINT[2]"},
		{"[['" + id + "'::UUID]]", []any{[]any{id}}, "UUID[][]"},
		{"['0123456789abcdef'::BLOB]", []any{hex}, "BLOB[]"},
		{"{'a': 1::TINYINT, 'b \"c\", d': '" + id + "'::UUID, 'e(': ['0123456789abcdef'::BLOB], 'n': NULL::INT}",
			map[string]any{"a": int64(1), `b "c", d`: id, "e(": []any{hex}, "n": nil}, "*"},
		{"{'d': DATE '2026-01-02', 't': [TIME '03:04:05'], 'at': TIMESTAMP '2026-01-02 03:04:05.678901'}",
			map[string]any{"d": "2026-01-02", "t": []any{"03:04:05"}, "at": at}, "*"},
		{"MAP {1: 'x', 2: NULL}", map[string]any{"1": "x", "2": nil}, "MAP(INTEGER, VARCHAR)"},
		{"MAP {DATE '2026-01-02': {'u': '" + id + "'::UUID}}", map[string]any{"2026-01-02": map[string]any{"u": id}}, "*"},
		{"union_value(x := '" + id + "'::UUID)", id, "*"},
		{"'{\"a\": [1.5, null]}'::JSON", map[string]any{"a": []any{1.5, nil}}, "JSON"},
		{"'101'::BIT", "101", "BIT"},
	} {
		tb, err := AdHoc("SELECT "+c.expr+" AS total_bytes").Run(ctx, db, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		col := tb.Columns[0]
		if got := tb.Rows[0][0]; !reflect.DeepEqual(got, c.want) || (c.typ != "*" && col.Type != c.typ) || col.Unit != "bytes" {
			t.Errorf("%s: %T %v of type %s (%s), want %T %v of type %s", c.expr, got, got, col.Type, col.Unit, c.want, c.want, c.typ)
		}
	}
	tb, err := AdHoc("SELECT 'nan'::DOUBLE AS x").Run(ctx, db, Options{})
	if f, ok := tb.Rows[0][0].(float64); err != nil || !ok || !math.IsNaN(f) {
		t.Errorf("NaN is %v, %v", tb, err)
	}
}

func TestCancel(t *testing.T) {
	db := fixture.Record(t, fixture.Path(t), fixture.Empty)
	for want, make := range map[error]func() (context.Context, context.CancelFunc){
		context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		},
		context.Canceled: func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		ctx, cancel := make()
		t0 := time.Now()
		_, err := AdHoc("SELECT count(*) FROM range(1e12::BIGINT)").Run(ctx, db, Options{})
		cancel()
		if !errors.Is(err, want) || err.Error() != "run query -c: "+want.Error() || time.Since(t0) > 5*time.Second {
			t.Errorf("after %v: %v, want %v", time.Since(t0), err, want)
		}
		if _, err := AdHoc("SELECT 1").Run(context.Background(), db, Options{}); err != nil {
			t.Errorf("the next query: %v", err)
		}
	}
	// the time may be over while the file is opened, the text is checked, or the query runs
	for pause := time.Duration(1); pause < 40*time.Millisecond; pause *= 3 {
		ctx, cancel := context.WithTimeout(context.Background(), pause)
		_, err := AdHoc("SELECT count(*) FROM range(1e12::BIGINT)").Run(ctx, db, Options{})
		cancel()
		if err == nil || err.Error() != "run query -c: context deadline exceeded" {
			t.Errorf("after %v: %v", pause, err)
		}
	}
}

func TestUnitOf(t *testing.T) {
	for column, want := range map[string]string{
		"ttft_ms": "ms", "t_ns": "ns", "wait_us": "µs", "elapsed_s": "s", "size_bytes": "bytes", "used_mib": "MiB", "used_gib": "GiB",
		"prompt_tokens": "tokens", "power_w": "W", "energy_mj": "mJ", "energy_j": "J", "energy_wh": "Wh",
		"sm_clock_mhz": "MHz", "temperature_c": "°C", "hit_ratio": "ratio", "decode_tokens_per_s": "tokens/s",
		"pcie_tx_bytes_per_s": "bytes/s", "requests_per_s": "1/s", "turn": "", "status": "", "run": "",
		"": "", "_ms": "", "tokens": "", "ms": "", "hits": "",
	} {
		if got := table.UnitOf(column); got != want {
			t.Errorf("UnitOf(%q) is %q, want %q", column, got, want)
		}
	}
}

// A table has at most MaxRows rows, and says when rows were left out.
func TestMaxRows(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million rows")
	}
	db := fixture.Record(t, fixture.Path(t), fixture.Empty)
	for n, notes := range map[int]int{MaxRows: 0, MaxRows + 1: 1} {
		tb, err := AdHoc(fmt.Sprintf("SELECT range AS i FROM range(%d)", n)).Run(context.Background(), db, Options{})
		if err != nil || len(tb.Rows) != MaxRows || len(tb.Notes) != notes {
			t.Errorf("%d rows: %d, notes %v, %v", n, len(tb.Rows), tb.Notes, err)
		}
	}
}
