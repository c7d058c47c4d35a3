//go:build duckdb_arrow

package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"wb/data/plain"
	wbsql "wb/sql"
	"wb/store"
)

// Lake is where many machines put their runs: DuckLake (ducklake.select), Parquet files in a folder or an object store, with a catalog in
// a file or in PostgreSQL.
type Lake struct {
	Name    string // as it was given, without passwords
	catalog string // as DuckLake is told
	data    string // where its Parquet files are; "" for what the catalog in PostgreSQL says
}

// lakeData is the folder beside a lake's catalog with its Parquet files.
const lakeData = "data"

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// ParseLake reads a lake's name: a folder, or postgres:CONNECTION (libpq's words or URL), whose Parquet files are at data when it is new.
func ParseLake(name, data string) (Lake, error) {
	if store.InPostgres(name) {
		if data != "" && !strings.Contains(data, "://") {
			abs, err := filepath.Abs(data)
			if err != nil {
				return Lake{}, problem("find lake's folder", data, err, "")
			}
			data = abs + string(filepath.Separator)
		}
		text := name
		if strings.HasPrefix(name, "postgresql:") || strings.HasPrefix(name, "postgres://") { // a URL is one of libpq's connection texts
			text = "postgres:" + name
		}
		return Lake{plain.Redact(name), text, data}, nil
	}
	const forms = "a lake is a folder, or postgres:CONNECTION with its Parquet files in a folder or an object store (wb push --data)"
	if name == "" {
		return Lake{}, problem("find lake", `""`, errors.New("no name"), forms)
	}
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		return Lake{}, problem("find lake", name, errors.New("it is a file"), forms)
	} else if err != nil && scheme.MatchString(name) { // not meant as a folder
		return Lake{}, problem("find lake", plain.Redact(name), errors.New("neither a folder nor postgres:CONNECTION"), forms)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return Lake{}, problem("find lake", name, err, "")
	}
	if data != "" {
		return Lake{}, problem("find lake", name, errors.New("the Parquet files of a lake in a folder are in that folder"),
			"--data is for a lake whose catalog is in PostgreSQL")
	}
	return Lake{name, filepath.Join(abs, store.LakeCatalog), filepath.Join(abs, lakeData) + string(filepath.Separator)}, nil
}

func (l Lake) inFolder() bool { return !strings.HasPrefix(l.catalog, "postgres:") }

// attach makes a lake known as _lake. A catalog in a file is one process's at a time: others wait.
func (l Lake) attach(ctx context.Context, c *sql.Conn, readOnly bool) error {
	if err := load(ctx, c, "ducklake"); err != nil {
		return err
	}
	options := []string{}
	if !l.inFolder() {
		if err := load(ctx, c, "postgres_scanner"); err != nil {
			return err
		}
	}
	// nothing is to be fetched unasked: that an object store is wanted is then an error, whose answer is below
	if _, err := c.ExecContext(ctx, "SET autoload_known_extensions = false"); err != nil {
		return explainLake("open", l.Name, err)
	}
	if strings.Contains(l.data, "://") {
		if err := l.objectStore(ctx, c); err != nil {
			return err
		}
	}
	if l.data != "" {
		options = append(options, "DATA_PATH "+wbsql.Text(l.data))
	}
	if l.inFolder() { // which may have been moved, or be mounted elsewhere: the catalog has paths below it
		options = append(options, "OVERRIDE_DATA_PATH true")
	}
	if readOnly {
		options = append(options, "READ_ONLY")
	}
	q := "ATTACH " + wbsql.Text("ducklake:"+l.catalog) + " AS _lake"
	if len(options) > 0 {
		q += " (" + strings.Join(options, ", ") + ")"
	}
	attach := func() error { _, err := c.ExecContext(ctx, q); return err }
	err := l.again(ctx, attach)
	// the catalog says where the files are, and DuckLake looks there at once
	if l.data == "" && err != nil && strings.Contains(err.Error(), "httpfs") {
		if err := l.objectStore(ctx, c); err != nil {
			return err
		}
		err = l.again(ctx, attach)
	}
	if err != nil {
		return explainLake("open", l.Name, err)
	}
	if err := l.present(ctx, c); err != nil {
		_, derr := c.ExecContext(context.WithoutCancel(ctx), "DETACH _lake")
		return errors.Join(explainLake("open", l.Name, err), derr)
	}
	return nil
}

// present refuses a lake whose Parquet files are in a folder that is not there on this machine: its catalog answers all the same, and
// what is pushed would lie where nobody else finds it.
func (l Lake) present(ctx context.Context, c *sql.Conn) error {
	dir, err := l.dataPath(ctx, c)
	if err != nil || strings.Contains(dir, "://") {
		return err
	}
	var files int
	if err := c.QueryRowContext(ctx, wbsql.Statement("lake_files")).Scan(&files); err != nil || files == 0 {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return problem("open", l.Name, fmt.Errorf("its Parquet files are in %s, which is missing or empty on this machine", dir),
			"mount it there: the path must be the same on all machines")
	}
	return nil
}

// dataPath is where the attached lake's Parquet files are.
func (l Lake) dataPath(ctx context.Context, c *sql.Conn) (path string, err error) {
	if l.inFolder() {
		return l.data, nil
	}
	err = c.QueryRowContext(ctx, wbsql.Statement("lake_data_path")).Scan(&path)
	return path, err
}

// attachLake attaches a lake as a source.
func attachLake(ctx context.Context, c *sql.Conn, l Lake, readOnly bool) (*source, error) {
	if err := l.catalogFile(); err != nil {
		return nil, err
	}
	if readOnly && !l.inFolder() {
		l.data = "" // the catalog knows
	}
	if err := l.attach(ctx, c, readOnly); err != nil {
		return nil, err
	}
	s := &source{path: l.Name, tables: map[string][]string{}, from: func(t string) string { return "_lake.main." + wbsql.Name(t) }}
	s.close = func(ctx context.Context) error {
		_, err := c.ExecContext(ctx, "DETACH _lake")
		return explainLake("close", l.Name, err)
	}
	if err := s.readLake(ctx, c); err != nil {
		return nil, errors.Join(explainLake("open", l.Name, err), s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// readLake reads which tables a lake has, views left out as in schemaOf.
func (s *source) readLake(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, wbsql.Statement("lake_columns"))
	if err != nil {
		return err
	}
	defer rows.Close()
	clear(s.tables)
	for rows.Next() {
		var t, column string
		if err := rows.Scan(&t, &column); err != nil {
			return err
		}
		s.tables[t] = append(s.tables[t], column)
	}
	if err := rows.Err(); err != nil || s.tables["wb_schema"] == nil {
		return err
	}
	return c.QueryRowContext(ctx, wbsql.Statement("lake_schema")).Scan(&s.version)
}

// catalogFile refuses a catalog that is no regular file, and one that is not there beside a log that is.
func (l Lake) catalogFile() error {
	if !l.inFolder() {
		return nil
	}
	st, err := os.Stat(l.catalog)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return store.CheckNoLog(l.catalog)
	case err == nil && !st.Mode().IsRegular():
		return problem("open", l.Name, fmt.Errorf("%s in it is not a regular file", store.LakeCatalog), "name another lake")
	}
	return nil
}

// own refuses a folder of Parquet.
func (l Lake) own() error {
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.catalog), store.FolderFacts)); l.inFolder() && err == nil {
		return problem("push", l.Name, errors.New("it is a folder of Parquet"),
			"wb export --parquet writes there; a lake wants a folder of its own")
	}
	return nil
}

// reachWithin is how long Reach asks.
const reachWithin = 10 * time.Second

// Reach looks whether a lake can be pushed to, before there is something to push: it is opened for reading. One in a folder that is not
// there yet will be made.
func Reach(ctx context.Context, l Lake) (err error) {
	if err := l.own(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = problem("reach", l.Name, fmt.Errorf("others use it, or it does not answer within %.0f s", reachWithin.Seconds()), "")
		}
	}()
	conn, end, err := store.InMemory(ctx)
	if err != nil {
		return explainLake("reach", l.Name, err)
	}
	defer func() { err = errors.Join(err, end()) }()
	if _, serr := os.Stat(l.catalog); l.inFolder() && serr != nil {
		return load(ctx, conn, "ducklake")
	}
	s, err := attachLake(ctx, conn, l, true)
	if err != nil {
		return err
	}
	return errors.Join(store.CheckSchema(l.Name, s.version), s.close(context.WithoutCancel(ctx)))
}
