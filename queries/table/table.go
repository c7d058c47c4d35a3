// Package table holds the answer to a query in the form that everything that prints it uses: columns with units, rows of plain values, and
// notes. It imports no other package of wb.
package table

import "strings"

// Table is the answer to one query, ready to be rendered: named columns, rows of plain values, and everything a reader
// needs to trust them (the SQL, the runs, the notes). It holds no database handles.
type Table struct {
	Name    string   // name of the saved query, such as "ttft_by_turn"; "" for ad-hoc SQL
	Title   string   // one line, for people
	Answer  []string // the answer in words, which stands first: one sentence for each comparison
	Missing []string // commands that would record what an answer lacks
	NotSame []string // how the servers of a comparison differ, such as "engine (llamacpp b10434, vllm 0.32.0)"; the notes have it, too
	About   string   // what the columns mean and what is left out; may be ""
	SQL     string   // the text that ran, with its header
	Params  []Param  // values of the query's variables, in the order of the header
	Runs    []RunRef // runs that the query is about; empty for queries that take no runs
	Charts  []Chart  // charts declared by the header; every column they name exists in Columns
	Columns []Column // in the order of the SELECT list
	// Rows are len(Columns) wide. A cell is one of nil, bool, int64, float64, string, time.Time, []any or
	// map[string]any; integers too wide for int64 are decimal strings. Floats may be NaN or infinite.
	Rows         [][]any
	AnySimulated bool     // no runs were chosen, and the file holds simulated runs
	Notes        []string // warnings about the figures, each one sentence
	List         []Item   // the rows as a list; the format for terminals shows it instead of the columns. nil: the columns are shown
}

// Item is one entry of a list, for tables whose rows are mostly sentences.
type Item struct {
	Mark    string   // a word before the name, such as a level; may be ""
	Name    string   // what users type; it is never cut
	Text    string   // beside the name
	Further []string // lines below; each begins a new line
}

// Column is one column of a Table.
type Column struct {
	Name string // as in the SELECT list; its ending carries the unit (_ms, _tokens, …)
	Type string // DuckDB's name of the type, such as DOUBLE
	Unit string // "ms", "tokens", "ratio", …, read from the name; "" when it has none
}

// Param is the value of a query's variable.
type Param struct{ Name, Value string }

// RunRef names one run that a table is about.
type RunRef struct {
	ID        string
	Name      string
	Simulated bool // every figure of this run came from the simulator
}

// Simulated says whether any run in the table came from the simulator. Whatever renders the table must say so.
func (t *Table) Simulated() bool {
	for _, r := range t.Runs {
		if r.Simulated {
			return true
		}
	}
	return t.AnySimulated
}

// ColumnIndex gives the position of a column by name, or -1.
func (t *Table) ColumnIndex(name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// Value gives the value of a column in a row, which count from 0; nil for NULL, and where there is no such column.
func (t *Table) Value(row int, column string) any {
	if i := t.ColumnIndex(column); i >= 0 {
		return t.Rows[row][i]
	}
	return nil
}

// Chart is one "-- chart:" line of a query header: which columns are drawn, and how.
type Chart struct {
	Kind   string   // line, area, bar or scatter
	Title  string   // "" means the table's title
	X      string   // column on the horizontal axis
	Y      []string // columns on the vertical axis; all of one unit
	Series string   // column whose values split the rows into lines; "" for none
	Stack  bool     // series are stacked (bar and area)
	Marks  string   // column whose values are marked along the axis, such as the turn under way; "" for none (line and area)
	LogX   bool
	LogY   bool
}

// unitSuffixes are the endings of column names that give a unit. Longer ones come first, so that "_per_s" wins over "_s".
var unitSuffixes = []struct{ suffix, unit string }{
	{"_tokens_per_s", "tokens/s"}, {"_bytes_per_s", "bytes/s"}, {"_per_s", "1/s"},
	{"_ns", "ns"}, {"_us", "µs"}, {"_ms", "ms"}, {"_s", "s"}, {"_bytes", "bytes"}, {"_mib", "MiB"}, {"_gib", "GiB"},
	{"_tokens", "tokens"}, {"_w", "W"}, {"_mj", "mJ"}, {"_j", "J"}, {"_wh", "Wh"}, {"_mhz", "MHz"}, {"_c", "°C"}, {"_ratio", "ratio"},
}

// UnitOf reads a column's unit from the end of its name: "ttft_ms" gives "ms", "turn" gives "".
func UnitOf(column string) string {
	for _, u := range unitSuffixes {
		if len(column) > len(u.suffix) && strings.HasSuffix(column, u.suffix) {
			return u.unit
		}
	}
	return ""
}

// Without gives columns and rows without one column. If the table does not have it, all are given.
func (t *Table) Without(name string) ([]Column, [][]any) {
	i := t.ColumnIndex(name)
	if i < 0 {
		return t.Columns, t.Rows
	}
	rows := make([][]any, len(t.Rows))
	for r, row := range t.Rows {
		rows[r] = append(append([]any{}, row[:i]...), row[i+1:]...)
	}
	return append(append([]Column{}, t.Columns[:i]...), t.Columns[i+1:]...), rows
}

// References names every column that the chart reads.
func (c Chart) References() []string {
	cols := append([]string{c.X}, c.Y...)
	if c.Series != "" {
		cols = append(cols, c.Series)
	}
	if c.Marks != "" {
		cols = append(cols, c.Marks)
	}
	return cols
}
