//go:build duckdb_arrow

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// one run with a turn and a text, in a file of its own.
func oneRun(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "one.duckdb")
	db, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	addMessages(t, rec, Message{SHA256: "aa", Role: "user", Content: new("x")})
	err = errors.Join(Add(ctx, rec, Run{RunID: id, Name: "one", Status: "ok", StartedAt: time.Date(2026, 2, 3, 23, 59, 0, 0, time.UTC)}), Add(ctx, rec, Turn{RunID: id, TurnID: 1, SessionID: 1, Turn: 1, Status: "ok"}),
		Add(ctx, rec, TurnMessage{RunID: id, TurnID: 1, Position: 1, SHA256: "aa"}), rec.Flush(ctx), rec.Close(), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A lake that a newer wb has used is refused, and one of an older wb gets the columns that it lacks. Needs WB_EXTENSION_DIR (make lake).
func TestLakeOfAnotherSchema(t *testing.T) {
	dir := os.Getenv("WB_EXTENSION_DIR")
	if dir == "" {
		t.Skip("WB_EXTENSION_DIR is not set; make lake sets it")
	}
	ctx := WithAccess(context.Background(), Access{Extensions: dir})
	file, where := oneRun(t), filepath.Join(t.TempDir(), "lake")
	l, err := ParseLake(where, "")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := Push(ctx, file, l, nil); err != nil || out.Added != 1 {
		t.Fatalf("%+v (%v)", out, err)
	}
	change := func(q string) {
		t.Helper()
		conn, end, err := inMemory(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s, err := attachLake(ctx, conn, l, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.ExecContext(ctx, q)
		if err := errors.Join(err, s.close(ctx), end()); err != nil {
			t.Fatal(err)
		}
	}
	change("UPDATE _lake.main.wb_schema SET version = 1; ALTER TABLE _lake.main.turn DROP COLUMN intended_ns")
	if out, err := Push(ctx, oneRun(t), l, nil); err != nil || out.Added != 1 {
		t.Fatalf("an older lake: %+v (%v)", out, err)
	}
	db, err := OpenRead(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.SQL().QueryRow("SELECT count(*) FROM raw.turn WHERE intended_ns IS NULL").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d turns (%v)", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// a pusher that was killed may have left its mark
	change("CREATE VIEW _lake.main.pushing_x AS SELECT 1 AS x")
	var id string
	if db, err = OpenRead(ctx, where); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.SQL().QueryRow("SELECT run_id::VARCHAR FROM raw.run LIMIT 1").Scan(&id), db.Close(), Remove(ctx, where, []string{id})); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenRead(ctx, where); err != nil {
		t.Fatal(err)
	}
	if err := db.SQL().QueryRow("SELECT count(*) + (SELECT count(*) FROM raw.run) FROM raw.turn").Scan(&n); err != nil || n != 2 {
		t.Errorf("one run and its turn are left: %d (%v)", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	change("UPDATE _lake.main.wb_schema SET version = 99")
	if _, err := Push(ctx, file, l, nil); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer lake: %v", err)
	}
	if _, err := OpenRead(ctx, where); !errors.Is(err, ErrNewer) {
		t.Errorf("looking into a newer lake: %v", err)
	}
	if _, err := OpenRead(WithAccess(ctx, Access{Extensions: t.TempDir()}), where); err == nil || !strings.Contains(err.Error(), "there is no ducklake.duckdb_extension in ") {
		t.Errorf("without the extension: %v", err)
	}
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.duckdb")
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// Of two copies of a run the one that was resumed, or labelled later, stays wherever they meet: in files, in folders and, with WB_EXTENSION_DIR, in lakes.
func TestNewerCopy(t *testing.T) {
	ctx := context.Background()
	stay := oneRun(t) // as it was
	var id uuid.UUID
	change := func(path string, f func(*DB) error) {
		t.Helper()
		db, err := Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		err = db.SQL().QueryRow("SELECT run_id FROM raw.run").Scan(&id)
		if err == nil {
			err = f(db)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change(stay, func(d *DB) error { return d.FinishRuns(ctx, []uuid.UUID{id}, "interrupted", "cut", time.Now()) })
	resumed := copyOf(t, stay)
	change(resumed, func(d *DB) error {
		_, err := d.SQL().Exec("UPDATE raw.turn SET status = 'failed'")
		return errors.Join(err, d.Reopen(ctx, []PlanRun{{RunID: id}}), d.FinishRuns(ctx, []uuid.UUID{id}, "ok", "", time.Now()))
	})
	// a label that the old copy gets later makes it no newer than one that was resumed
	change(stay, func(d *DB) error { return d.TagRun(ctx, id.String(), "late", "1") })
	labelled := copyOf(t, resumed)
	change(labelled, func(d *DB) error { return d.TagRun(ctx, id.String(), "note", "1") })

	look := func(ctx context.Context, place string) string {
		t.Helper()
		db, err := OpenRead(ctx, place)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var s string
		if err := db.SQL().QueryRow("SELECT concat_ws(' ', (SELECT string_agg(status, ',') FROM raw.run), (SELECT string_agg(status, ',') FROM raw.turn), (SELECT string_agg(key, ',') FROM raw.run_tag), (SELECT count(*) FROM raw.message))").Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	places := map[string]func(ctx context.Context, file string) (string, Moved, error){
		"folder": func(ctx context.Context, file string) (string, Moved, error) {
			out, err := Export(ctx, file, filepath.Join(filepath.Dir(stay), "folder"), nil)
			return filepath.Join(filepath.Dir(stay), "folder"), out.Moved, err
		},
		"file": func(ctx context.Context, file string) (string, Moved, error) {
			to := filepath.Join(filepath.Dir(stay), "main.duckdb") // a name that is a schema's too
			db, err := Open(ctx, to)
			if err != nil {
				return to, Moved{}, err
			}
			out, err := db.Import(ctx, file, nil)
			return to, out, errors.Join(err, db.Close())
		},
	}
	if dir := os.Getenv("WB_EXTENSION_DIR"); dir != "" {
		ctx = WithAccess(ctx, Access{Extensions: dir})
		places["lake"] = func(ctx context.Context, file string) (string, Moved, error) {
			l, err := ParseLake(filepath.Join(filepath.Dir(stay), "lake"), "")
			if err != nil {
				return "", Moved{}, err
			}
			out, err := Push(ctx, file, l, nil)
			return l.Name, out, err
		}
	}
	for name, bring := range places {
		place := ""
		for i, step := range []struct {
			file string
			did  Moved
			want string
		}{
			{stay, Moved{Added: 1}, "interrupted ok late 1"},
			{stay, Moved{Present: 1}, "interrupted ok late 1"},
			{resumed, Moved{Renewed: 1}, "ok failed 1"},
			{stay, Moved{Older: 1}, "ok failed 1"},
			{labelled, Moved{Renewed: 1}, "ok failed note 1"},
			{resumed, Moved{Older: 1}, "ok failed note 1"},
			{labelled, Moved{Present: 1}, "ok failed note 1"},
		} {
			to, did, err := bring(ctx, step.file)
			if place = to; err != nil || did != step.did {
				t.Fatalf("%s, step %d: %+v, want %+v (%v)", name, i, did, step.did, err)
			}
			if got := look(ctx, place); got != step.want {
				t.Errorf("%s, step %d: %q, want %q", name, i, got, step.want)
			}
		}
		back := copyOf(t, stay)
		db, err := Open(ctx, back)
		if err != nil {
			t.Fatal(err)
		}
		did, err := db.Import(ctx, place, nil)
		if err := errors.Join(err, db.Close()); err != nil || did != (Moved{Renewed: 1}) {
			t.Fatalf("back from the %s: %+v (%v)", name, did, err)
		}
		if got := look(ctx, back); got != "ok failed note 1" {
			t.Errorf("back from the %s: %q", name, got)
		}
	}
	db, err := Open(ctx, stay)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Import(ctx, stay, nil)
	if err := errors.Join(err, db.Close()); err == nil || !strings.Contains(err.Error(), "it is this history itself") {
		t.Errorf("into itself: %v", err)
	}
}

// A lake that was made for a file of an older wb, which could not be put in order, says so, and gets the columns it lacks when a newer file comes.
func TestLakeOfOlderFile(t *testing.T) {
	dir := os.Getenv("WB_EXTENSION_DIR")
	if dir == "" {
		t.Skip("WB_EXTENSION_DIR is not set; make lake sets it")
	}
	ctx := WithAccess(context.Background(), Access{Extensions: dir})
	file := oneRun(t)
	l, err := ParseLake(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	conn, end, err := inMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	from, err := attachFile(ctx, conn, file)
	if err != nil {
		t.Fatal(err)
	}
	now := from.version
	from.version--
	from.schema["run"] = slices.DeleteFunc(from.schema["run"], func(c column) bool { return c.name == "executions" || c.name == "changed_at" })
	to, err := attachLake(ctx, conn, l, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(to.prepareLake(ctx, conn, from), to.close(ctx), end()); err != nil {
		t.Fatal(err)
	}
	if to.version != now-1 {
		t.Errorf("the lake is of schema %d", to.version)
	}
	if out, err := Push(ctx, file, l, nil); err != nil || out.Added != 1 {
		t.Errorf("%+v (%v)", out, err)
	}
}

// A file may be copied while a run goes on. What the copy has of the run is no newer than the run that ended, whenever somebody finds the copy's process gone.
func TestCopyDuringRun(t *testing.T) {
	ctx := context.Background()
	file := oneRun(t)
	in := func(path string, f func(*DB) error) {
		t.Helper()
		db, err := Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f(db), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var id uuid.UUID
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	in(file, func(d *DB) error {
		_, err := d.SQL().Exec("UPDATE raw.run SET status = 'running', ended_at = NULL, executions = 1, changed_at = started_at, pid = ?, hostname = ?", os.Getpid(), host)
		return errors.Join(err, d.SQL().QueryRow("SELECT run_id FROM raw.run").Scan(&id))
	})
	during := copyOf(t, file)
	in(file, func(d *DB) error { return d.FinishRuns(ctx, []uuid.UUID{id}, "ok", "", time.Now()) })
	in(during, func(d *DB) error { _, err := d.SQL().Exec("UPDATE raw.run SET pid = 999999999"); return err })
	in(file, func(d *DB) error {
		did, err := d.Import(ctx, during, nil)
		if did != (Moved{Older: 1}) {
			t.Errorf("the copy comes into the file: %+v", did)
		}
		return err
	})
	in(during, func(d *DB) error {
		did, err := d.Import(ctx, file, nil)
		if did != (Moved{Renewed: 1}) {
			t.Errorf("the run comes into the copy: %+v", did)
		}
		return err
	})
}

// A label makes a copy newer even where the clock is behind the one by which the run ended.
func TestLabelWithSlowClock(t *testing.T) {
	ctx := context.Background()
	file := oneRun(t)
	db, err := Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if _, err := db.SQL().Exec("UPDATE raw.run SET changed_at = now()::TIMESTAMP + INTERVAL 1 HOUR"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.SQL().QueryRow("SELECT run_id::VARCHAR FROM raw.run").Scan(&id), db.Close()); err != nil {
		t.Fatal(err)
	}
	other := copyOf(t, file)
	if db, err = Open(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.TagRun(ctx, id, "k", "v"), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(ctx, other); err != nil {
		t.Fatal(err)
	}
	did, err := db.Import(ctx, file, nil)
	if err := errors.Join(err, db.Close()); err != nil || did.Renewed != 1 {
		t.Errorf("%+v (%v)", did, err)
	}
}

// Whether it is worth trying again is said by the error, not by a name in it.
func TestConflict(t *testing.T) {
	if short := (Lake{Name: "c", catalog: "/x/catalog.ducklake"}); !short.conflict(errors.New("Could not set lock on file: Conflicting lock")) {
		t.Error("a lake of a short name")
	}
	l, err := ParseLake("postgres:host=h user=duplicate key dbname=concurrent", "/data/conflict")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`IO Error: Unable to connect to Postgres at "host=h user=duplicate key": connection to server at "h" failed: FATAL: database "conflict" does not exist`: false,
		`connection to server at "h", port 5432 failed: FATAL: sorry, too many clients already`:                                                                 true,
		`connection to server failed: FATAL: password authentication failed for user "deadlock"`:                                                                false,
		`Failed to commit DuckLake transaction. Exceeded the maximum retry count of 10`:                                                                         true,
		`ERROR: could not serialize access due to concurrent update`:                                                                                            true,
		`IO Error: Cannot open file "/data/conflict/x.parquet": No space left on device`:                                                                        false,
		`IO Error: Could not set lock on file "/lake/catalog.ducklake": Conflicting lock is held in wb (PID 7)`:                                                 true,
		`Cannot write to /data/conflict/x: disk error`:                                                                                                          false,
	} {
		if got := l.conflict(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"postgres:host=h password=abc dbname=x":          "postgres:host=h password=*** dbname=x",
		"postgres:password = 'a b\\'c' host=h":           "postgres:password =*** host=h",
		"postgresql://me:abc@h:5432/x":                   "postgresql://me:***@h:5432/x",
		"postgres://me:p@ss@h/x?password=zzz":            "postgres://me:***@h/x?password=***",
		"postgres:host=h dbname=x":                       "postgres:host=h dbname=x",
		"postgres:password='my s3cret dbname=x":          "postgres:password=***",
		"connection to \"postgres:host=h PASSWORD=abc\"": "connection to \"postgres:host=h PASSWORD=***",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// A folder whose files lack columns of today reads them as NULL, and one table that nobody wrote is empty.
func TestOlderFolder(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file := oneRun(t)
	ids := []string{}
	db, err := OpenRead(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if err := errors.Join(db.SQL().QueryRow("SELECT run_id::VARCHAR FROM raw.run").Scan(&id), db.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := Export(ctx, file, dir, append(ids, id)); err != nil || out.Added != 1 || out.Bytes == 0 {
		t.Fatalf("%+v (%v)", out, err)
	}
	// the run began late in the day: its folder has the day of UTC
	part := filepath.Join(dir, "turn", "day=2026-02-03", "run_id="+id)
	conn, end, err := inMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(part, "data_0.parquet")
	_, err = conn.ExecContext(ctx, "COPY (SELECT * EXCLUDE (day, run_id, intended_ns, submit_ns) FROM read_parquet("+sqlText(old)+", hive_partitioning = true)) TO "+sqlText(old+".new")+" (FORMAT parquet)")
	if err := errors.Join(err, end(), os.Rename(old+".new", old), os.WriteFile(filepath.Join(dir, factsFile), []byte(`{"schema": 5, "schemas": [4, 5]}`), 0o644)); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenRead(ctx, dir); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	if err := db.SQL().QueryRow("SELECT concat_ws(' ', (SELECT count(*) FROM raw.turn), (SELECT count(*) FROM raw.turn WHERE submit_ns IS NULL), (SELECT count(*) FROM raw.gpu), (SELECT content FROM raw.message), (SELECT any_value(comment) FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = 'turns' AND column_name = 'status'))").Scan(&got); err != nil || !strings.HasPrefix(got, "1 1 0 x ") || len(got) < 12 {
		t.Errorf("%q (%v)", got, err)
	}
}
