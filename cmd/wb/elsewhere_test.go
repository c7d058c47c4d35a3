package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// histories creates files with runs of two turns each.
func histories(t *testing.T, dir string, files, runs int) (paths []string) {
	t.Helper()
	var wg sync.WaitGroup
	for f := range files {
		path := filepath.Join(dir, fmt.Sprintf("box%d.duckdb", f+1))
		paths = append(paths, path)
		wg.Go(func() {
			for r := range runs {
				cmd, out := wbCommand(t, dir, "run", "--db", path, "--sim-profile", "instant", "--conversations", "simple_qa",
					"--max-turns", "2", "--max-tokens", "4", "--sample-hz", "1", "--quiet",
					"--name", fmt.Sprintf("box%d-%d", f+1, r+1), "--tag", fmt.Sprintf("box=%d", f+1))
				if err := cmd.Run(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
	wg.Wait()
	return paths
}

// rows counts the rows of every raw table.
func rows(t *testing.T, dir, db string) string {
	t.Helper()
	const q = `SELECT 'run ' || (SELECT count(*) FROM raw.run) || ', distinct ' || (SELECT count(DISTINCT run_id) FROM raw.run)
		|| ', tag ' || (SELECT count(*) FROM raw.run_tag) || ', setting ' || (SELECT count(*) FROM raw.setting)
		|| ', session ' || (SELECT count(*) FROM raw.session) || ', turn ' || (SELECT count(*) FROM raw.turn)
		|| ', message ' || (SELECT count(*) FROM raw.message) || ', link ' || (SELECT count(*) FROM raw.turn_message)
		|| ', chunk ' || (SELECT count(*) FROM raw.chunk) || ', token ' || (SELECT sum(len(tokens)) FROM raw.turn_token)
		|| ', metric ' || (SELECT count(*) FROM raw.engine_metric) || ', scrape ' || (SELECT count(*) FROM raw.scrape)
		|| ', host ' || (SELECT count(*) FROM raw.host_sample) || ', process ' || (SELECT count(*) FROM raw.process_sample)
		|| ', cache ' || (SELECT count(*) FROM raw.cache_turn) || ', miss ' || (SELECT sum(tokens) FROM raw.cache_miss)
		|| ', event ' || (SELECT count(*) FROM raw.event) AS n`
	lines := strings.Split(strings.TrimSpace(wb(t, dir, "query", "--db", db, "-c", q, "--format", "csv")), "\n")
	return strings.TrimSuffix(lines[len(lines)-1], ",true")
}

// sameReports compares the reports over two histories.
func sameReports(t *testing.T, dir, a, b string, names ...string) {
	t.Helper()
	for _, name := range names {
		x := wb(t, dir, "query", name, "--db", a, "--runs", "all", "--format", "csv")
		y := wb(t, dir, "query", name, "--db", b, "--runs", "all", "--format", "csv")
		if x != y {
			t.Errorf("%s over %s:\n%.600s\nover %s:\n%.600s", name, a, x, b, y)
		}
	}
}

var manyReports = []string{"run_overview", "turn_details", "itl_percentiles", "cache_hit_by_turn", "conversation_summary",
	"ttft_by_turn", "run_settings", "cache_miss_causes", "stalls", "throughput_by_run", "fleet_overview", "regressions_over_time"}

// ClickHouse and Spark find the same rows and sums in a folder of Parquet as wb does. Needs WB_READERS, a Python that has both (make lake).
func TestOtherReaders(t *testing.T) {
	python := os.Getenv("WB_READERS")
	if python == "" {
		t.Skip("WB_READERS is not set; make lake sets it")
	}
	dir := t.TempDir()
	const plan = `name: p
conversations: [simple_qa]
max_turns: 2
max_tokens: 8
sim_profile: instant
matrix:
  rag_placement: [system, append]
` // only runs of a plan have a plan's id
	if err := os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	wb(t, dir, "run", "plan.yaml", "--quiet")
	wb(t, dir, "run", "--sim-profile", "instant", "--conversations", "rag_simulation", "--token-ids", "all", "--quiet")
	wb(t, dir, "export", "--parquet", "out")
	wb(t, dir, "import", "out", "--db", "back.duckdb")
	if got, want := rows(t, dir, "back.duckdb"), rows(t, dir, "wb.duckdb"); got != want {
		t.Errorf("back from the folder:\n%s\nwant\n%s", got, want)
	}
	script, err := filepath.Abs("testdata/lake/readers.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, script, filepath.Join(dir, "out"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	var found map[string]map[string]map[string]*float64
	if err := json.Unmarshal(b, &found); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if len(found["clickhouse"]) < 14 || len(found["spark"]) != len(found["clickhouse"]) {
		t.Errorf("ClickHouse read %d tables, Spark %d", len(found["clickhouse"]), len(found["spark"]))
	}
	for table, sums := range found["clickhouse"] {
		from := "raw." + table
		if table == "message" { // a folder holds a text once for each run that refers to it
			from = `(SELECT DISTINCT x.run_id, m.*
				FROM (SELECT run_id, sha256 FROM raw.turn_message UNION SELECT run_id, reply_sha256 FROM raw.turn) x
				JOIN raw.message m USING (sha256))`
		}
		q, columns := "SELECT count(*)::DOUBLE AS rows", []string{"rows"}
		for column := range sums {
			if column != "rows" {
				columns = append(columns, column)
				q += ", sum(" + column + "::DOUBLE)"
			}
		}
		lines := strings.Split(strings.TrimSpace(wb(t, dir, "query", "--db", "out", "-c", q+" FROM "+from, "--format", "csv")), "\n")
		for i, want := range strings.Split(lines[len(lines)-1], ",")[:len(columns)] {
			for _, reader := range []string{"clickhouse", "spark"} {
				got := found[reader][table][columns[i]]
				f, err := strconv.ParseFloat(want, 64)
				if (got == nil) != (want == "") || (got != nil && (err != nil || math.Abs(f-*got) > 1e-9*math.Abs(f))) {
					t.Errorf("%s: %s.%s differs from wb's %q", reader, table, columns[i], want)
				}
			}
		}
	}
}

// A lake in a folder, a folder of Parquet and files give the same reports. Copied runs are recognised by their ids.
func TestHistoriesElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	boxes := histories(t, dir, 2, 2)
	if t.Failed() {
		return
	}
	said := wb(t, dir, append([]string{"import", "--db", "all.duckdb"}, boxes...)...)
	if !strings.HasSuffix(said, "box2.duckdb: 2 runs added, 0 here before\n") {
		t.Errorf("import said %q", said)
	}
	want := rows(t, dir, "all.duckdb")
	places := []string{"folder"}
	wb(t, dir, "export", "--parquet", "folder", "--db", "all.duckdb")
	list := func() (out []string) {
		err := filepath.WalkDir(filepath.Join(dir, "folder"), func(p string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				out = append(out, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := list()
	wb(t, dir, "export", "--parquet", "folder", "--db", "all.duckdb")
	if again := list(); !slices.Equal(first, again) {
		t.Errorf("a second export gives %d files, the first %d", len(again), len(first))
	}
	if os.Getenv("WB_EXTENSION_DIR") != "" {
		places = append(places, "lake")
		travelsToLake(t, dir, boxes)
		want = rows(t, dir, "all.duckdb")
		wb(t, dir, "export", "--parquet", "folder", "--db", "all.duckdb")
	}
	for _, place := range places {
		sameHistory(t, dir, place, want)
		refusesStrangers(t, dir, place, boxes[0])
		mayBeMoved(t, dir, place, boxes[0])
	}
	isNoHistory(t, dir)
}

// travelsToLake pushes runs into a lake: with wb push, at the end of a run (also when the lake does not answer), and of a calibration.
func travelsToLake(t *testing.T, dir string, boxes []string) {
	wb(t, dir, "push", "lake", "--db", boxes[0])
	// a run that pushes at its end adds all runs that the lake lacks; its lake may not answer
	bring := []string{"run", "--db", boxes[1], "--sim-profile", "instant", "--conversations", "simple_qa", "--max-turns", "1",
		"--quiet", "--push"}
	cmd, out := wbCommand(t, dir, append(bring, "postgres:host=127.0.0.1 port=1 dbname=x")...)
	const refused = "its PostgreSQL does not answer: connection refused"
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), refused+"; the run goes on") ||
		!strings.Contains(out.String(), "dbname=x: "+refused+"\nhint: are host and port right? The local file has not changed") {
		t.Errorf("a lake that does not answer: exit %d\n%s", code, out)
	}
	if said := wb(t, dir, append(bring, "lake")...); !strings.Contains(said, "lake: 4 runs added, 0 there before\n") {
		t.Errorf("run --push said %q", said)
	}
	said := wb(t, dir, "calibrate", "--db", "noise.duckdb", "--sim-profile", "instant", "--repeat", "1", "--quiet", "--push", "noise")
	if !strings.Contains(said, "noise: 2 runs added, 0 there before\n") {
		t.Errorf("calibrate --push said %q", said)
	}
	if said := wb(t, dir, "import", boxes[1], "--db", "all.duckdb"); !strings.Contains(said, "2 runs added, 2 here before") {
		t.Errorf("import said %q", said)
	}
}

// sameHistory compares a place with the file from which it was filled: its rows, its reports, and the runs that are imported from it.
func sameHistory(t *testing.T, dir, place, want string) {
	if got := rows(t, dir, place); got != want {
		t.Errorf("%s has\n%s\nthe file\n%s", place, got, want)
	}
	sameReports(t, dir, "all.duckdb", place, manyReports...)
	back := place + ".duckdb"
	for _, n := range []string{" runs added, 0 here", ": 0 runs added, "} {
		if said := wb(t, dir, "import", place, "--db", back); !strings.Contains(said, n) {
			t.Errorf("import of %s said %q", place, said)
		}
	}
	if got := rows(t, dir, back); got != want {
		t.Errorf("back from %s:\n%s\nwant\n%s", place, got, want)
	}
}

// refusesStrangers checks that no SQL writes, reads other files, or changes the history.
func refusesStrangers(t *testing.T, dir, place, box string) {
	write := "COPY (SELECT 1) TO '" + place + "/x.csv'"
	for _, q := range []string{
		write, "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('" + box + "')", "ATTACH '" + box + "'",
		"DELETE FROM raw.run", "DROP VIEW raw.run", "INSTALL httpfs", "SET threads = 9",
		"SELECT $a1$ ' $a1$; " + write + "; SELECT '",
		"SELECT * FROM DuckLake_Cleanup_old_files('_lake', cleanup_all => true)", "CREATE TABLE main.x (i INT)",
		"SELECT * FROM postgres_scan('host=10.255.255.1', 'public', 'x')",
		"SELECT * FROM Postgres_Query('__ducklake_metadata__lake', 'SELECT 1')",
		"SELECT path FROM duckdb_databases()", "PREPARE x AS " + write, "EXPLAIN ANALYZE " + write,
	} {
		cmd, out := wbCommand(t, dir, "query", "--db", place, "-c", q)
		if code := exitCode(t, cmd.Run()); code != 1 {
			t.Errorf("%s is not refused: exit %d:\n%s", q, code, out)
		}
	}
	if found, err := filepath.Glob(filepath.Join(dir, place, "x.csv")); err != nil || len(found) > 0 {
		t.Errorf("a query wrote %v (%v)", found, err)
	}
}

// mayBeMoved moves a place and removes a run from it. A command for the other kind of place refuses it.
func mayBeMoved(t *testing.T, dir, place, box string) {
	moved := place + "-moved"
	if err := os.Rename(filepath.Join(dir, place), filepath.Join(dir, moved)); err != nil {
		t.Fatal(err)
	}
	sameReports(t, dir, "all.duckdb", moved, "turn_details", "itl_percentiles")
	other := map[string]string{"folder": "push folder-moved", "lake": "export --parquet lake-moved"}[place]
	cmd, out := wbCommand(t, dir, append(strings.Fields(other), "--db", box)...)
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), "a separate folder") {
		t.Errorf("%s: exit %d\n%s", other, code, out)
	}
	wb(t, dir, "runs", "rm", "box1-1", "--yes", "--db", moved)
	wb(t, dir, "import", moved, "--db", moved+".duckdb")
	if err := os.WriteFile(filepath.Join(dir, "less.duckdb"), read(t, filepath.Join(dir, "all.duckdb")), 0o644); err != nil {
		t.Fatal(err)
	}
	wb(t, dir, "runs", "rm", "box1-1", "--yes", "--db", "less.duckdb")
	if got, want := rows(t, dir, moved+".duckdb"), rows(t, dir, "less.duckdb"); got != want {
		t.Errorf("%s without a run:\n%s\nwant\n%s", moved, got, want)
	}
	if err := os.Rename(filepath.Join(dir, moved), filepath.Join(dir, place)); err != nil {
		t.Fatal(err)
	}
}

// isNoHistory gives commands what is not a history, and checks that each answer says why.
func isNoHistory(t *testing.T, dir string) {
	for args, cause := range map[string]string{
		"query ttft_by_turn --db empty":            "without runs of wb",
		"import empty --db x.duckdb":               "without runs of wb",
		"import nothing.duckdb --db x.duckdb":      "no such file",
		"export --parquet x --db folder":           "it is a folder of Parquet files or a lake, but this command needs a DuckDB file",
		"push x --db folder":                       "hint: wb import folder --db FILE.duckdb makes one",
		"import all.duckdb --db all.duckdb":        "it is this history itself",
		"import all.duckdb --db postgres:dbname=x": "it is a lake, but this command writes into a DuckDB file",
	} {
		if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd, out := wbCommand(t, dir, strings.Fields(args)...)
		if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), cause) {
			t.Errorf("%s: exit %d\n%s", args, code, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "folder", "wb.json"), []byte(`{"schema": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd, out := wbCommand(t, dir, "import", "folder", "--db", "y.duckdb")
	if code := exitCode(t, cmd.Run()); code != 1 || !strings.Contains(out.String(), "its schema has version 99") {
		t.Errorf("a newer folder: exit %d\n%s", code, out)
	}
}
