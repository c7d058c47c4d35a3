package queries

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"wb/data/plain"
	"wb/queries/table"
	wbsql "wb/sql"
	"wb/store"
)

// Options choose the runs of a query and the values of its variables.
type Options struct {
	Runs string            // selector; "" means the default in the query
	Set  map[string]string // values for the query's variables
}

// MaxRows is the most rows that a table holds in memory.
const MaxRows = 1_000_000

// Run sets the variables and runs the query. Variables are passed as values and never put into the text. Errors say what is
// wrong: an unknown variable, a selector that finds nothing, a missing column of a chart, or the message of DuckDB.
// When ctx ends, Run returns the error of ctx, whatever DuckDB says about the interruption.
func (q *Query) Run(ctx context.Context, db *store.DB, o Options) (*table.Table, error) {
	t, err := q.run(ctx, db, o)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("run query %s: %w", q.File, ctx.Err())
	}
	return t, err
}

func (q *Query) run(ctx context.Context, db *store.DB, o Options) (*table.Table, error) {
	t := &table.Table{Name: q.Name, Title: q.Title, About: q.About, SQL: q.SQL, Charts: q.Charts, Notes: slices.Clone(db.Notes())}
	if strings.ContainsRune(q.SQL, 0) {
		return nil, fmt.Errorf("%s: holds a NUL byte, where DuckDB would stop reading", q.File)
	}
	if !q.builtin && !db.ReadOnly() {
		return nil, fmt.Errorf("run query %s: the file is open for writing, and then only the queries of wb run", q.File)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, q.wrap(err)
	}
	// the connection is closed, so that variables and temporary tables end with it
	defer conn.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // it returns ErrBadConn
	statements := []string{q.SQL}
	if !q.builtin {
		g := guard{conn: conn, file: q.File, elsewhere: db.Elsewhere()}
		if err := g.fileMacros(ctx); err != nil {
			return nil, err
		}
		if statements, err = g.statements(ctx, q.SQL); err != nil {
			return nil, err
		}
	}
	if err := q.bind(ctx, conn, o, t); err != nil {
		return nil, err
	}
	last := len(statements) - 1
	for _, s := range statements[:last] {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, q.wrap(err)
		}
	}
	rows, err := conn.QueryContext(ctx, statements[last])
	if err != nil {
		return nil, q.wrap(err)
	}
	defer rows.Close()
	if err := read(rows, t); err != nil {
		return nil, q.wrap(err)
	}
	for i, c := range t.Charts {
		for _, col := range c.References() {
			if t.ColumnIndex(col) < 0 {
				return nil, fmt.Errorf("%s: chart %d: the query has no column %s", q.File, i+1, col)
			}
		}
	}
	if err := runNotes(ctx, conn, t); err != nil {
		return nil, q.wrap(err)
	}
	if len(t.Runs) == 0 { // no runs were chosen: the figures may come from any run
		if err := conn.QueryRowContext(ctx, wbsql.Statement("any_simulated")).Scan(&t.AnySimulated); err != nil {
			return nil, q.wrap(err)
		}
	}
	return t, nil
}

// bind sets the variables: those of the header with their defaults, then the caller's.
func (q *Query) bind(ctx context.Context, conn *sql.Conn, o Options, t *table.Table) error {
	values := map[string]string{}
	declared := map[string]Var{}
	var order []string
	for _, v := range q.Vars {
		values[v.Name], declared[v.Name] = v.Default, v
		order = append(order, v.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Set)) {
		v, ok := declared[name]
		if !ok {
			if q.Name != "" {
				return fmt.Errorf("%s: no variable %q%s", q.File, name, varsHint(order))
			}
			order = append(order, name)
		}
		value := o.Set[name]
		if kind := v.kind(); kind != "" && kind != "text" && kind != kindOf(value) {
			return fmt.Errorf("%s: variable %s: wants a value such as %s, not %q", q.File, name, v.Default, value)
		}
		values[name] = value
	}
	if o.Runs != "" {
		if _, ok := values[RunsVar]; !ok {
			order = append(order, RunsVar)
		}
		values[RunsVar] = o.Runs
	}
	slices.Sort(order[len(q.Vars):])
	for _, name := range order {
		value := values[name]
		if !identifier.MatchString(name) {
			return fmt.Errorf("set variable %q: not a name", name)
		}
		t.Params = append(t.Params, table.Param{Name: name, Value: value})
		if name == RunsVar {
			refs, err := Select(ctx, conn, value)
			if err != nil {
				return err
			}
			t.Runs = refs
			ids := make([]string, len(refs))
			for i, r := range refs {
				ids[i] = r.ID
			}
			if _, err := conn.ExecContext(ctx, wbsql.Statement("set_runs"), strings.Join(ids, ",")); err != nil {
				return q.wrap(err)
			}
			continue
		}
		v := declared[name]
		if value == "" && !v.quoted && v.Default == "" {
			continue
		}
		var typedValue any = value
		if v.kind() != "text" {
			typedValue = typed(value)
		}
		if _, err := conn.ExecContext(ctx, `SET VARIABLE "`+name+`" = ?`, typedValue); err != nil {
			return q.wrap(err)
		}
	}
	return nil
}

func varsHint(names []string) string {
	if len(names) == 0 {
		return "; it has none"
	}
	return "; it has " + strings.Join(names, ", ")
}

// kind gives the kind of value that the default asks for: "text", "number" or "bool"; "" without a default.
func (v Var) kind() string {
	switch {
	case v.quoted:
		return "text"
	case v.Default == "":
		return ""
	}
	return kindOf(v.Default)
}

func kindOf(value string) string {
	switch typed(value).(type) {
	case bool:
		return "bool"
	case string:
		return "text"
	}
	return "number"
}

// typed reads a value as the number or boolean it looks like. Words such as inf and nan stay text.
func typed(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && strings.ContainsAny(s, "0123456789") {
		return f
	}
	if s == "true" || s == "false" {
		return s == "true"
	}
	return s
}

func (q *Query) wrap(err error) error {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} { // the driver adds DuckDB's message on a second line
		if errors.Is(err, cause) {
			return fmt.Errorf("run query %s: %w", q.File, cause)
		}
	}
	if strings.HasSuffix(err.Error(), "API error: empty name") {
		return fmt.Errorf("%s: a column holds a struct whose members have no names: name them, as in {a: 1}, or cast it to VARCHAR", q.File)
	}
	var de *duckdb.Error
	if errors.As(err, &de) { // the excerpt with its caret means nothing when all is on one line
		return fmt.Errorf("%s: %s", q.File, excerptless(de.Msg))
	}
	return fmt.Errorf("run query %s: %w", q.File, err)
}

// read takes the columns and rows of an answer into a table.
func read(rows *sql.Rows, t *table.Table) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for _, c := range types {
		t.Columns = append(t.Columns, table.Column{Name: c.Name(), Type: c.DatabaseTypeName(), Unit: table.UnitOf(c.Name())})
	}
	scan := make([]any, len(types))
	var slab []any // memory for the cells of many rows
	for rows.Next() {
		if len(t.Rows) == MaxRows {
			t.Notes = append(t.Notes, fmt.Sprintf("only the first %d rows are shown", MaxRows))
			break
		}
		if len(slab) < len(types) {
			slab = make([]any, min(len(t.Rows)+1, 512)*len(types))
		}
		cells := slab[:len(types):len(types)]
		slab = slab[len(types):]
		for i := range scan {
			scan[i] = &cells[i]
		}
		if err := rows.Scan(scan...); err != nil {
			return err
		}
		for i := range cells {
			cells[i] = value(cells[i], types[i].DatabaseTypeName())
		}
		t.Rows = append(t.Rows, cells)
	}
	return rows.Err()
}

// value turns what the driver gives for a DuckDB type into the few types that a Table promises. The type tells a UUID from a BLOB of
// 16 bytes and, inside a list, a day or a time of day from a timestamp.
func value(v any, typ string) any {
	switch x := v.(type) {
	case nil, bool, int64, float64, string:
		return x
	case time.Time:
		return endless(x, typ)
	case int8:
		return int64(x)
	case int16:
		return int64(x)
	case int32:
		return int64(x)
	case uint8:
		return int64(x)
	case uint16:
		return int64(x)
	case uint32:
		return int64(x)
	case uint64:
		if x > 1<<63-1 {
			return strconv.FormatUint(x, 10)
		}
		return int64(x)
	case float32:
		return float64(x)
	case *big.Int:
		if x.IsInt64() {
			return x.Int64()
		}
		return x.String()
	case duckdb.Decimal:
		if x.Scale == 0 {
			return value(x.Value, typ)
		}
		if x.Value.BitLen() > exactBits {
			return x.String()
		}
		return x.Float64()
	case []byte:
		if typ == "UUID" && len(x) == 16 {
			return (*duckdb.UUID)(x).String()
		}
		return hex.EncodeToString(x)
	case []any:
		elem := typ[:max(0, strings.LastIndexByte(typ, '['))]
		out := make([]any, len(x))
		for i := range x {
			out[i] = inner(x[i], elem)
		}
		return out
	case map[string]any:
		types := members(typ)
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = inner(e, types[k])
		}
		return out
	case duckdb.OrderedMap:
		kv := parts(typ)
		if len(kv) != 2 {
			kv = []string{"", ""}
		}
		values := x.Values()
		out := make(map[string]any, len(values))
		for i, k := range x.Keys() {
			out[fmt.Sprint(inner(k, kv[0]))] = inner(values[i], kv[1])
		}
		return out
	case duckdb.Union:
		return inner(x.Value, members(typ)[x.Tag])
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %d µs", x.Months, x.Days, x.Micros)
	}
	return fmt.Sprint(v)
}

// exactBits is how many bits of a whole number a float64 holds exactly.
const exactBits = 53

// endless gives infinite times of DuckDB, which the driver turns into some year, as words. It gives times of day with a zone as text.
func endless(t time.Time, typ string) any {
	const day = 24 * 60 * 60
	switch t.Unix() {
	case math.MaxInt64 / 1_000_000, math.MaxInt32 * day:
		return "infinity"
	case -math.MaxInt64/1_000_000 - 1, -math.MaxInt32 * day:
		return "-infinity"
	}
	if typ == "TIMETZ" || typ == "TIME WITH TIME ZONE" {
		return t.Format("15:04:05.999999Z07:00")
	}
	return t
}

// inner is value for a value inside another one, where no Column says that a time is a day or a time of day.
func inner(v any, typ string) any {
	if t, ok := v.(time.Time); ok {
		switch typ {
		case "DATE":
			return t.Format(time.DateOnly)
		case "TIME":
			return t.Format("15:04:05.999999")
		}
	}
	return value(v, typ)
}

// parts splits what is in the brackets of a type: MAP(INTEGER, STRUCT("a" UUID, "b" BLOB)) gives two parts.
func parts(typ string) []string {
	from, to := strings.IndexByte(typ, '('), strings.LastIndexByte(typ, ')')
	if from < 0 || to < from {
		return nil
	}
	var out []string
	var quote byte
	depth, start := 0, from+1
	for i := start; i <= to; i++ {
		switch c := typ[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case depth == 0 && (c == ',' || i == to):
			out = append(out, strings.TrimSpace(typ[start:i]))
			start = i + 1
		case c == ')':
			depth--
		}
	}
	return out
}

// members gives the types of a STRUCT's or UNION's members by name.
func members(typ string) map[string]string {
	out := map[string]string{}
	for _, p := range parts(typ) {
		name, rest, ok := strings.Cut(p, `" `)
		for ok && strings.Count(name, `"`)%2 == 0 { // a quote inside the name is doubled
			var more string
			more, rest, ok = strings.Cut(rest, `" `)
			name += `" ` + more
		}
		out[strings.ReplaceAll(strings.TrimPrefix(name, `"`), `""`, `"`)] = rest
	}
	return out
}

// runNotes adds what a reader must know about the runs: that they did not end well, or that some of their turns do not count.
func runNotes(ctx context.Context, conn *sql.Conn, t *table.Table) error {
	ids := make([]string, len(t.Runs))
	for i, r := range t.Runs {
		ids[i] = r.ID
	}
	rows, err := conn.QueryContext(ctx, wbsql.Statement("run_notes"), strings.Join(ids, ","))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, status, reason string
		var isolation sql.NullString
		var turns, failed, uncounted, disagreeing, impossible, unanswered, truncated, warm, sessions sql.NullInt64
		if err := rows.Scan(&name, &status, &reason, &turns, &failed, &uncounted, &disagreeing, &impossible, &unanswered, &truncated,
			&warm, &sessions, &isolation); err != nil {
			return err
		}
		if status != "ok" {
			n := fmt.Sprintf("run %s is %s", name, status)
			if reason != "" {
				n += ": " + reason
			}
			t.Notes = append(t.Notes, n)
		}
		note := func(n sql.NullInt64, format string, a ...any) {
			if n.Int64 > 0 {
				t.Notes = append(t.Notes, fmt.Sprintf(format, a...))
			}
		}
		some := func(n sql.NullInt64) string { return plain.Count(int(n.Int64), "turn") + " of run " + name }
		note(failed, "%d of %d turns of run %s did not end well and count in no figure (wb query failed_turns)",
			failed.Int64, turns.Int64, name)
		note(warm, "%d of %d sessions of run %s began warm: their first prompt was in the prefix cache already (isolation %s)",
			warm.Int64, sessions.Int64, name, isolation.String)
		note(disagreeing, "the usage of %s gives other token counts than were sent or streamed (wb query run_events)", some(disagreeing))
		note(impossible, "the usage of %s gives impossible token counts, which are left out (wb query run_events)", some(impossible))
		note(uncounted, "%s: no time per token is known, because the tokens came together and the server does not say how many "+
			"each event has", some(uncounted))
		note(unanswered, "%s got no answer, only reasoning, tool calls or nothing; --max-tokens allows more (wb query run_events)",
			some(unanswered))
		note(truncated, "the server cut the history of %s, as the conversation was longer than its context (wb query run_events)",
			some(truncated))
	}
	return rows.Err()
}

// Several runs saved queries over the selected runs, and gives the tables that have rows. A single query gives its table in any case.
func Several(ctx context.Context, db *store.DB, selector string, names ...string) (tables []*table.Table, err error) {
	for _, name := range names {
		q, err := Builtin(name)
		if err != nil {
			return nil, err
		}
		t, err := q.Run(ctx, db, Options{Runs: selector})
		if err != nil {
			return nil, err
		}
		if len(t.Rows) > 0 || len(names) == 1 {
			tables = append(tables, t)
		}
	}
	return tables, nil
}
