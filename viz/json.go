package viz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"wb/queries/table"
)

// renderJSON writes one object for one table, and one object with "tables" for several. Keys have the order of the columns. int64 is
// exact. NaN and infinities are null, because JSON has neither.
func renderJSON(w *bufio.Writer, p Page, _ Options) error {
	j := newJSONWriter()
	if len(p.Tables) == 1 {
		j.table(p.Tables[0], p.title())
		j.raw("\n")
	} else {
		j.raw(`{"title": `).value("", p.title()).raw(",\n")
		j.raw(`"intro": `).strings(p.Intro).raw(",\n")
		j.raw(`"version": `).value("", p.Version).raw(",\n")
		j.raw(`"simulated": `).value("", p.simulated()).raw(",\n")
		j.raw(`"tables": [`)
		for i, t := range p.Tables {
			j.comma(i).raw("\n")
			j.table(t, heading(t))
		}
		j.raw("\n]}\n")
	}
	_, err := w.Write(j.Bytes())
	return err
}

// renderNDJSON writes one object per row and nothing else. It adds "simulated" as renderCSV does.
func renderNDJSON(w *bufio.Writer, p Page, _ Options) error {
	t, err := p.one()
	if err != nil {
		return err
	}
	marks := simulatedRows(t)
	keys := rowKeys(t)
	if t.ColumnIndex("simulated") >= 0 {
		marks = nil
	}
	j := newJSONWriter()
	for i, row := range t.Rows {
		j.Reset()
		j.raw("{").cells(t, keys, row)
		if marks != nil {
			j.comma(len(row)).raw(`"simulated":`).value("", marks[i])
		}
		j.raw("}\n")
		if _, err := w.Write(j.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// jsonWriter writes JSON. encoding/json does not keep the order of keys and fails on NaN.
type jsonWriter struct {
	bytes.Buffer
	enc *json.Encoder
}

func newJSONWriter() *jsonWriter {
	j := &jsonWriter{}
	j.enc = json.NewEncoder(&j.Buffer)
	j.enc.SetEscapeHTML(false) // this is not HTML; the page uses json.Marshal
	return j
}

func (j *jsonWriter) raw(s string) *jsonWriter { j.WriteString(s); return j }

func (j *jsonWriter) comma(i int) *jsonWriter {
	if i > 0 {
		j.WriteByte(',')
	}
	return j
}

func (j *jsonWriter) encode(v any) {
	if err := j.enc.Encode(v); err != nil {
		j.WriteString("null")
		return
	}
	j.Truncate(j.Len() - 1) // Encode ends with a newline
}

func (j *jsonWriter) strings(list []string) *jsonWriter {
	j.WriteByte('[')
	for i, s := range list {
		j.comma(i).value("", s)
	}
	j.WriteByte(']')
	return j
}

func (j *jsonWriter) value(duckType string, v any) *jsonWriter {
	switch v := v.(type) {
	case nil:
		j.WriteString("null")
	case int64:
		j.WriteString(strconv.FormatInt(v, 10))
	case bool:
		j.WriteString(strconv.FormatBool(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			j.WriteString("null")
		} else {
			j.encode(v)
		}
	case string:
		j.encode(v)
	case time.Time:
		j.encode(formatTime(duckType, v))
	case []any:
		j.WriteByte('[')
		for i, e := range v {
			j.comma(i).value("", e)
		}
		j.WriteByte(']')
	case map[string]any:
		j.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			j.comma(i).encode(k)
			j.raw(":").value("", v[k])
		}
		j.WriteByte('}')
	default:
		j.encode(fmt.Sprint(v))
	}
	return j
}

func (j *jsonWriter) cells(t *table.Table, keys []string, row []any) {
	for i, v := range row {
		j.comma(i).encode(keys[i])
		j.raw(":").value(t.Columns[i].Type, v)
	}
}

func (j *jsonWriter) table(t *table.Table, title string) {
	keys := rowKeys(t)
	j.raw(`{"title": `).value("", title).raw(",\n")
	if len(t.Answer) > 0 {
		j.raw(`"answer": `).strings(t.Answer).raw(",\n")
		j.raw(`"missing": `).strings(t.Missing).raw(",\n")
	}
	if len(t.NotSame) > 0 {
		j.raw(`"not_the_same": `).strings(t.NotSame).raw(",\n")
	}
	j.raw(`"about": `).value("", t.About).raw(",\n")
	j.raw(`"query": `).value("", t.Name).raw(",\n")
	j.raw(`"simulated": `).value("", t.Simulated()).raw(",\n")
	j.raw(`"runs": [`)
	for i, r := range t.Runs {
		j.comma(i).raw(`{"id":`).value("", r.ID).raw(`,"name":`).value("", r.Name).raw(`,"simulated":`).value("", r.Simulated).raw("}")
	}
	j.raw("],\n" + `"params": {`)
	for i, p := range t.Params {
		j.comma(i).encode(p.Name)
		j.raw(":").value("", p.Value)
	}
	j.raw("},\n" + `"columns": [`)
	for i, c := range t.Columns {
		j.comma(i).raw("\n  {\"name\":").value("", keys[i]).raw(`,"type":`).value("", c.Type).raw(`,"unit":`).value("", c.Unit).raw("}")
	}
	j.raw("],\n" + `"rows": [`)
	for i, row := range t.Rows {
		j.comma(i).raw("\n  {").cells(t, keys, row)
		j.raw("}")
	}
	j.raw("],\n" + `"notes": `).strings(t.Notes).raw(",\n")
	j.raw(`"sql": `).value("", t.SQL).raw("}")
}

// rowKeys makes the names of the columns unique: SQL allows two columns of the same name, a JSON object does not.
func rowKeys(t *table.Table) []string {
	keys := make([]string, len(t.Columns))
	taken := map[string]bool{}
	for _, c := range t.Columns {
		taken[c.Name] = true
	}
	seen := map[string]bool{}
	for i, c := range t.Columns {
		k := c.Name
		for n := 2; seen[k] || k != c.Name && taken[k]; n++ {
			k = c.Name + "_" + strconv.Itoa(n)
		}
		seen[k] = true
		keys[i] = k
	}
	return keys
}
