package queries

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"wb/store"
)

// Options say what a query is asked about.
type Options struct {
	Runs string            // selector; "" means the query's own default
	Set  map[string]string // values for the query's variables
}

// MaxRows bounds what a table holds in memory.
const MaxRows = 1_000_000

// Run binds the variables and runs the query. Variables are values, never pasted into the text. Errors name what is
// wrong: an unknown variable, a selector that finds nothing, a chart's missing column, or DuckDB's own message.
func (q *Query) Run(ctx context.Context, db *store.DB, o Options) (*Table, error) {
	t := &Table{Name: q.Name, Title: q.Title, About: q.About, SQL: q.SQL, Charts: q.Charts, Notes: slices.Clone(db.Notes())}
	conn, err := db.SQL().Conn(ctx)
	if err != nil {
		return nil, q.wrap(err)
	}
	defer conn.Close()
	if err := q.bind(ctx, conn, o, t); err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, q.SQL)
	if err != nil {
		return nil, q.wrap(err)
	}
	defer rows.Close()
	if err := t.read(rows); err != nil {
		return nil, q.wrap(err)
	}
	for i, c := range t.Charts {
		for _, col := range append(append([]string{c.X}, c.Y...), c.Series) {
			if col != "" && t.ColumnIndex(col) < 0 {
				return nil, fmt.Errorf("%s: chart %d: the query has no column %s", q.File, i+1, col)
			}
		}
	}
	if err := t.runNotes(ctx, conn); err != nil {
		return nil, q.wrap(err)
	}
	return t, nil
}

// bind sets the variables: those of the header with their defaults, then the caller's.
func (q *Query) bind(ctx context.Context, conn *sql.Conn, o Options, t *Table) error {
	values := map[string]string{}
	var order []string
	for _, v := range q.Vars {
		values[v.Name] = v.Default
		order = append(order, v.Name)
	}
	for name, value := range o.Set {
		fallback, ok := values[name]
		if !ok {
			if q.Name != "" {
				return fmt.Errorf("%s: no variable %q%s", q.File, name, varsHint(order))
			}
			order = append(order, name)
		}
		if _, text := typed(value).(string); text && ok {
			if _, text := typed(fallback).(string); !text {
				return fmt.Errorf("%s: variable %s: wants a value such as %s, not %q", q.File, name, fallback, value)
			}
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
		t.Params = append(t.Params, Param{name, value})
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
			if _, err := conn.ExecContext(ctx, "SET VARIABLE runs = string_split(?, ',')", strings.Join(ids, ",")); err != nil {
				return q.wrap(err)
			}
			continue
		}
		if _, err := conn.ExecContext(ctx, "SET VARIABLE "+name+" = ?", typed(value)); err != nil {
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

// typed reads a value as the number or truth value it looks like.
func typed(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	if s == "true" || s == "false" {
		return s == "true"
	}
	return s
}

func (q *Query) wrap(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("run query %s: %w", q.File, err)
	}
	var de *duckdb.Error
	if errors.As(err, &de) {
		return fmt.Errorf("%s: %s", q.File, strings.Join(strings.Fields(strings.ReplaceAll(de.Msg, "\n", " ")), " "))
	}
	return fmt.Errorf("run query %s: %w", q.File, err)
}

func (t *Table) read(rows *sql.Rows) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for _, c := range types {
		t.Columns = append(t.Columns, Column{c.Name(), c.DatabaseTypeName(), UnitOf(c.Name())})
	}
	scan := make([]any, len(types))
	for rows.Next() {
		if len(t.Rows) == MaxRows {
			t.Notes = append(t.Notes, fmt.Sprintf("only the first %d rows are shown", MaxRows))
			break
		}
		cells := make([]any, len(types))
		for i := range scan {
			scan[i] = &cells[i]
		}
		if err := rows.Scan(scan...); err != nil {
			return err
		}
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		t.Rows = append(t.Rows, cells)
	}
	return rows.Err()
}

// plain turns what the driver gives into the few types a Table promises.
func plain(v any) any {
	switch x := v.(type) {
	case nil, bool, int64, float64, string, time.Time:
		return x
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
		return x.Float64()
	case duckdb.UUID:
		return x.String()
	case []byte:
		if len(x) == 16 {
			var u duckdb.UUID
			copy(u[:], x)
			return u.String()
		}
		return hex.EncodeToString(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = plain(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = plain(e)
		}
		return out
	case duckdb.Map:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[fmt.Sprint(plain(k))] = plain(e)
		}
		return out
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %d µs", x.Months, x.Days, x.Micros)
	}
	return fmt.Sprint(v)
}

// runNotes adds what a reader must know of the runs: that they did not end well, or that turns of theirs do not count.
func (t *Table) runNotes(ctx context.Context, conn *sql.Conn) error {
	for _, r := range t.Runs {
		var status, name string
		var reason sql.NullString
		var failed, turns int64
		err := conn.QueryRowContext(ctx, `SELECT r.run, r.status, r.error, count(t.turn_id), count(t.turn_id) FILTER (WHERE t.status <> 'ok')
			FROM runs r LEFT JOIN raw.turn t USING (run_id) WHERE r.run_id = ?::UUID GROUP BY ALL`, r.ID).Scan(&name, &status, &reason, &turns, &failed)
		if err != nil {
			return err
		}
		if status != "ok" {
			n := fmt.Sprintf("run %s is %s", name, status)
			if reason.String != "" {
				n += ": " + reason.String
			}
			t.Notes = append(t.Notes, n)
		}
		if failed > 0 {
			t.Notes = append(t.Notes, fmt.Sprintf("%d of %d turns of run %s did not end well and count in no figure (wb query failed_turns)", failed, turns, name))
		}
	}
	return nil
}

// ErrNoRuns is returned when a selector finds no run.
var ErrNoRuns = errors.New("no such run")

var idPrefix = regexp.MustCompile(`^[0-9a-f][0-9a-f-]{3,35}$`)

// Select resolves a selector: a comma-separated list of "latest", "latest~N" (the Nth before it), "last:N", "all", run ids
// or the start of one (4 characters or more), names, and "tag:key=value". The runs come in the order they started, each
// once.
func Select(ctx context.Context, conn *sql.Conn, selector string) ([]RunRef, error) {
	rows, err := conn.QueryContext(ctx, `SELECT r.run_id::VARCHAR, r.run, r.name, coalesce(r.simulated, false), list(t.key || '=' || t.value) FILTER (WHERE t.key IS NOT NULL)
		FROM runs r LEFT JOIN raw.run_tag t USING (run_id) GROUP BY r.run_id, r.run, r.name, r.simulated, r.started_at ORDER BY r.started_at, r.run_id`)
	if err != nil {
		return nil, fmt.Errorf("select runs: %w", err)
	}
	defer rows.Close()
	type run struct {
		RunRef
		name string
		tags []any
	}
	var all []run
	for rows.Next() {
		var r run
		var tags any
		if err := rows.Scan(&r.ID, &r.Name, &r.name, &r.Simulated, &tags); err != nil {
			return nil, fmt.Errorf("select runs: %w", err)
		}
		r.tags, _ = tags.([]any)
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("select runs: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("select runs %q: %w: the file holds no runs yet", selector, ErrNoRuns)
	}
	picked := make([]bool, len(all))
	for part := range strings.SplitSeq(selector, ",") {
		part = strings.TrimSpace(part)
		found := 0
		pick := func(ok func(int) bool) {
			for i := range all {
				if ok(i) {
					picked[i] = true
					found++
				}
			}
		}
		why := ""
		switch {
		case part == "latest" || strings.HasPrefix(part, "latest~"):
			n := 0
			if rest, ok := strings.CutPrefix(part, "latest~"); ok {
				if n, err = strconv.Atoi(rest); err != nil || n < 0 {
					return nil, fmt.Errorf("select runs %q: latest~N wants a whole number", part)
				}
			}
			pick(func(i int) bool { return i == len(all)-1-n })
			why = fmt.Sprintf("the file holds %d", len(all))
		case part == "all":
			pick(func(int) bool { return true })
		case strings.HasPrefix(part, "last:"):
			n, err := strconv.Atoi(part[len("last:"):])
			if err != nil || n < 1 {
				return nil, fmt.Errorf("select runs %q: last:N wants a whole number from 1", part)
			}
			pick(func(i int) bool { return i >= len(all)-n })
		case strings.HasPrefix(part, "tag:"):
			if !strings.Contains(part, "=") {
				return nil, fmt.Errorf("select runs %q: wants tag:KEY=VALUE", part)
			}
			pick(func(i int) bool { return slices.Contains(all[i].tags, any(part[len("tag:"):])) })
		default:
			pick(func(i int) bool { return all[i].name == part || all[i].Name == part || all[i].ID == part })
			if found == 0 && idPrefix.MatchString(strings.ToLower(part)) {
				pick(func(i int) bool { return strings.HasPrefix(all[i].ID, strings.ToLower(part)) })
				if found > 1 {
					return nil, fmt.Errorf("select runs %q: %d runs start with it; give more of the id", part, found)
				}
			}
		}
		if found == 0 {
			if why != "" {
				why = ": " + why
			}
			return nil, fmt.Errorf("select runs %q: %w%s", part, ErrNoRuns, why)
		}
	}
	var refs []RunRef
	for i, p := range picked {
		if p {
			refs = append(refs, all[i].RunRef)
		}
	}
	return refs, nil
}
