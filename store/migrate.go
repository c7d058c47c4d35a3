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

const migrationTable = `CREATE SCHEMA IF NOT EXISTS raw;
CREATE TABLE IF NOT EXISTS raw.migration (version INTEGER, name VARCHAR, sha256 VARCHAR, applied_at TIMESTAMP);
COMMENT ON TABLE raw.migration IS 'which schema this file has';
COMMENT ON COLUMN raw.migration.version IS 'number of the migration; 0 is the text of gpus.sql and views.sql';
COMMENT ON COLUMN raw.migration.name IS 'file it came from';
COMMENT ON COLUMN raw.migration.sha256 IS 'hash of that file';
COMMENT ON COLUMN raw.migration.applied_at IS 'when, UTC';`

// state reads which migrations a file has; views is the hash of the views.sql applied last, "" for none.
func (d *DB) state(ctx context.Context) (version int, views string, err error) {
	var n int
	if err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw' AND table_name = 'migration'").Scan(&n); err != nil {
		return 0, "", explain("open", d.path, err)
	}
	if n == 0 {
		return 0, "", nil
	}
	var v sql.NullString
	err = d.db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0), max(sha256) FILTER (WHERE version = 0) FROM raw.migration").Scan(&version, &v)
	if err != nil {
		return 0, "", explain("open", d.path, err)
	}
	return version, v.String, nil
}

// stale says whether a file needs to be put in order before it is read.
func (d *DB) stale(ctx context.Context) (bool, error) {
	ms, viewsText, err := texts()
	if err != nil {
		return false, &Error{"open", d.path, err, ""}
	}
	version, views, err := d.state(ctx)
	if err != nil {
		return false, err
	}
	if version > len(ms) {
		return false, newer(d.path, version, len(ms))
	}
	if version < len(ms) || views != digest(viewsText) {
		return true, nil
	}
	dead, err := d.deadRuns(ctx)
	return len(dead) > 0, err
}

// readable refuses a schema that this wb does not know.
func readable(p string, has int) error {
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
	return &Error{"open", p, fmt.Errorf("%w: its schema is number %d, this wb knows %d", ErrNewer, has, knows), "use the wb that wrote it, or newer"}
}

func texts() ([]migration, string, error) {
	ms, err := migrations()
	if err != nil {
		return nil, "", err
	}
	text := ""
	for _, name := range []string{"gpus.sql", "views.sql"} {
		part, err := fs.ReadFile(wbsql.Files, name)
		if err != nil {
			return nil, "", err
		}
		text += string(part)
	}
	return ms, text, nil
}

func (d *DB) prepare(ctx context.Context) error {
	ms, views, err := texts()
	if err != nil {
		return &Error{"migrate", d.path, err, ""}
	}
	version, viewsHash, err := d.state(ctx)
	if err != nil {
		return err
	}
	if version > len(ms) {
		return newer(d.path, version, len(ms))
	}
	if version < len(ms) || viewsHash != digest(views) {
		if err := d.migrate(ctx, ms[version:], views, version == 0); err != nil {
			return err
		}
	}
	return d.failDeadRuns(ctx)
}

// migrate applies the missing migrations and the views in one transaction.
func (d *DB) migrate(ctx context.Context, ms []migration, views string, fresh bool) (err error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return explain("migrate", d.path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}()
	run := func(name, text string) error {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return explain("migrate", d.path, fmt.Errorf("%s: %w", name, err))
		}
		return nil
	}
	if fresh {
		if err := run("raw.migration", migrationTable); err != nil {
			return err
		}
	}
	note := func(v int, name, text string) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO raw.migration VALUES (?, ?, ?, ?)", v, name, digest(text), time.Now().UTC()); err != nil {
			return explain("migrate", d.path, err)
		}
		return nil
	}
	for _, m := range ms {
		if err := run(m.name, m.text); err != nil {
			return err
		}
		if err := note(m.version, m.name, m.text); err != nil {
			return err
		}
	}
	if !fresh && len(ms) > 0 {
		if err := run("raw.turn", turnFlow); err != nil {
			return err
		}
	}
	if err := run("views.sql", views); err != nil {
		return err
	}
	if err := inheritComments(ctx, tx); err != nil {
		return explain("migrate", d.path, err)
	}
	if err := run("raw.migration", "DELETE FROM raw.migration WHERE version = 0"); err != nil {
		return err
	}
	if err := note(0, "views.sql", views); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return explain("migrate", d.path, err)
	}
	return nil
}

// inheritComments gives a view's column a comment, unless views.sql says its own: to those of selected_X and measured_X that of
// the column of X, to others that of the raw column they are named after.
func inheritComments(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT format('COMMENT ON COLUMN main."{}"."{}" IS ''{}'';', v.table_name, v.column_name,
			replace(coalesce(any_value(x.comment), min(t.comment)), '''', ''''''))
		FROM duckdb_columns() v JOIN duckdb_views() w ON w.schema_name = 'main' AND w.view_name = v.table_name AND NOT w.internal
		LEFT JOIN duckdb_columns() x ON x.schema_name = 'main' AND x.column_name = v.column_name AND x.comment IS NOT NULL
			AND v.table_name IN ('selected_' || x.table_name, 'measured_' || x.table_name)
		LEFT JOIN duckdb_columns() t ON t.schema_name = 'raw' AND t.column_name = v.column_name AND t.comment IS NOT NULL
		WHERE v.schema_name = 'main' AND v.comment IS NULL AND coalesce(x.comment, t.comment) IS NOT NULL
		GROUP BY v.table_name, v.column_name`)
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

// deadRuns are the runs that say "running" though the process that ran them is gone. A run of another machine is left
// alone: its process cannot be seen from here.
func (d *DB) deadRuns(ctx context.Context) ([]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, nil //nolint:nilerr // without a name nothing can be said about any process
	}
	rows, err := d.db.QueryContext(ctx, "SELECT run_id::VARCHAR, pid, process_started_at FROM raw.run WHERE status = 'running' AND hostname = ?", host)
	if err != nil {
		return nil, explain("open", d.path, err)
	}
	defer rows.Close()
	var dead []string
	for rows.Next() {
		var id string
		var pid sql.NullInt64
		var started sql.NullTime
		if err := rows.Scan(&id, &pid, &started); err != nil {
			return nil, explain("open", d.path, err)
		}
		// a reused pid has another start; the kernel's clock ticks leave some 10 ms of play, 2 s is generous
		at, alive := processStart(pid.Int64)
		if !pid.Valid || !alive || (started.Valid && at.Sub(started.Time).Abs() > 2*time.Second) {
			dead = append(dead, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, explain("open", d.path, err)
	}
	return dead, nil
}

// failDeadRuns says of dead runs that they failed. changed_at stays: this may be a copy of the file, made during a run that ended well.
func (d *DB) failDeadRuns(ctx context.Context) error {
	dead, err := d.deadRuns(ctx)
	if err != nil {
		return err
	}
	for _, id := range dead {
		if _, err := d.db.ExecContext(ctx, `UPDATE raw.run SET status = 'failed', error = 'the wb process ended without closing the run' WHERE run_id = ?::UUID`, id); err != nil {
			return explain("open", d.path, err)
		}
		if _, err := d.db.ExecContext(ctx, `UPDATE raw.session SET status = 'failed' WHERE status = 'running' AND run_id = ?::UUID`, id); err != nil {
			return explain("open", d.path, err)
		}
	}
	return nil
}

// turnFlow fills in how tokens reached the client for turns of an older wb, from their chunks: of those that say nothing of it.
// docs/measuring.md says what is made of it.
const turnFlow = `UPDATE raw.turn SET token_events = x.events, first_read_events = x.first_events, streamed_tokens = x.tokens,
		first_read_tokens = x.first_tokens
	FROM (
		SELECT run_id, turn_id, CASE WHEN counted THEN n ELSE texts END AS events,
			CASE WHEN counted THEN first_n ELSE first_texts END AS first_events,
			CASE WHEN counted THEN sum_tokens END AS tokens, CASE WHEN counted THEN first_sum END AS first_tokens
		FROM (
			SELECT c.run_id, c.turn_id, count(*) FILTER (WHERE c.text_bytes > 0 AND c.tokens IS NULL) = 0 AS counted, count(*) AS n,
				count(*) FILTER (WHERE c.text_bytes > 0) AS texts,
				greatest(count(*) FILTER (WHERE c.t_ns = t.first_ns), 1) AS first_n,
				greatest(count(*) FILTER (WHERE c.t_ns = t.first_ns AND c.text_bytes > 0), 1) AS first_texts,
				sum(c.tokens)::BIGINT AS sum_tokens, coalesce(sum(c.tokens) FILTER (WHERE c.t_ns = t.first_ns), 1)::BIGINT AS first_sum
			FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk) c
			JOIN raw.turn t USING (run_id, turn_id)
			WHERE (c.text_bytes > 0 OR c.tokens > 0) AND t.token_events IS NULL GROUP BY ALL
		)
	) x
	WHERE raw.turn.run_id = x.run_id AND raw.turn.turn_id = x.turn_id AND raw.turn.token_events IS NULL`
