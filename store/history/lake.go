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

// Lake is a place where many machines put their runs. It is a DuckLake (ducklake.select): Parquet files in a folder or an object store,
// with a catalog in a file or in PostgreSQL.
type Lake struct {
	Name    string // as it was given, without passwords
	catalog string // as it is given to DuckLake
	data    string // where its Parquet files are; "" if the catalog in PostgreSQL says it
}

// lakeData is the name of the folder with the Parquet files of a lake, beside its catalog.
const lakeData = "data"

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// ParseLake reads the name of a lake: a folder, or postgres:CONNECTION with libpq's keywords or a URL.
// data says where the Parquet files of a new lake in PostgreSQL go; "" for a lake that exists.
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
		if strings.HasPrefix(name, "postgresql:") || strings.HasPrefix(name, "postgres://") { // libpq takes a URL as a connection text too
			text = "postgres:" + name
		}
		return Lake{plain.Redact(name), text, data}, nil
	}
	const forms = "a lake is a folder, or postgres:CONNECTION with its Parquet files in a folder or an object store (wb push --data)"
	if name == "" {
		return Lake{}, problem("find lake", `""`, errors.New("the name is empty"), forms)
	}
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		return Lake{}, problem("find lake", name, errors.New("it is a file"), forms)
	} else if err != nil && scheme.MatchString(name) { // the user did not mean a folder
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

// attach attaches a lake as _lake. Only one process at a time can use a catalog in a file, so the others wait.
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
	// DuckDB must not download extensions without being asked. If the lake needs an object store, ATTACH fails, which is handled below.
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
	if l.inFolder() { // the folder may have been moved or be mounted elsewhere, and the catalog has paths relative to it
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
	err := l.retry(ctx, attach)
	// the catalog says that the files are in an object store, and DuckLake looks there at once
	if l.data == "" && err != nil && strings.Contains(err.Error(), "httpfs") {
		if err := l.objectStore(ctx, c); err != nil {
			return err
		}
		err = l.retry(ctx, attach)
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

// present returns an error for a lake whose Parquet files are in a folder that does not exist on this machine.
// The catalog of such a lake works all the same, but nobody else would find what is pushed.
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

// dataPath returns where the Parquet files of the attached lake are.
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
		l.data = "" // the catalog has it
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

// readLake reads which tables a lake has. It leaves out views, for the same reason as schemaOf.
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

// catalogFile returns an error for a catalog that is not a regular file, and for one that is missing although its log exists.
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

// refuseParquet returns an error for a folder of Parquet files that wb export wrote.
func (l Lake) refuseParquet() error {
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.catalog), store.FolderFacts)); l.inFolder() && err == nil {
		return problem("push", l.Name, errors.New("it is a folder of Parquet files"),
			"wb export --parquet writes there; name a separate folder for the lake")
	}
	return nil
}

// reachWithin is how long Reach waits for a lake.
const reachWithin = 10 * time.Second

// Reach checks that a lake can be used, before there is something to push. It opens the lake for reading.
// A lake in a folder that does not exist yet is not an error, because Push makes it.
func Reach(ctx context.Context, l Lake) (err error) {
	if err := l.refuseParquet(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = problem("reach", l.Name, fmt.Errorf("others are using it, or it does not answer within %.0f s", reachWithin.Seconds()), "")
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
