//go:build duckdb_arrow

package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/store"
	"wb/store/storetest"
)

// Of two copies of a run, the one that was resumed, or labelled later, replaces the other: in files, in folders, and in lakes if
// WB_EXTENSION_DIR is set.
func TestNewerCopy(t *testing.T) {
	ctx := context.Background()
	stay := oneRun(t) // this copy is never resumed
	var id uuid.UUID
	change := func(path string, f func(*store.DB) error) {
		t.Helper()
		db, err := store.Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		err = storetest.Scan(db, "SELECT run_id FROM raw.run", &id)
		if err == nil {
			err = f(db)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change(stay, func(d *store.DB) error { return d.FinishRuns(ctx, []uuid.UUID{id}, "interrupted", "cut", time.Now()) })
	resumed := copyOf(t, stay)
	change(resumed, func(d *store.DB) error {
		err := alter(d, "UPDATE raw.turn SET status = 'failed'")
		return errors.Join(err, d.Reopen(ctx, []store.PlanRun{{RunID: id}}), d.FinishRuns(ctx, []uuid.UUID{id}, "ok", "", time.Now()))
	})
	// a label does not make the old copy newer than one that was resumed
	change(stay, func(d *store.DB) error { return d.TagRun(ctx, id.String(), "late", "1") })
	labelled := copyOf(t, resumed)
	change(labelled, func(d *store.DB) error { return d.TagRun(ctx, id.String(), "note", "1") })

	if dir := os.Getenv("WB_EXTENSION_DIR"); dir != "" {
		ctx = WithAccess(ctx, Access{Extensions: dir})
	}
	look := func(place string) string { return standing(ctx, t, place) }
	for name, bring := range placesBeside(filepath.Dir(stay)) {
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
			if got := look(place); got != step.want {
				t.Errorf("%s, step %d: %q, want %q", name, i, got, step.want)
			}
		}
		back := copyOf(t, stay)
		db, err := store.Open(ctx, back)
		if err != nil {
			t.Fatal(err)
		}
		did, err := Import(ctx, db, place, nil)
		if err := errors.Join(err, db.Close()); err != nil || did != (Moved{Renewed: 1}) {
			t.Fatalf("back from the %s: %+v (%v)", name, did, err)
		}
		if got := look(back); got != "ok failed note 1" {
			t.Errorf("back from the %s: %q", name, got)
		}
	}
	db, err := store.Open(ctx, stay)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Import(ctx, db, stay, nil)
	if err := errors.Join(err, db.Close()); err == nil || !strings.Contains(err.Error(), "it is this history itself") {
		t.Errorf("into itself: %v", err)
	}
}

// standing returns the statuses of the runs and turns of a history, the labels of its runs, and how many texts there are.
func standing(ctx context.Context, t *testing.T, place string) (s string) {
	t.Helper()
	db, err := OpenRead(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := storetest.Scan(db, `SELECT concat_ws(' ', (SELECT string_agg(status, ',') FROM raw.run),
		(SELECT string_agg(status, ',') FROM raw.turn),
		(SELECT string_agg(key, ',') FROM raw.run_tag), (SELECT count(*) FROM raw.message))`, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// placesBeside returns functions that copy the runs of a file to other histories in a folder. Lakes need WB_EXTENSION_DIR.
func placesBeside(dir string) map[string]func(ctx context.Context, file string) (string, Moved, error) {
	places := map[string]func(ctx context.Context, file string) (string, Moved, error){
		"folder": func(ctx context.Context, file string) (string, Moved, error) {
			to := filepath.Join(dir, "folder")
			out, err := Export(ctx, file, to, nil)
			return to, out.Moved, err
		},
		"file": func(ctx context.Context, file string) (string, Moved, error) {
			to := filepath.Join(dir, "main.duckdb") // this name is also the name of a schema
			db, err := store.Open(ctx, to)
			if err != nil {
				return to, Moved{}, err
			}
			out, err := Import(ctx, db, file, nil)
			return to, out, errors.Join(err, db.Close())
		},
	}
	if os.Getenv("WB_EXTENSION_DIR") != "" {
		places["lake"] = func(ctx context.Context, file string) (string, Moved, error) {
			l, err := ParseLake(filepath.Join(dir, "lake"), "")
			if err != nil {
				return "", Moved{}, err
			}
			out, err := Push(ctx, file, l, nil)
			return l.Name, out, err
		}
	}
	return places
}

// A file may be copied during a run. Later wb finds that the process of the run in the copy is gone, and marks that run as failed.
// Even so, the copy is not newer than the run that ended.
func TestCopyDuringRun(t *testing.T) {
	ctx := context.Background()
	file := oneRun(t)
	in := func(path string, f func(*store.DB) error) {
		t.Helper()
		db, err := store.Open(ctx, path)
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
	in(file, func(d *store.DB) error {
		err := alter(d, `UPDATE raw.run SET status = 'running', ended_at = NULL, executions = 1, changed_at = started_at,
			pid = ?, hostname = ?`, os.Getpid(), host)
		return errors.Join(err, storetest.Scan(d, "SELECT run_id FROM raw.run", &id))
	})
	during := copyOf(t, file)
	in(file, func(d *store.DB) error { return d.FinishRuns(ctx, []uuid.UUID{id}, "ok", "", time.Now()) })
	in(during, func(d *store.DB) error { return alter(d, "UPDATE raw.run SET pid = 999999999") })
	in(file, func(d *store.DB) error {
		did, err := Import(ctx, d, during, nil)
		if did != (Moved{Older: 1}) {
			t.Errorf("copy into file: %+v", did)
		}
		return err
	})
	in(during, func(d *store.DB) error {
		did, err := Import(ctx, d, file, nil)
		if did != (Moved{Renewed: 1}) {
			t.Errorf("run into copy: %+v", did)
		}
		return err
	})
}

// A label makes a copy newer even if the clock is behind the clock of the machine on which the run ended.
func TestLabelWithSlowClock(t *testing.T) {
	ctx := context.Background()
	file := oneRun(t)
	db, err := store.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if err := alter(db, "UPDATE raw.run SET changed_at = now()::TIMESTAMP + INTERVAL 1 HOUR"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(storetest.Scan(db, "SELECT run_id::VARCHAR FROM raw.run", &id), db.Close()); err != nil {
		t.Fatal(err)
	}
	other := copyOf(t, file)
	if db, err = store.Open(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.TagRun(ctx, id, "k", "v"), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(ctx, other); err != nil {
		t.Fatal(err)
	}
	did, err := Import(ctx, db, file, nil)
	if err := errors.Join(err, db.Close()); err != nil || did.Renewed != 1 {
		t.Errorf("%+v (%v)", did, err)
	}
}
