//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	wbsql "wb/sql"
	"wb/store"
)

// Push adds runs of a file to a lake, each in one transaction. It never adds a run twice: if the lake has an equal or a newer copy, the run
// is left out. A run that has been resumed or tagged since replaces the copy in the lake. Several machines may push at once.
// Push makes the lake if it does not exist. ids names the runs; nil means all of them.
func Push(ctx context.Context, file string, l Lake, ids []string) (out Moved, err error) {
	if l.inFolder() {
		made, merr := l.makeFolder()
		if merr != nil {
			return out, merr
		}
		defer func() {
			if err != nil && made != "" { // an empty folder would not be a lake
				_ = os.Remove(made)
			}
		}()
	}
	fail := func(err error) error { return explainLake("push", l.Name, err) }
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		return out, fail(err)
	}
	defer func() { err = errors.Join(err, end()) }()
	from, err := attachFile(ctx, conn, file)
	if err != nil {
		return out, err
	}
	to, err := attachLake(ctx, conn, l, false)
	if e := (*store.Error)(nil); errors.As(err, &e) && strings.Contains(e.Err.Error(), "does not answer") {
		e.Remedy += later("push")
	}
	if err != nil {
		return out, err
	}
	defer func() {
		if cerr := to.close(context.WithoutCancel(ctx)); err == nil { // the error that ended the push would end this too
			err = cerr
		}
	}()
	if err := l.retry(ctx, func() error { return to.prepareLake(ctx, conn, from) }); err != nil {
		return out, fail(err)
	}
	runs, err := from.runs(ctx, conn, ids)
	if err != nil {
		return out, fail(err)
	}
	return l.pushRuns(ctx, conn, from, to, runs)
}

// makeFolder makes the folder of a lake. made is its path if it did not exist, and "" otherwise.
func (l Lake) makeFolder() (made string, err error) {
	if err := l.refuseParquet(); err != nil {
		return "", err
	}
	dir := filepath.Dir(l.catalog)
	if err := errors.Join(globbable("push", l.Name, dir), l.catalogFile()); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		made = dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", problem("push", l.Name, err, "")
	}
	return made, nil
}

func (l Lake) pushRuns(ctx context.Context, conn *sql.Conn, from, to *source, runs []runCopy) (out Moved, err error) {
	step := steps(ctx, l.Name, len(runs))
	for i, r := range runs {
		var did Moved
		err := l.retry(ctx, func() (err error) {
			did, err = to.pushRun(ctx, conn, from, r, l)
			return err
		})
		if err != nil {
			err, n := explainLake("push", l.Name, fmt.Errorf("run %s: %w", r.id, err)), out.Added+out.Renewed
			if e := (*store.Error)(nil); n > 0 && errors.As(err, &e) {
				e.Err = fmt.Errorf("%w; the %d runs before it are complete in the lake", e.Err, n)
			}
			return out, err
		}
		out = out.plus(did)
		step(i + 1)
	}
	return out, nil
}

// prepareLake adds to a lake the tables and columns of a file that it lacks, in one transaction.
func (s *source) prepareLake(ctx context.Context, c *sql.Conn, from *source) error {
	if err := s.readLake(ctx, c); err != nil {
		return err
	}
	if err := store.CheckSchema(s.path, s.version); err != nil {
		return err
	}
	if s.version >= from.version {
		return nil
	}
	err := store.Within(ctx, c, func(exec func(string, ...any) error) error {
		if s.tables["wb_schema"] == nil {
			if err := exec("CREATE TABLE _lake.main.wb_schema (version INTEGER)"); err != nil {
				return err
			}
		}
		for t, cs := range from.schema {
			if err := s.prepareTable(exec, t, cs); err != nil {
				return err
			}
		}
		return errors.Join(exec("DELETE FROM _lake.main.wb_schema"),
			exec(fmt.Sprintf("INSERT INTO _lake.main.wb_schema VALUES (%d)", from.version)))
	})
	if err != nil {
		return err
	}
	return s.readLake(ctx, c)
}

// prepareTable makes a table of a lake, or adds the columns that it lacks.
func (s *source) prepareTable(exec func(string, ...any) error, table string, cs []store.Column) error {
	cs = slices.Concat([]store.Column{{Name: "day", Type: "DATE", Comment: "day on which the run began, UTC"}}, cs)
	if table == "message" {
		cs = append(cs, store.Column{Name: "run_id", Type: "UUID", Comment: "run that refers to the text"})
	}
	var list []string
	for _, x := range cs {
		if s.tables[table] != nil && !slices.Contains(s.tables[table], x.Name) {
			if err := exec(fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", s.from(table), wbsql.Name(x.Name), x.Type)); err != nil {
				return err
			}
		}
		list = append(list, wbsql.Name(x.Name)+" "+x.Type)
	}
	if s.tables[table] != nil {
		return nil
	}
	return errors.Join(
		exec(fmt.Sprintf("CREATE TABLE %s (%s)", s.from(table), strings.Join(list, ", "))),
		exec(fmt.Sprintf("ALTER TABLE %s SET PARTITIONED BY (day)", s.from(table))))
}

// pushRun adds one run. If two processes push the same run at once, both make a view of the same name in their transactions.
// Only one of these can be committed. The other process tries again and finds the run there. The view is dropped afterwards.
func (s *source) pushRun(ctx context.Context, c *sql.Conn, from *source, here runCopy, l Lake) (did Moved, err error) {
	lock := "_lake.main." + wbsql.Name("pushing_"+here.id)
	brought := false
	err = store.Within(ctx, c, func(exec func(string, ...any) error) error {
		there, err := s.runs(ctx, c, []string{here.id})
		if err != nil {
			return err
		}
		did = Moved{}
		if brought = did.decide(here, there...); !brought {
			return nil
		}
		// a view that is there already was left by a push that was killed
		if err := errors.Join(exec("DROP VIEW IF EXISTS "+lock), exec("CREATE VIEW "+lock+" AS SELECT 1 AS x")); err != nil {
			return err
		}
		if did.Renewed > 0 {
			if err := s.remove(exec, []string{here.id}); err != nil {
				return err
			}
		}
		for _, t := range store.Tables() {
			if from.tables[t] == nil { // a file of an older wb
				continue
			}
			q := "INSERT INTO " + s.from(t) + " BY NAME SELECT * FROM " + rowsOf(from, t) + " WHERE " + inList([]string{here.id})
			if err := exec(q); err != nil {
				return fmt.Errorf("raw.%s: %w", t, err)
			}
		}
		return nil
	})
	if err != nil || !brought {
		return did, err
	}
	ctx = context.WithoutCancel(ctx)
	// an error is ignored: the run is in the lake, and a view that stays disturbs nobody
	_ = l.retry(ctx, func() error { _, err := c.ExecContext(ctx, "DROP VIEW IF EXISTS "+lock); return err })
	return did, nil
}

// removeFrom removes runs from a lake, in one transaction. DuckLake deletes their Parquet files later, when it is told to clean up.
func (l Lake) removeFrom(ctx context.Context, ids []string) (err error) {
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		return explainLake("remove", l.Name, err)
	}
	defer func() { err = errors.Join(err, end()) }()
	s, err := attachLake(ctx, conn, l, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	return explainLake("remove", l.Name, l.retry(ctx, func() error {
		return store.Within(ctx, conn, func(exec func(string, ...any) error) error {
			return s.remove(exec, ids)
		})
	}))
}

// remove removes all rows of runs. Texts that are stored without a run stay.
func (s *source) remove(exec func(string, ...any) error, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	for _, t := range store.Tables() {
		if slices.Contains(s.tables[t], "run_id") {
			if err := exec("DELETE FROM " + s.from(t) + " WHERE " + inList(ids)); err != nil {
				return fmt.Errorf("raw.%s: %w", t, err)
			}
		}
	}
	return nil
}
