//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// source is another history that rows are read from: a DuckDB file, a folder of Parquet or a lake. It is attached to a connection.
type source struct {
	path    string
	version int                 // of its schema
	tables  map[string][]string // columns of each raw table that it has
	schema  map[string][]column // the same with types and comments; of a file only
	from    func(string) string // the relation that has a table's rows
	close   func(context.Context) error
}

// texts of messages have no run in a file, and one in folders and lakes, where runs come one by one
func (s *source) perRun() bool { return slices.Contains(s.tables["message"], "run_id") }

// listed is a run that a source has, and which copy of it.
type listed struct {
	id, status string
	state      string // how it stands, labels included
	executions int    // how often it was begun
	changedAt  time.Time
}

// newerThan says which of two copies is to stay: the one that was resumed more often, else the one that ended or was labelled later.
func (x listed) newerThan(y listed) bool {
	return x.executions > y.executions || x.executions == y.executions && x.changedAt.After(y.changedAt)
}

// runs lists them as they began; ids says which, nil for all of them.
func (s *source) runs(ctx context.Context, c *sql.Conn, ids []string) (out []listed, err error) {
	if s.tables["run"] == nil || ids != nil && len(ids) == 0 {
		return nil, nil
	}
	where, executions, changed, tags := "", "1", "coalesce(ended_at, started_at)", "SELECT NULL::UUID AS run_id, NULL AS tags"
	if ids != nil {
		where = " WHERE " + inList(ids)
	}
	if slices.Contains(s.tables["run"], "executions") { // not in a source of an older wb that could not be put in order
		executions, changed = "coalesce(executions, 1)", "coalesce(changed_at, ended_at, started_at)"
	}
	if s.tables["run_tag"] != nil {
		tags = "SELECT run_id, string_agg(key || '=' || value, ' ' ORDER BY key, value) AS tags FROM " + s.from("run_tag") + where + " GROUP BY run_id"
	}
	rows, err := c.QueryContext(ctx, fmt.Sprintf("SELECT run_id::VARCHAR, status, concat_ws(' ', status, ended_at, tags), %s, %s FROM (SELECT * FROM %s%s) r LEFT JOIN (%s) t USING (run_id) ORDER BY started_at, run_id", executions, changed, s.from("run"), where, tags))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x listed
		if err := rows.Scan(&x.id, &x.status, &x.state, &x.executions, &x.changedAt); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// byID gives the runs by their ids.
func (s *source) byID(ctx context.Context, c *sql.Conn) (map[string][]listed, error) {
	all, err := s.runs(ctx, c, nil)
	out := map[string][]listed{}
	for _, r := range all {
		out[r.id] = append(out[r.id], r)
	}
	return out, err
}

// Moved is what Export, Import and Push did with each run.
type Moved struct {
	Added, Renewed int // renewed: it had been resumed or labelled since
	Present        int // there as it stands here
	Older          int // left out: what is there is newer, or as new
	Running        int // left out, since they go on
}

// sort says what to do with a run, and counts it: there is how the run stands where it is to go, empty for not at all.
func (m *Moved) sort(here listed, there ...listed) (bring bool) {
	switch {
	case here.status == "running":
		m.Running++
	case len(there) == 0:
		m.Added++
		return true
	case there[0].state == here.state && there[0].executions == here.executions:
		m.Present++
	case here.newerThan(there[0]):
		m.Renewed++
		return true
	default:
		m.Older++
	}
	return false
}

func (m Moved) plus(o Moved) Moved {
	return Moved{m.Added + o.Added, m.Renewed + o.Renewed, m.Present + o.Present, m.Older + o.Older, m.Running + o.Running}
}

// column is one of a raw table, as this wb knows it.
type column struct {
	name, typ string
	comment   string
}

// schemaOf lists the raw tables of a database with their columns in order. Views do not count: whoever made the file may have made them
// read anything.
func schemaOf(ctx context.Context, c *sql.Conn, database string) (map[string][]column, error) {
	rows, err := c.QueryContext(ctx, `SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()
		WHERE database_name = ? AND schema_name = 'raw' AND table_name <> 'migration'
			AND (database_name, schema_name, table_name) IN (SELECT (database_name, schema_name, table_name) FROM duckdb_tables())
		ORDER BY table_name, column_index`, database)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]column{}
	for rows.Next() {
		var table string
		var x column
		if err := rows.Scan(&table, &x.name, &x.typ, &x.comment); err != nil {
			return nil, err
		}
		out[table] = append(out[table], x)
	}
	return out, rows.Err()
}

func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func sqlName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// openMemory opens a database that is nowhere on a disk, in which files, folders and lakes are attached.
func openMemory(limit, near string) (*DB, error) {
	return connect("", near, url.Values{"memory_limit": {limit}, "threads": {strconv.Itoa(readThreads)}})
}

// inMemory gives a connection to such a database and ends both.
func inMemory(ctx context.Context) (*sql.Conn, func() error, error) {
	d, err := openMemory(writeMemory, os.TempDir())
	if err != nil {
		return nil, nil, err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return conn, func() error { return errors.Join(conn.Close(), d.Close()) }, nil
}

// attachFile attaches a DuckDB file read-only, after OpenRead has put it in order.
func attachFile(ctx context.Context, c *sql.Conn, path string) (*source, error) {
	if kindOf(path) != aFile {
		return nil, &Error{"read", Redact(path), errors.New("it is a folder of Parquet or a lake, and this wants a DuckDB file"), "wb import " + Redact(path) + " --db FILE.duckdb makes one"}
	}
	db, err := OpenRead(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{"open", path, err, ""}
	}
	if _, err := c.ExecContext(ctx, "ATTACH "+sqlText(abs)+" AS _from (READ_ONLY)"); err != nil {
		return nil, explain("open", path, err)
	}
	s := &source{path: path, from: func(t string) string { return "_from.raw." + sqlName(t) }}
	s.close = func(ctx context.Context) error { _, err := c.ExecContext(ctx, "DETACH _from"); return err }
	if err := c.QueryRowContext(ctx, "SELECT max(version) FROM _from.raw.migration").Scan(&s.version); err != nil {
		return nil, explain("open", path, err)
	}
	return s, explain("open", path, s.readSchema(ctx, c, "_from"))
}

// readSchema reads the tables of a DuckDB file.
func (s *source) readSchema(ctx context.Context, c *sql.Conn, database string) (err error) {
	s.schema, err = schemaOf(ctx, c, database)
	s.tables = map[string][]string{}
	for t, cs := range s.schema {
		for _, x := range cs {
			s.tables[t] = append(s.tables[t], x.name)
		}
	}
	return err
}

// folderFacts is the file wb.json of a folder of Parquet.
type folderFacts struct {
	Schema  int    `json:"schema"`            // of the tables, the newest; a folder of a newer one is not read
	Schemas []int  `json:"schemas,omitempty"` // all that its files may have
	DuckDB  string `json:"duckdb_version"`
}

const factsFile = "wb.json"

// ErrNoHistory is returned for a folder that holds neither Parquet of wb's nor a lake.
var ErrNoHistory = errors.New("is a directory without a history of wb")

// readFolder reads which tables a folder has, nil for all of them.
func readFolder(ctx context.Context, c *sql.Conn, dir string, tables []string) (*source, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, &Error{"open", dir, err, ""}
	}
	if err := globbable("open", dir, abs); err != nil {
		return nil, err
	}
	text, err := readRegular(filepath.Join(abs, factsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{"open", dir, fmt.Errorf("%w: there is no %s in it", ErrNoHistory, factsFile), "wb export --parquet makes such a folder, wb push a lake"}
	}
	var facts folderFacts
	if err == nil {
		err = json.Unmarshal(text, &facts)
	}
	if err != nil {
		return nil, &Error{"open", dir, fmt.Errorf("read %s: %w", factsFile, err), ""}
	}
	s := &source{path: dir, version: facts.Schema, tables: map[string][]string{}, close: func(context.Context) error { return nil }}
	union := "" // by name, for which every file is looked at
	if len(facts.Schemas) != 1 {
		union = ", union_by_name = true"
	}
	s.from = func(t string) string {
		files := sqlText(filepath.Join(escapeGlob(abs), t, "day=*", "run_id=*", "*.parquet"))
		if strings.Contains(abs, "=") { // DuckDB takes what stands in the folder's own path for partitions as well, and then for those
			const named = `regexp_extract(filename, 'day=([^/\\]+)[/\\]run_id=([^/\\]+)[/\\][^/\\]*$', `
			return "(SELECT * EXCLUDE (filename), " + named + "1)::DATE AS day, " + named + "2)::UUID AS run_id" +
				" FROM read_parquet(" + files + ", hive_partitioning = false, filename = true" + union + "))"
		}
		return "read_parquet(" + files + ", hive_partitioning = true, hive_types = {'run_id': UUID, 'day': DATE}" + union + ")"
	}
	for _, row := range rowTypes() {
		t := row.table()
		if tables != nil && !slices.Contains(tables, t) {
			continue
		}
		some, err := holdsParquet(filepath.Join(abs, t))
		if err != nil {
			return nil, &Error{"open", dir, err, ""}
		}
		if !some {
			continue
		}
		if s.tables[t], err = columnsOf(ctx, c, s.from(t)); err != nil {
			return nil, explain("open", dir, err)
		}
	}
	return s, nil
}

func columnsOf(ctx context.Context, c *sql.Conn, relation string) (out []string, err error) {
	rows, err := c.QueryContext(ctx, "SELECT column_name FROM (DESCRIBE SELECT * FROM "+relation+")")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// openSource attaches whatever is named: a lake, a folder or a file.
func openSource(ctx context.Context, c *sql.Conn, from string) (s *source, err error) {
	switch kindOf(from) {
	case aLake:
		var l Lake
		if l, err = ParseLake(from, ""); err == nil {
			s, err = attachLake(ctx, c, l, true)
		}
	case aFolder:
		s, err = readFolder(ctx, c, from, nil)
	default:
		s, err = attachFile(ctx, c, from)
	}
	if err != nil {
		return nil, err
	}
	if err := CheckSchema(Redact(from), s.version); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

type kind int

const (
	aFile kind = iota
	aFolder
	aLake
)

func kindOf(path string) kind {
	if isCatalog(path) {
		return aLake
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		if _, err := os.Stat(filepath.Join(path, lakeFile)); err == nil {
			return aLake
		}
		return aFolder
	}
	return aFile
}

// view is the statement that makes raw.TABLE a view of a source: every column that this wb knows, NULL where the source has none.
func (s *source) view(table string, cs []column) string {
	have := s.tables[table]
	var list []string
	for _, c := range cs {
		switch {
		case !slices.Contains(have, c.name):
			list = append(list, "NULL::"+c.typ+" AS "+sqlName(c.name))
		case table == "message" && s.perRun() && c.name != "sha256": // one text may have come with many runs
			list = append(list, "any_value("+sqlName(c.name)+")::"+c.typ+" AS "+sqlName(c.name))
		default:
			list = append(list, sqlName(c.name)+"::"+c.typ+" AS "+sqlName(c.name))
		}
	}
	q := "CREATE VIEW raw." + sqlName(table) + " AS SELECT " + strings.Join(list, ", ")
	switch {
	case have == nil:
		q += " WHERE false"
	case table == "message" && s.perRun():
		q += " FROM " + s.from(table) + " GROUP BY sha256"
	default:
		q += " FROM " + s.from(table)
	}
	return q
}

// openElsewhere opens a folder or a lake for queries: the tables of a file are views of it here, and everything else is as in a file.
func openElsewhere(ctx context.Context, from string) (*DB, error) {
	near := os.TempDir()
	if abs, err := filepath.Abs(from); err == nil && !isCatalog(from) {
		near = filepath.Dir(abs)
	}
	d, err := openMemory(readMemory, near)
	if err != nil {
		return nil, explain("open", from, err)
	}
	d.path, d.readOnly, d.elsewhere = Redact(from), true, true
	if err := d.makeViews(ctx, from); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *DB) makeViews(ctx context.Context, from string) error {
	if err := d.prepare(ctx); err != nil { // the tables of a file, empty
		return err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return explain("open", d.path, err)
	}
	defer conn.Close()
	schema, err := schemaOf(ctx, conn, "memory")
	if err != nil {
		return explain("open", d.path, err)
	}
	s, err := openSource(ctx, conn, from)
	if err != nil {
		return err
	}
	var all strings.Builder
	for table, cs := range schema {
		fmt.Fprintf(&all, "DROP TABLE raw.%s; %s;", sqlName(table), s.view(table, cs))
	}
	allowed := []string{}
	if kindOf(from) == aFolder {
		abs, err := filepath.Abs(from)
		if err != nil {
			return &Error{"open", from, err, ""}
		}
		allowed = append(allowed, sqlText(abs+string(filepath.Separator)))
		if e := escapeGlob(abs); e != abs { // DuckDB holds patterns against this list as they are written
			allowed = append(allowed, sqlText(e+string(filepath.Separator)))
		}
	} else {
		l, err := ParseLake(from, "")
		if err != nil {
			return err
		}
		data, err := l.dataPath(ctx, conn)
		if err != nil {
			return explainLake("open", from, err)
		}
		allowed = append(allowed, sqlText(data))
	}
	// reading goes on below the one folder, and nothing else of the machine or the network is there
	fmt.Fprintf(&all, "SET allowed_directories = [%s]; SET enable_external_access = false; SET lock_configuration = true;", strings.Join(allowed, ", "))
	if _, err := conn.ExecContext(ctx, all.String()); err != nil {
		return explainLake("open", from, err)
	}
	return nil
}

// ReadOnly says that nothing can be written through this connection.
func (d *DB) ReadOnly() bool { return d.readOnly }

// Elsewhere says that the history is in a folder or a lake, where DuckDB itself does not keep a query from writing.
func (d *DB) Elsewhere() bool { return d.elsewhere }

var password = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*(?:'|$)|\S+)|(://[^/@\s:]*:)[^\s/]*@`)

// Redact takes passwords out of a connection text.
func Redact(s string) string {
	return password.ReplaceAllStringFunc(s, func(m string) string {
		if i := strings.Index(m, "://"); i >= 0 {
			return m[:strings.LastIndex(m[:len(m)-1], ":")+1] + "***@"
		}
		name, _, _ := strings.Cut(m, "=")
		return name + "=***"
	})
}
