package compare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"wb/queries"
	"wb/queries/table"
	wbsql "wb/sql"
	"wb/store"
)

// Side is one of the two selections of runs, as it was read from the file.
type Side struct {
	Selector string
	Runs     []table.RunRef
	Turns    []Turn   // all measured turns, in the order in which they were sent
	Notes    []string // what a reader must know about the runs
	SQL      string   // text of the saved query
	Said     Said     // what the servers say about themselves
}

// Turn is one measured turn.
type Turn struct {
	Run, Conversation, Variant string
	Nth, Turn                  int64  // number of the session among those of its conversation, and turn of the conversation, from 1
	Process                    string // server process; "" where it is not known
	PromptTokens, OutputTokens int64  // unknownTokens where the server did not report them
	Truncated                  bool   // the server cut its history
	Buffered                   bool   // its tokens came in blocks
	BeganWarm                  *bool  // the session's first prompt was in the prefix cache; nil where that is not known
	Values                     []float64

	// What was asked, where turns are paired by it; "" where it is not known. Script is the conversation's text and the placement of its
	// documents, and History a hash of the messages after the first.
	Script, History string
	ReplyBytes      float64 // text of the reply; NaN where it is not known
}

// Simulated says whether any of the side's runs came from the simulator.
func (s Side) Simulated() bool {
	return slices.ContainsFunc(s.Runs, func(r table.RunRef) bool { return r.Simulated })
}

// Name is the run's name where there is one run, else the selector.
func (s Side) Name() string {
	if len(s.Runs) == 1 {
		return s.Runs[0].Name
	}
	return s.Selector
}

func (s Side) ids() string {
	ids := make([]string, len(s.Runs))
	for i, r := range s.Runs {
		ids[i] = r.ID
	}
	return strings.Join(ids, ",")
}

// Facts are what else the file says about the compared runs.
type Facts struct {
	Calibration *Calibration // nil where there is none
	Differing   []string     // settings that are not the same, such as plan.users, in order
	Unequal     Unequal
	Machine     Machine
	Drift       []Drift
	Commands    []string // that recorded the runs, each once, base first; words are quoted for a shell
}

// Calibration is two runs that are equal on purpose, on the machine of a comparison.
type Calibration struct {
	Base, Head Side
	Day        string // day on which it began, such as 2026-11-30
}

// Unequal is why turns may not be equal.
type Unequal struct {
	Settings string // names of differing settings that make turns differ, joined by "and"; "" for none
	Live     bool   // the server decided what was sent as history, or how much came back
}

// Machine is what happened on the machine. A figure that is not known is 0.
type Machine struct {
	Frozen       int64   // how many times wb was kept from running
	HotSamples   int64   // GPU samples in which heat or hardware slowed the GPU down
	ClientCores  float64 // cores that wb itself kept busy, 90th percentile of the readings
	BaseClockMHz float64 // clock of the GPU's SMs, median while busy
	HeadClockMHz float64
}

// Drift is what the saved query drift remarks on a metric of a run.
type Drift struct{ Metric, Run, Remark string }

// CalibrationTag is the label of runs that are equal on purpose. Their differences are the noise of the machine.
const CalibrationTag = "calibration=aa"

// loadSides reads both sides, which have no run in common.
func loadSides(ctx context.Context, db *store.DB, c Comparison, metrics []Metric) (base, head Side, err error) {
	if base, err = loadSide(ctx, db, c.Base, metrics); err != nil {
		return base, head, err
	}
	if head, err = loadSide(ctx, db, c.Head, metrics); err != nil {
		return base, head, err
	}
	for _, r := range base.Runs {
		if slices.ContainsFunc(head.Runs, func(h table.RunRef) bool { return h.ID == r.ID }) {
			return base, head, fmt.Errorf("compare %s with %s: run %s is on both sides", c.Base, c.Head, r.Name)
		}
	}
	return base, head, nil
}

func loadSide(ctx context.Context, db *store.DB, selector string, metrics []Metric) (Side, error) {
	q, err := queries.Builtin("compare_turns")
	if err != nil {
		return Side{}, err
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: selector})
	if err != nil {
		return Side{}, err
	}
	return Side{Selector: selector, Runs: t.Runs, Turns: turnsOf(t, metrics), Notes: t.Notes, SQL: t.SQL}, nil
}

// turnsOf takes the turns from the rows of compare_turns.
func turnsOf(t *table.Table, metrics []Metric) []Turn {
	out := make([]Turn, len(t.Rows))
	for i := range t.Rows {
		get := func(name string) any { return t.Value(i, name) }
		count := func(name string) int64 {
			if n, ok := get(name).(int64); ok {
				return n
			}
			return unknownTokens
		}
		x := Turn{
			Run: fmt.Sprint(get("run_id")), Conversation: fmt.Sprint(get("conversation")), Variant: fmt.Sprint(get("placement")),
			PromptTokens: count("prompt_tokens"), OutputTokens: count("completion_tokens"),
			ReplyBytes: number(get("reply_bytes")),
		}
		x.Nth, _ = get("nth").(int64)
		x.Turn, _ = get("turn").(int64)
		x.Process, _ = get("process").(string)
		x.Truncated, _ = get("truncated").(bool)
		x.Buffered, _ = get("buffered").(bool)
		if warm, ok := get("began_warm").(bool); ok {
			x.BeganWarm = &warm
		}
		for _, m := range metrics {
			v := number(get(m.Column))
			if !m.Ratio && v <= 0 { // it has no logarithm, so it is not compared
				v = math.NaN()
			}
			x.Values = append(x.Values, v)
		}
		out[i] = x
	}
	return out
}

// number gives a cell as a figure; NaN where it is not known.
func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	return math.NaN()
}

// loadFacts reads what a comparison needs in addition to the turns of both sides.
func loadFacts(ctx context.Context, db *store.DB, base, head Side, metrics []Metric) (f Facts, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return f, fmt.Errorf("compare runs: %w", err)
	}
	defer conn.Close()
	both := base.ids() + "," + head.ids()
	pair, day, err := calibrationOf(ctx, conn, base)
	if err != nil {
		return f, err
	}
	if f.Unequal, err = unequal(ctx, conn, both); err != nil {
		return f, err
	}
	if f.Differing, err = differing(ctx, conn, base, head); err != nil {
		return f, err
	}
	if f.Commands, err = texts(ctx, conn, "compare_commands", base.ids(), head.ids()); err != nil {
		return f, err
	}
	var busy, baseClock, headClock sql.NullFloat64
	row := conn.QueryRowContext(ctx, wbsql.Statement("compare_machine"), both, base.ids(), head.ids())
	if err := row.Scan(&f.Machine.Frozen, &f.Machine.HotSamples, &busy, &baseClock, &headClock); err != nil {
		return f, fmt.Errorf("compare events: %w", err)
	}
	f.Machine.ClientCores, f.Machine.BaseClockMHz, f.Machine.HeadClockMHz = busy.Float64, baseClock.Float64, headClock.Float64
	if day != "" {
		f.Calibration = &Calibration{Day: day}
		if f.Calibration.Base, err = loadSide(ctx, db, pair[0], metrics); err != nil {
			return f, err
		}
		if f.Calibration.Head, err = loadSide(ctx, db, pair[1], metrics); err != nil {
			return f, err
		}
	}
	f.Drift, err = loadDrift(ctx, db, both)
	return f, err
}

// calibrationOf finds the newest calibration on the same machine with the same server, settings and model. day is "" if there is none, or
// if the calibration itself is being compared.
func calibrationOf(ctx context.Context, conn *sql.Conn, base Side) (runs [2]string, day string, err error) {
	key, value, _ := strings.Cut(CalibrationTag, "=")
	id := base.Runs[0].ID
	err = conn.QueryRowContext(ctx, wbsql.Statement("compare_calibration"), id, key, value, id).Scan(&runs[0], &runs[1], &day)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return runs, "", nil
	case err != nil:
		return runs, "", fmt.Errorf("find calibration: %w", err)
	case slices.ContainsFunc(base.Runs, func(r table.RunRef) bool { return slices.Contains(runs[:], r.ID) }):
		return runs, "", nil
	}
	return runs, day, nil
}

func unequal(ctx context.Context, conn *sql.Conn, runs string) (u Unequal, err error) {
	var live int64
	var differ sql.NullString
	if err := conn.QueryRowContext(ctx, wbsql.Statement("compare_unequal"), runs).Scan(&live, &differ); err != nil {
		return u, fmt.Errorf("compare settings: %w", err)
	}
	return Unequal{Settings: differ.String, Live: live > 0}, nil
}

func differing(ctx context.Context, conn *sql.Conn, base, head Side) ([]string, error) {
	return texts(ctx, conn, "compare_settings", base.ids(), head.ids(), len(base.Runs), len(head.Runs))
}

// texts gives the rows of a statement that has one column.
func texts(ctx context.Context, conn *sql.Conn, statement string, args ...any) (out []string, err error) {
	rows, err := conn.QueryContext(ctx, wbsql.Statement(statement), args...)
	if err != nil {
		return nil, fmt.Errorf("compare settings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("compare settings: %w", err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("compare settings: %w", err)
	}
	return out, nil
}

// loadDrift reads the remarks of the saved query drift on the runs.
func loadDrift(ctx context.Context, db *store.DB, runs string) (out []Drift, err error) {
	q, err := queries.Builtin("drift")
	if err != nil {
		return nil, err
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: runs})
	if err != nil {
		return nil, err
	}
	for i := range t.Rows {
		get := func(name string) any { return t.Value(i, name) }
		if remark, ok := get("remark").(string); ok {
			out = append(out, Drift{fmt.Sprint(get("metric")), fmt.Sprint(get("run")), remark})
		}
	}
	return out, nil
}
