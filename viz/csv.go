package viz

import (
	"bufio"
	"strconv"
	"strings"
)

// renderCSV writes RFC 4180 with a header row. Lines end with "\n", as command-line tools expect. NULL is an empty field, and the empty
// string is a quoted one. Floats have full precision, times are RFC 3339 in UTC, and nested values are JSON. If a run is simulated, a
// last column says so, row by row if the rows name their run.
//
// Cells are not changed, even if a spreadsheet would run them as a formula ("=…", "+…", "@…"): this is data for programs, and a change
// would silently corrupt it. Import untrusted names into a spreadsheet as text.
func renderCSV(w *bufio.Writer, p Page, _ Options) error {
	t, err := p.one()
	if err != nil {
		return err
	}
	marks := simulatedRows(t)
	if t.ColumnIndex("simulated") >= 0 {
		marks = nil // the query has this column already
	}
	for i, c := range t.Columns {
		if i > 0 {
			w.WriteByte(',')
		}
		writeField(w, c.Name)
	}
	if marks != nil {
		w.WriteString(",simulated")
	}
	w.WriteByte('\n')
	for r, row := range t.Rows {
		for i, v := range row {
			if i > 0 {
				w.WriteByte(',')
			}
			switch v := v.(type) { // most cells are figures; they are written without a string in between
			case nil:
			case int64:
				_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), v, 10))
			case float64:
				_, _ = w.Write(strconv.AppendFloat(w.AvailableBuffer(), v, 'g', -1, 64))
			default:
				writeField(w, full(t.Columns[i], v))
			}
		}
		if marks != nil {
			w.WriteString("," + strconv.FormatBool(marks[r]))
		}
		w.WriteByte('\n')
	}
	return nil
}

func writeField(w *bufio.Writer, s string) {
	if s != "" && !strings.ContainsAny(s, ",\"\r\n") && s[0] != ' ' && s[len(s)-1] != ' ' {
		w.WriteString(s)
		return
	}
	w.WriteString(`"` + strings.ReplaceAll(s, `"`, `""`) + `"`)
}
