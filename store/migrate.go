//go:build duckdb_arrow

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	wbsql "wb/sql"
)

type migration struct {
	version int
	name    string
	text    string
}

func migrations() ([]migration, error) {
	names, err := fs.Glob(wbsql.Files, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	var ms []migration
	for _, n := range names { // Glob sorts
		text, err := fs.ReadFile(wbsql.Files, n)
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(path.Base(n), "_")
		v, err := strconv.Atoi(number)
		if err != nil || v != len(ms)+1 {
			return nil, fmt.Errorf("migration %s is not number %d", n, len(ms)+1)
		}
		ms = append(ms, migration{v, path.Base(n), string(text)})
	}
	return ms, nil
}

func digest(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// state reads the schema version of a file, 0 for a new one, and the hash of the views that were applied last, "" for none.
func (d *DB) state(ctx context.Context) (version int, views string, err error) {
	var n int
	if err := d.db.QueryRowContext(ctx, wbsql.Statement("has_schema")).Scan(&n); err != nil {
		return 0, "", Explain("open", d.path, err)
	}
	if n == 0 {
		return 0, "", nil
	}
	var v sql.NullString
	err = d.db.QueryRowContext(ctx, wbsql.Statement("schema_version")).Scan(&version, &v)
	if err != nil {
		return 0, "", Explain("open", d.path, err)
	}
	return version, v.String, nil
}

// stale reports whether a file needs changes before it is read: migrations, newer views, or a status for runs whose process died.
func (d *DB) stale(ctx context.Context) (bool, error) {
	want, err := wanted()
	if err != nil {
		return false, &Error{"open", d.path, err, ""}
	}
	version, views, err := d.state(ctx)
	if err != nil {
		return false, err
	}
	if version > len(want.migrations) {
		return false, newer(d.path, version, len(want.migrations))
	}
	if version < len(want.migrations) || views != want.viewsDigest() {
		return true, nil
	}
	dead, err := d.deadRuns(ctx)
	return len(dead) > 0, err
}

// CheckSchema returns an error, which wraps ErrNewer, for a schema version that this wb does not know.
func CheckSchema(p string, has int) error {
	ms, err := migrations()
	if err != nil {
		return &Error{"open", p, err, ""}
	}
	if has > len(ms) {
		return newer(p, has, len(ms))
	}
	return nil
}

func newer(p string, has, knows int) error {
	err := fmt.Errorf("%w: its schema has version %d, and this wb knows versions up to %d", ErrNewer, has, knows)
	return &Error{"open", p, err, "use the wb that wrote it, or a newer one"}
}

// schema is everything that is applied to a new file.
type schema struct {
	migrations []migration
	views      []script
}

// script is a file of SQL statements.
type script struct{ name, text string }

// wanted returns the schema of this wb. Its views are in the order in which they are applied.
func wanted() (schema, error) {
	ms, err := migrations()
	if err != nil {
		return schema{}, err
	}
	names, err := fs.Glob(wbsql.Files, "views/*.sql")
	if err != nil {
		return schema{}, err
	}
	out := schema{migrations: ms}
	for _, name := range append([]string{"gpus.sql"}, names...) { // Glob sorts
		text, err := fs.ReadFile(wbsql.Files, name)
		if err != nil {
			return schema{}, err
		}
		out.views = append(out.views, script{name, string(text)})
	}
	return out, nil
}

// viewsDigest returns the hash of all texts from which the views and their comments are made.
func (s schema) viewsDigest() string {
	var all strings.Builder
	for _, v := range s.views {
		all.WriteString(v.text)
	}
	all.WriteString(wbsql.Statement("inherit_comments"))
	return digest(all.String())
}

func (d *DB) prepare(ctx context.Context, at time.Time) error {
	want, err := wanted()
	if err != nil {
		return &Error{"migrate", d.path, err, ""}
	}
	version, views, err := d.state(ctx)
	if err != nil {
		return err
	}
	if version > len(want.migrations) {
		return newer(d.path, version, len(want.migrations))
	}
	if version < len(want.migrations) || views != want.viewsDigest() {
		if err := d.migrate(ctx, version, want, at); err != nil {
			return err
		}
	}
	return d.failDeadRuns(ctx)
}

// migrate applies the migrations that a file of that version lacks (0: a new file), and the views, in one transaction.
func (d *DB) migrate(ctx context.Context, version int, want schema, at time.Time) (err error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return Explain("migrate", d.path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}()
	if err := apply(ctx, tx, version, want, at); err != nil {
		return Explain("migrate", d.path, err)
	}
	return Explain("migrate", d.path, tx.Commit())
}

func apply(ctx context.Context, tx *sql.Tx, version int, want schema, at time.Time) error {
	run := func(name, text string) error {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	note := func(v int, name, digest string) error {
		_, err := tx.ExecContext(ctx, wbsql.Statement("note_migration"), v, name, digest, at)
		return err
	}
	missing := want.migrations[version:]
	if version == 0 {
		if err := run("raw.migration", wbsql.Statement("migration_table")); err != nil {
			return err
		}
	}
	for _, m := range missing {
		if err := run(m.name, m.text); err != nil {
			return err
		}
		if err := note(m.version, m.name, digest(m.text)); err != nil {
			return err
		}
	}
	if version > 0 && len(missing) > 0 {
		if err := run("raw.turn", wbsql.Statement("turn_flow")); err != nil {
			return err
		}
	}
	for _, v := range want.views {
		if err := run(v.name, v.text); err != nil {
			return err
		}
	}
	if err := inheritComments(ctx, tx); err != nil {
		return err
	}
	if err := run("raw.migration", wbsql.Statement("forget_views")); err != nil {
		return err
	}
	return note(0, "views", want.viewsDigest())
}

// inheritComments gives each column of a view that has no comment the comment of the column it comes from.
func inheritComments(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, wbsql.Statement("inherit_comments"))
	if err != nil {
		return err
	}
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var q string
		if err := rows.Scan(&q); err != nil {
			return err
		}
		all.WriteString(q)
	}
	if err := rows.Err(); err != nil || all.Len() == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, all.String())
	return err
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// deadRuns returns the ids of runs whose status is "running" although their process is gone.
// It leaves out runs of other machines, because their processes cannot be seen from here.
func (d *DB) deadRuns(ctx context.Context) ([]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, nil //nolint:nilerr // without the name of this machine, no run can be known to be of this machine
	}
	rows, err := d.db.QueryContext(ctx, wbsql.Statement("running_here"), host)
	if err != nil {
		return nil, Explain("open", d.path, err)
	}
	defer rows.Close()
	var dead []string
	for rows.Next() {
		var id string
		var pid sql.NullInt64
		var started sql.NullTime
		if err := rows.Scan(&id, &pid, &started); err != nil {
			return nil, Explain("open", d.path, err)
		}
		// A process that reuses the pid started at another time. Clock ticks make that time inexact by about 10 ms; 2 s is generous.
		at, alive := processStart(pid.Int64)
		if !pid.Valid || !alive || (started.Valid && at.Sub(started.Time).Abs() > 2*time.Second) {
			dead = append(dead, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, Explain("open", d.path, err)
	}
	return dead, nil
}

// failDeadRuns marks dead runs as failed. It leaves changed_at alone:
// this may be a copy of the file that was made during a run, and that run may have ended well.
func (d *DB) failDeadRuns(ctx context.Context) error {
	dead, err := d.deadRuns(ctx)
	if err != nil {
		return err
	}
	for _, id := range dead {
		for _, q := range []string{"fail_dead_run", "fail_dead_sessions"} {
			if _, err := d.db.ExecContext(ctx, wbsql.Statement(q), id); err != nil {
				return Explain("open", d.path, err)
			}
		}
	}
	return nil
}
