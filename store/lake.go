//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Lake is where many machines put their runs: DuckLake (ducklake.select), Parquet files in a folder or an object store, with a catalog in a file or in PostgreSQL.
type Lake struct {
	Name    string // as it was given, without passwords
	catalog string // as DuckLake is told
	data    string // where its Parquet files are; "" for what the catalog in PostgreSQL says
}

// lakeFile is the catalog of a lake in a folder; its Parquet files are in lakeData beside it.
const (
	lakeFile = "catalog.ducklake"
	lakeData = "data"
)

func isCatalog(s string) bool {
	return strings.HasPrefix(s, "postgres:") || strings.HasPrefix(s, "postgresql:") || strings.HasPrefix(s, "postgres://")
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// ParseLake reads a lake's name: a folder, or postgres:CONNECTION (libpq's words or URL), whose Parquet files are at data when it is new.
func ParseLake(name, data string) (Lake, error) {
	if isCatalog(name) {
		if data != "" && !strings.Contains(data, "://") {
			abs, err := filepath.Abs(data)
			if err != nil {
				return Lake{}, &Error{"find lake's folder", data, err, ""}
			}
			data = abs + string(filepath.Separator)
		}
		text := name
		if strings.HasPrefix(name, "postgresql:") || strings.HasPrefix(name, "postgres://") { // a URL is one of libpq's connection texts
			text = "postgres:" + name
		}
		return Lake{Redact(name), text, data}, nil
	}
	const forms = "a lake is a folder, or postgres:CONNECTION with its Parquet files in a folder or an object store (wb push --data)"
	if name == "" {
		return Lake{}, &Error{"find lake", `""`, errors.New("no name"), forms}
	}
	if st, err := os.Stat(name); err == nil && !st.IsDir() {
		return Lake{}, &Error{"find lake", name, errors.New("it is a file"), forms}
	} else if err != nil && scheme.MatchString(name) { // not meant as a folder
		return Lake{}, &Error{"find lake", Redact(name), errors.New("neither a folder nor postgres:CONNECTION"), forms}
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return Lake{}, &Error{"find lake", name, err, ""}
	}
	if data != "" {
		return Lake{}, &Error{"find lake", name, errors.New("the Parquet files of a lake in a folder are in that folder"), "--data is for a lake whose catalog is in PostgreSQL"}
	}
	return Lake{name, filepath.Join(abs, lakeFile), filepath.Join(abs, lakeData) + string(filepath.Separator)}, nil
}

func (l Lake) inFolder() bool { return !strings.HasPrefix(l.catalog, "postgres:") }

// Access is how lakes are reached.
type Access struct {
	Extensions string                     // folder with extensions of DuckDB; "" for DuckDB's own repository
	Waiting    func(lake, cause string)   // told when others have been in the way of a step for seconds; may be nil
	Brought    func(to string, n, of int) // told from time to time how many runs have been looked at; may be nil
}

type accessKey struct{}

// WithAccess gives a context in which lakes are reached so.
func WithAccess(ctx context.Context, a Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

func accessOf(ctx context.Context) Access {
	a, _ := ctx.Value(accessKey{}).(Access)
	return a
}

// steps gives what is to be called after each step: it tells of the first after seconds, and ever more rarely then.
func steps(ctx context.Context, to string, of int) func(n int) {
	told, pause, brought := time.Now(), tellAfter, accessOf(ctx).Brought
	return func(n int) {
		if brought != nil && n < of && time.Since(told) > pause {
			told, pause = time.Now(), min(2*pause, time.Minute)
			brought(to, n, of)
		}
	}
}

// load has an extension at hand: from the folder of WithAccess, where it lies at any depth, or by DuckDB's own mechanism, which downloads it once. Either
// way DuckDB checks its signature.
func load(ctx context.Context, c *sql.Conn, name string) error {
	dir := accessOf(ctx).Extensions
	pip := "pip download duckdb-extension-" + strings.ReplaceAll(name, "_", "-") + "==" + strings.TrimPrefix(duckdbVersion, "v") + ", unpack it, and name the folder with --extension-dir"
	if dir == "" {
		_, err := c.ExecContext(ctx, "INSTALL "+name+"; LOAD "+name)
		if err != nil {
			return &Error{"load extension", name, errors.New(oneLine(err.Error())), "without a network: " + pip}
		}
		return nil
	}
	found := ""
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == name+".duckdb_extension" && (found == "" || strings.Contains(path, duckdbVersion)) {
			found = path
		}
		return err
	})
	if err != nil {
		return &Error{"load extension", name, err, ""}
	}
	if found == "" {
		return &Error{"load extension", name, fmt.Errorf("there is no %s.duckdb_extension in %s", name, dir), pip}
	}
	if _, err := c.ExecContext(ctx, "LOAD "+sqlText(found)); err != nil {
		return &Error{"load extension", name, errors.New(oneLine(err.Error())), "it must be of DuckDB " + duckdbVersion}
	}
	return nil
}

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
		options = append(options, "DATA_PATH "+sqlText(l.data))
	}
	if l.inFolder() { // which may have been moved, or be mounted elsewhere: the catalog has paths below it
		options = append(options, "OVERRIDE_DATA_PATH true")
	}
	if readOnly {
		options = append(options, "READ_ONLY")
	}
	q := "ATTACH " + sqlText("ducklake:"+l.catalog) + " AS _lake"
	if len(options) > 0 {
		q += " (" + strings.Join(options, ", ") + ")"
	}
	attach := func() error { _, err := c.ExecContext(ctx, q); return err }
	err := l.again(ctx, attach)
	if l.data == "" && err != nil && strings.Contains(err.Error(), "httpfs") { // the catalog says where the files are, and DuckLake looks there at once
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

// present refuses a lake whose Parquet files are in a folder that is not there on this machine: its catalog answers all the same, and what is pushed would lie
// where nobody else finds it.
func (l Lake) present(ctx context.Context, c *sql.Conn) error {
	dir, err := l.dataPath(ctx, c)
	if err != nil || strings.Contains(dir, "://") {
		return err
	}
	var files int
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM __ducklake_metadata__lake.ducklake_data_file WHERE end_snapshot IS NULL").Scan(&files); err != nil || files == 0 {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return &Error{"open", l.Name, fmt.Errorf("its Parquet files are in %s, which is missing or empty on this machine", dir), "mount it there: the path must be the same on all machines"}
	}
	return nil
}

// dataPath is where the attached lake's Parquet files are.
func (l Lake) dataPath(ctx context.Context, c *sql.Conn) (path string, err error) {
	if l.inFolder() {
		return l.data, nil
	}
	err = c.QueryRowContext(ctx, "SELECT value FROM __ducklake_metadata__lake.ducklake_metadata WHERE key = 'data_path'").Scan(&path)
	return path, err
}

// objectStore takes keys from the environment variables that everybody's tools use.
func (l Lake) objectStore(ctx context.Context, c *sql.Conn) error {
	if err := load(ctx, c, "httpfs"); err != nil {
		return err
	}
	var parts []string
	for name, env := range map[string]string{"KEY_ID": "AWS_ACCESS_KEY_ID", "SECRET": "AWS_SECRET_ACCESS_KEY", "SESSION_TOKEN": "AWS_SESSION_TOKEN", "REGION": "AWS_REGION", "ENDPOINT": "AWS_ENDPOINT_URL"} {
		if v := os.Getenv(env); v != "" {
			if name == "ENDPOINT" {
				if plain, ok := strings.CutPrefix(v, "http://"); ok {
					v = plain
					parts = append(parts, "USE_SSL false", "URL_STYLE 'path'")
				}
				v = strings.TrimPrefix(v, "https://")
			}
			parts = append(parts, name+" "+sqlText(v))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	_, err := c.ExecContext(ctx, "CREATE OR REPLACE SECRET _lake (TYPE s3, "+strings.Join(parts, ", ")+")")
	return explainLake("open", l.Name, err)
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
	s := &source{path: l.Name, tables: map[string][]string{}, from: func(t string) string { return "_lake.main." + sqlName(t) }}
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
	rows, err := c.QueryContext(ctx, `SELECT table_name, column_name FROM duckdb_columns()
		WHERE database_name = '_lake' AND schema_name = 'main'
			AND (database_name, schema_name, table_name) IN (SELECT (database_name, schema_name, table_name) FROM duckdb_tables())
		ORDER BY table_name, column_index`)
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
	return c.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM _lake.main.wb_schema").Scan(&s.version)
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// conflict says whether an error comes of others who write at the same time, so that trying again is all there is to do. Names, which may be any words, do not count.
func (l Lake) conflict(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, name := range []string{l.catalog, strings.TrimPrefix(l.catalog, "postgres:"), l.Name, l.data} {
		if strings.ContainsAny(name, "/:= ") { // not a word that the message itself may have
			text = strings.ReplaceAll(text, name, "")
		}
	}
	text = strings.ToLower(quoted.ReplaceAllString(text, ""))
	has := func(s string) bool { return strings.Contains(text, s) }
	if has("too many clients") || has("remaining connection slots") {
		return true
	}
	if has("connection to server") || has("unable to connect") || has("authentication failed") {
		return false
	}
	return slices.ContainsFunc([]string{"conflict", "could not serialize", "could not set lock", "duplicate key", "deadlock", "already exists", "maximum retry count", "concurrent"}, has)
}

// againFor is how long others may be in the way, and tellAfter when they are worth a word.
const (
	againFor  = 2 * time.Minute
	tellAfter = 3 * time.Second
)

// again tries until nobody is in the way.
func (l Lake) again(ctx context.Context, f func() error) error {
	began, waiting := time.Now(), accessOf(ctx).Waiting
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f()
		if !l.conflict(err) || time.Since(began) > againFor {
			return err
		}
		if waiting != nil && time.Since(began) > tellAfter {
			waiting(l.Name, "others use it")
			waiting = nil
		}
		t := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // who waits how long is no secret
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// catalogFile refuses a catalog that is no regular file, and one that is not there beside a log that is.
func (l Lake) catalogFile() error {
	if !l.inFolder() {
		return nil
	}
	st, err := os.Stat(l.catalog)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return noLog(l.catalog)
	case err == nil && !st.Mode().IsRegular():
		return &Error{"open", l.Name, fmt.Errorf("%s in it is not a regular file", lakeFile), "name another lake"}
	}
	return nil
}

// Push appends runs of a file to a lake, each in one transaction, and none twice: a run that is there as it stands here, or newer, is left alone, and one that was
// resumed or labelled since takes the place of what is there. Several machines may push at once. A lake that is not there yet is made. ids nil means all runs.
func Push(ctx context.Context, file string, l Lake, ids []string) (out Moved, err error) {
	fail := func(err error) error { return explainLake("push", l.Name, err) }
	if l.inFolder() {
		if err := l.own(); err != nil {
			return out, err
		}
		dir := filepath.Dir(l.catalog)
		if err := errors.Join(globbable("push", l.Name, dir), l.catalogFile()); err != nil {
			return out, err
		}
		if _, serr := os.Stat(dir); errors.Is(serr, os.ErrNotExist) {
			defer func() {
				if err != nil { // an empty folder would be no lake
					_ = os.Remove(dir)
				}
			}()
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return out, &Error{"push", l.Name, err, ""}
		}
	}
	conn, end, err := inMemory(ctx)
	if err != nil {
		return out, fail(err)
	}
	defer func() { err = errors.Join(err, end()) }()
	from, err := attachFile(ctx, conn, file)
	if err != nil {
		return out, err
	}
	to, err := attachLake(ctx, conn, l, false)
	if e := (*Error)(nil); errors.As(err, &e) && strings.Contains(e.Err.Error(), "does not answer") {
		e.Hint += later("push")
	}
	if err != nil {
		return out, err
	}
	defer func() {
		if cerr := to.close(context.WithoutCancel(ctx)); err == nil { // what ended a push ends its closing too
			err = cerr
		}
	}()
	if err := l.again(ctx, func() error { return to.prepareLake(ctx, conn, from) }); err != nil {
		return out, fail(err)
	}
	runs, err := from.runs(ctx, conn, ids)
	if err != nil {
		return out, fail(err)
	}
	step := steps(ctx, l.Name, len(runs))
	for i, r := range runs {
		var did Moved
		err := l.again(ctx, func() (err error) {
			did, err = to.pushRun(ctx, conn, from, r, l)
			return err
		})
		if err != nil {
			err, n := fail(fmt.Errorf("run %s: %w", r.id, err)), out.Added+out.Renewed
			if e := (*Error)(nil); n > 0 && errors.As(err, &e) {
				e.Err = fmt.Errorf("%w; %d before it are there whole", e.Err, n)
			}
			return out, err
		}
		out = out.plus(did)
		step(i + 1)
	}
	return out, nil
}

// prepareLake makes the tables of a file that a lake lacks, or their columns, in one transaction.
func (s *source) prepareLake(ctx context.Context, c *sql.Conn, from *source) error {
	if err := s.readLake(ctx, c); err != nil {
		return err
	}
	if err := CheckSchema(s.path, s.version); err != nil {
		return err
	}
	if s.version >= from.version {
		return nil
	}
	err := within(ctx, c, func(exec func(string, ...any) error) error {
		if s.tables["wb_schema"] == nil {
			if err := exec("CREATE TABLE _lake.main.wb_schema (version INTEGER)"); err != nil {
				return err
			}
		}
		for t, cs := range from.schema {
			cs = slices.Concat([]column{{"day", "DATE", "day on which the run began, UTC"}}, cs)
			if t == "message" {
				cs = append(cs, column{"run_id", "UUID", "run that refers to the text"})
			}
			var list []string
			for _, x := range cs {
				if s.tables[t] != nil && !slices.Contains(s.tables[t], x.name) {
					if err := exec(fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", s.from(t), sqlName(x.name), x.typ)); err != nil {
						return err
					}
				}
				list = append(list, sqlName(x.name)+" "+x.typ)
			}
			if s.tables[t] == nil {
				if err := errors.Join(exec(fmt.Sprintf("CREATE TABLE %s (%s)", s.from(t), strings.Join(list, ", "))), exec(fmt.Sprintf("ALTER TABLE %s SET PARTITIONED BY (day)", s.from(t)))); err != nil {
					return err
				}
			}
		}
		return errors.Join(exec("DELETE FROM _lake.main.wb_schema"), exec(fmt.Sprintf("INSERT INTO _lake.main.wb_schema VALUES (%d)", from.version)))
	})
	if err != nil {
		return err
	}
	return s.readLake(ctx, c)
}

// pushRun appends one run. Two who push the same run at once both make a view of its name in their transaction, and only one of those can be committed: the
// other begins anew and finds the run there. The view goes afterwards.
func (s *source) pushRun(ctx context.Context, c *sql.Conn, from *source, here listed, l Lake) (did Moved, err error) {
	lock := "_lake.main." + sqlName("pushing_"+here.id)
	brought := false
	err = within(ctx, c, func(exec func(string, ...any) error) error {
		there, err := s.runs(ctx, c, []string{here.id})
		if err != nil {
			return err
		}
		did = Moved{}
		if brought = did.sort(here, there...); !brought {
			return nil
		}
		if err := errors.Join(exec("DROP VIEW IF EXISTS "+lock), exec("CREATE VIEW "+lock+" AS SELECT 1 AS x")); err != nil { // one that is there is of a pusher that was killed
			return err
		}
		if did.Renewed > 0 {
			if err := s.remove(exec, []string{here.id}); err != nil {
				return err
			}
		}
		for _, row := range rowTypes() {
			t := row.table()
			if from.tables[t] == nil { // a file of an older wb
				continue
			}
			if err := exec("INSERT INTO " + s.from(t) + " BY NAME SELECT * FROM " + rowsOf(from, t) + " WHERE " + inList([]string{here.id})); err != nil {
				return fmt.Errorf("raw.%s: %w", t, err)
			}
		}
		return nil
	})
	if err != nil || !brought {
		return did, err
	}
	ctx = context.WithoutCancel(ctx)
	_ = l.again(ctx, func() error { _, err := c.ExecContext(ctx, "DROP VIEW IF EXISTS "+lock); return err }) // the run is there, and a view that stays is in nobody's way
	return did, nil
}

// explainLake turns what DuckLake, PostgreSQL and object stores say into one line and a hint, without passwords.
func explainLake(op, name string, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	text := Redact(strings.Join(strings.Fields(err.Error()), " "))
	text, _, _ = strings.Cut(text, " Stack Trace:")
	has := func(s string) bool { return strings.Contains(text, s) }
	name = Redact(name)
	switch {
	case errors.Is(err, context.Canceled) || has("INTERRUPT"):
		return &Error{op, name, ErrInterrupted, ""}
	case has("password authentication failed"):
		return &Error{op, name, errors.New("PostgreSQL refuses the user or the password"), "PGUSER and PGPASSWORD, or ~/.pgpass, hold them"}
	case has("no password supplied"):
		return &Error{op, name, errors.New("PostgreSQL wants a password"), "PGPASSWORD or ~/.pgpass holds it"}
	case has("could not translate host"):
		host := ""
		if m := unknownHost.FindStringSubmatch(text); m != nil {
			host = " " + m[1]
		}
		return &Error{op, name, fmt.Errorf("its PostgreSQL does not answer: host%s is not known", host), "is the name right?" + later(op)}
	case has("Connection refused"):
		return &Error{op, name, errors.New("its PostgreSQL does not answer: connection refused"), "are host and port right?" + later(op)}
	case has("server closed the connection") || has("terminating connection") || has("the database system is") || has("no connection to the server") || has("timeout expired") || has(`Failed to execute query "ROLLBACK"`) || has("no connection to") || has("No such file or directory") && has("connection to server"):
		return &Error{op, name, errors.New("its PostgreSQL does not answer"), "is it up?" + later(op)}
	case has("role \"") && has("does not exist"):
		return &Error{op, name, errors.New(after(text, "FATAL: ")), "PGUSER, or user= in the connection text, names who is known there"}
	case has("does not exist") && has("database \""):
		db := ""
		if m := noDatabase.FindStringSubmatch(text); m != nil {
			db = " " + m[1]
		}
		return &Error{op, name, errors.New(after(text, "FATAL: ")), "create it: createdb" + db}
	case has("HTTP 403") || has("HTTP 401"):
		return &Error{op, name, errors.New("the object store refuses the keys"), "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL hold them"}
	case has("Could not connect to server") || has("Could not establish connection") || has("Could not resolve host"):
		return &Error{op, name, errors.New("its object store does not answer"), "AWS_ENDPOINT_URL says where it is, if it is not Amazon's." + later(op)}
	case has("No space left"):
		return &Error{op, name, errors.New("no space left where its Parquet files are"), "free some; the local file is as it was, and nothing of the run is in the lake"}
	case has("Permission denied"):
		return &Error{op, name, errors.New("no permission to write there"), "check the folder's owner"}
	case has("in connection info string") || has("invalid connection option"):
		return &Error{op, name, errors.New("its connection text is not one that PostgreSQL understands"), "such as postgres:host=db.example dbname=wb"}
	case has("does not match existing data path"):
		return &Error{op, name, errors.New("it is there, and its Parquet files are elsewhere"), "leave --data out, which is for a new lake: the catalog says where they are"}
	case has("DATA_PATH"):
		return &Error{op, name, errors.New("it is new, or its Parquet files are elsewhere"), "wb push --data, with the folder or s3://… of its Parquet files, makes a lake"}
	case has(".parquet") && (has("Cannot open file") || has("No files found") || has("HTTP 404")):
		return &Error{op, name, fmt.Errorf("a Parquet file of it is gone: %s", parquetFile.FindString(text)), "is its folder mounted whole? Else put it back from where it is kept twice"}
	case has("does not exist") || has("Cannot open file") || has("database does not exist"):
		return &Error{op, name, errors.New("there is no lake"), "wb push makes one"}
	}
	return &Error{op, name, errors.New(text), ""}
}

var (
	unknownHost = regexp.MustCompile(`could not translate host name "([^"]*)"`)
	noDatabase  = regexp.MustCompile(`database "([^"]*)" does not exist`)
	parquetFile = regexp.MustCompile(`[^"' ]*\.parquet`)
)

// later is what to do when a lake is back, for a hint.
func later(op string) string {
	if op != "push" {
		return ""
	}
	return " The local file is as it was; push again when it is back"
}

func after(text, mark string) string {
	if i := strings.LastIndex(text, mark); i >= 0 {
		return text[i+len(mark):]
	}
	return text
}

// own refuses a folder of Parquet.
func (l Lake) own() error {
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.catalog), factsFile)); l.inFolder() && err == nil {
		return &Error{"push", l.Name, errors.New("it is a folder of Parquet"), "wb export --parquet writes there; a lake wants a folder of its own"}
	}
	return nil
}

// reachWithin is how long Reach asks.
const reachWithin = 10 * time.Second

// Reach looks whether a lake can be pushed to, before there is something to push: it is opened for reading. One in a folder that is not there yet will be made.
func Reach(ctx context.Context, l Lake) (err error) {
	if err := l.own(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = &Error{"reach", l.Name, fmt.Errorf("others use it, or it does not answer within %.0f s", reachWithin.Seconds()), ""}
		}
	}()
	conn, end, err := inMemory(ctx)
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
	return errors.Join(CheckSchema(l.Name, s.version), s.close(context.WithoutCancel(ctx)))
}

// removeFrom takes runs out of a lake, in one transaction. Their Parquet files stay until DuckLake's own cleaning.
func (l Lake) removeFrom(ctx context.Context, ids []string) (err error) {
	conn, end, err := inMemory(ctx)
	if err != nil {
		return explainLake("remove", l.Name, err)
	}
	defer func() { err = errors.Join(err, end()) }()
	s, err := attachLake(ctx, conn, l, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	return explainLake("remove", l.Name, l.again(ctx, func() error {
		return within(ctx, conn, func(exec func(string, ...any) error) error {
			return s.remove(exec, ids)
		})
	}))
}

// remove takes all rows of runs. Texts that came with no run stay: removeTexts.
func (s *source) remove(exec func(string, ...any) error, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	for _, row := range rowTypes() {
		if t := row.table(); slices.Contains(s.tables[t], "run_id") {
			if err := exec("DELETE FROM " + s.from(t) + " WHERE " + inList(ids)); err != nil {
				return fmt.Errorf("raw.%s: %w", t, err)
			}
		}
	}
	return nil
}
