//go:build duckdb_arrow

package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wb/store"
	"wb/store/storetest"
)

// A lake that a newer wb has used is refused, and a lake of an older wb gets the columns that it lacks.
// The test needs WB_EXTENSION_DIR (make lake).
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
		conn, end, err := store.InMemory(ctx)
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
	if err := storetest.Scan(db, "SELECT count(*) FROM raw.turn WHERE intended_ns IS NULL", &n); err != nil || n != 2 {
		t.Errorf("%d turns (%v)", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// a push that was killed may have left its view
	change("CREATE VIEW _lake.main.pushing_x AS SELECT 1 AS x")
	var id string
	if db, err = OpenRead(ctx, where); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(storetest.Scan(db, "SELECT run_id::VARCHAR FROM raw.run LIMIT 1", &id), db.Close(),
		Remove(ctx, where, []string{id})); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenRead(ctx, where); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Scan(db, "SELECT count(*) + (SELECT count(*) FROM raw.run) FROM raw.turn", &n); err != nil || n != 2 {
		t.Errorf("rows of the run and its turn are left: %d (%v)", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	change("UPDATE _lake.main.wb_schema SET version = 99")
	if _, err := Push(ctx, file, l, nil); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer lake: %v", err)
	}
	if _, err := OpenRead(ctx, where); !errors.Is(err, store.ErrNewer) {
		t.Errorf("checking a newer lake: %v", err)
	}
	if _, err := OpenRead(WithAccess(ctx, Access{Extensions: t.TempDir()}), where); err == nil ||
		!strings.Contains(err.Error(), "there is no ducklake.duckdb_extension in ") {
		t.Errorf("without the extension: %v", err)
	}
}

// A lake that was made for a file of an older wb that could not be migrated has the schema version of that file.
// It gets the columns that it lacks when runs of a newer file are pushed.
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
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	from, err := attachFile(ctx, conn, file)
	if err != nil {
		t.Fatal(err)
	}
	now := from.version
	from.version--
	from.schema["run"] = slices.DeleteFunc(from.schema["run"], func(c store.Column) bool {
		return c.Name == "executions" || c.Name == "changed_at"
	})
	to, err := attachLake(ctx, conn, l, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(to.prepareLake(ctx, conn, from), to.close(ctx), end()); err != nil {
		t.Fatal(err)
	}
	if to.version != now-1 {
		t.Errorf("the lake has schema version %d", to.version)
	}
	if out, err := Push(ctx, file, l, nil); err != nil || out.Added != 1 {
		t.Errorf("%+v (%v)", out, err)
	}
}

// The message of an error decides whether to try again, and names in the message do not.
func TestConflict(t *testing.T) {
	if short := (Lake{Name: "c", catalog: "/x/catalog.ducklake"}); !short.conflict(errors.New("Could not set lock on file: Conflicting " +
		"lock")) {
		t.Error("a conflict was not recognised in a lake with a short name")
	}
	l, err := ParseLake("postgres:host=h user=duplicate key dbname=concurrent", "/data/conflict")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`IO Error: Unable to connect to Postgres at "host=h user=duplicate key": ` +
			`connection to server at "h" failed: FATAL: database "conflict" does not exist`: false,

		`connection to server at "h", port 5432 failed: FATAL: sorry, too many clients already`:                 true,
		`connection to server failed: FATAL: password authentication failed for user "deadlock"`:                false,
		`Failed to commit DuckLake transaction. Exceeded the maximum retry count of 10`:                         true,
		`ERROR: could not serialize access due to concurrent update`:                                            true,
		`IO Error: Cannot open file "/data/conflict/x.parquet": No space left on device`:                        false,
		`IO Error: Could not set lock on file "/lake/catalog.ducklake": Conflicting lock is held in wb (PID 7)`: true,
		`Cannot write to /data/conflict/x: disk error`:                                                          false,
	} {
		if got := l.conflict(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
