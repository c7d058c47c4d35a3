//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"

	wbsql "wb/sql"
)

// sink writes one table. It has builders that collect rows, the batches being written, and the one statement that inserts them.
type sink struct {
	name    string
	typ     reflect.Type
	schema  *arrow.Schema
	fields  []int // struct field of each column
	puts    []func(array.Builder, reflect.Value)
	builder *array.RecordBuilder
	reader  *refill
	release func()
	insert  driver.Stmt
}

// refill is a RecordReader that DuckDB scans again for each INSERT. It returns the queued batches and then ends.
// Registering a new view for each batch instead would leak 13 KB per call (measured; docs/design/storage.md).
type refill struct {
	refs   atomic.Int64
	schema *arrow.Schema
	queue  []arrow.RecordBatch
	cur    arrow.RecordBatch
}

func (r *refill) Retain()               { r.refs.Add(1) }
func (r *refill) Release()              { r.refs.Add(-1) }
func (r *refill) Schema() *arrow.Schema { return r.schema }
func (r *refill) Err() error            { return nil }
func (r *refill) Record() arrow.RecordBatch {
	return r.cur
}
func (r *refill) RecordBatch() arrow.RecordBatch { return r.cur }
func (r *refill) Next() bool {
	if r.cur != nil {
		r.cur.Release()
		r.cur = nil
	}
	if len(r.queue) == 0 {
		return false
	}
	r.cur, r.queue = r.queue[0], r.queue[1:]
	return true
}
func (r *refill) drop() {
	for r.Next() {
	}
}

// Column is a column of a raw table.
type Column struct {
	Name, Type string // the type as DuckDB names it
	Comment    string
}

// RawColumns reads the raw tables of a database with their columns in order.
// It leaves out views, because whoever made the file may have made views that read anything.
func RawColumns(ctx context.Context, conn *sql.Conn, database string) (map[string][]Column, error) {
	rows, err := conn.QueryContext(ctx, wbsql.Statement("raw_columns"), database)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string][]Column{}
	for rows.Next() {
		var table string
		var c Column
		if err := rows.Scan(&table, &c.Name, &c.Type, &c.Comment); err != nil {
			return nil, err
		}
		columns[table] = append(columns[table], c)
	}
	return columns, rows.Err()
}

// field gives the Arrow field that DuckDB reads into the column without a conversion, with arrow_lossless_conversion.
func (c Column) field() (arrow.Field, error) {
	f := arrow.Field{Name: c.Name, Nullable: true}
	extension := ""
	switch c.Type {
	case "UUID":
		f.Type, extension = &arrow.FixedSizeBinaryType{ByteWidth: 16}, "arrow.uuid"
	case "BOOLEAN":
		f.Type, extension = arrow.PrimitiveTypes.Int8, "arrow.bool8"
	case "VARCHAR":
		f.Type = arrow.BinaryTypes.String
	case "BIGINT":
		f.Type = arrow.PrimitiveTypes.Int64
	case "INTEGER":
		f.Type = arrow.PrimitiveTypes.Int32
	case "INTEGER[]":
		f.Type = arrow.ListOfField(arrow.Field{Name: "l", Type: arrow.PrimitiveTypes.Int32, Nullable: true})
	case "DOUBLE":
		f.Type = arrow.PrimitiveTypes.Float64
	case "TIMESTAMP":
		f.Type = &arrow.TimestampType{Unit: arrow.Microsecond}
	default:
		return f, fmt.Errorf("column %s: no Arrow type is known for %s", c.Name, c.Type)
	}
	if extension != "" {
		f.Metadata = arrow.NewMetadata([]string{"ARROW:extension:name", "ARROW:extension:metadata"}, []string{extension, ""})
	}
	return f, nil
}

// newSink makes the Arrow schema of a table from its columns and maps the fields of the row to them.
// DuckDB could give that schema too, but the code of the driver that asks for it can end the program (docs/design/storage.md).
func newSink(columns []Column, row Row, mem memory.Allocator) (*sink, error) {
	var fields []arrow.Field
	for _, c := range columns {
		f, err := c.field()
		if err != nil {
			return nil, fmt.Errorf("table raw.%s: %w", row.table(), err)
		}
		fields = append(fields, f)
	}
	schema := arrow.NewSchema(fields, nil)
	typ := reflect.TypeOf(row)
	fieldOf := map[string]int{}
	for i := range typ.NumField() {
		column := typ.Field(i).Tag.Get("db")
		if len(schema.FieldIndices(column)) == 0 {
			return nil, fmt.Errorf("%s.%s: table raw.%s has no column %s", typ.Name(), typ.Field(i).Name, row.table(), column)
		}
		fieldOf[column] = i
	}
	s := &sink{name: row.table(), typ: typ, schema: schema}
	for _, f := range schema.Fields() {
		i, ok := fieldOf[f.Name]
		if !ok {
			return nil, fmt.Errorf("%s: no field for column %s of table raw.%s", typ.Name(), f.Name, row.table())
		}
		put, err := putter(f.Type, typ.Field(i).Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", typ.Name(), typ.Field(i).Name, err)
		}
		s.fields = append(s.fields, i)
		s.puts = append(s.puts, put)
	}
	s.builder = array.NewRecordBuilder(mem, schema)
	s.reader = &refill{schema: schema}
	return s, nil
}

// putter returns a function that appends a Go value of one type to a column of one Arrow type.
func putter(col arrow.DataType, field reflect.Type) (func(array.Builder, reflect.Value), error) {
	if field.Kind() == reflect.Pointer {
		put, err := putter(col, field.Elem())
		if err != nil {
			return nil, err
		}
		return func(b array.Builder, v reflect.Value) {
			if v.IsNil() {
				b.AppendNull()
				return
			}
			put(b, v.Elem())
		}, nil
	}
	mismatch := fmt.Errorf("cannot store a %s in a column of Arrow type %s", field, col)
	switch field {
	case reflect.TypeFor[uuid.UUID]():
		if t, ok := col.(*arrow.FixedSizeBinaryType); !ok || t.ByteWidth != 16 {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			id := v.Interface().(uuid.UUID)
			b.(*array.FixedSizeBinaryBuilder).Append(id[:])
		}, nil
	case reflect.TypeFor[[]int32]():
		if l, ok := col.(*arrow.ListType); !ok || l.Elem().ID() != arrow.INT32 {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int32Builder).AppendValues(v.Interface().([]int32), nil)
		}, nil
	case reflect.TypeFor[time.Time]():
		if t, ok := col.(*arrow.TimestampType); !ok || t.Unit != arrow.Microsecond {
			return nil, mismatch
		}
		return func(b array.Builder, v reflect.Value) {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(v.Interface().(time.Time).UnixMicro()))
		}, nil
	}
	switch kind, id := field.Kind(), col.ID(); {
	case kind == reflect.String && id == arrow.STRING:
		return func(b array.Builder, v reflect.Value) { b.(*array.StringBuilder).Append(v.String()) }, nil
	case kind == reflect.Int64 && id == arrow.INT64:
		return func(b array.Builder, v reflect.Value) { b.(*array.Int64Builder).Append(v.Int()) }, nil
	case kind == reflect.Int32 && id == arrow.INT32:
		return func(b array.Builder, v reflect.Value) { b.(*array.Int32Builder).Append(int32(v.Int())) }, nil
	case kind == reflect.Float64 && id == arrow.FLOAT64:
		return func(b array.Builder, v reflect.Value) { b.(*array.Float64Builder).Append(v.Float()) }, nil
	case kind == reflect.Bool && id == arrow.INT8: // with arrow_lossless_conversion a BOOLEAN is Arrow's bool8
		return func(b array.Builder, v reflect.Value) {
			var x int8
			if v.Bool() {
				x = 1
			}
			b.(*array.Int8Builder).Append(x)
		}, nil
	}
	return nil, mismatch
}

func (s *sink) append(v reflect.Value) {
	for c, f := range s.fields {
		s.puts[c](s.builder.Field(c), v.Field(f))
	}
}

// putBack returns a batch that could not be written to the builder, before the rows that were added since.
func (s *sink) putBack(batch arrow.RecordBatch) {
	later := s.builder.NewRecordBatch()
	defer later.Release()
	for _, b := range []arrow.RecordBatch{batch, later} {
		for c := range b.Columns() {
			copyColumn(s.builder.Field(c), b.Column(c))
		}
	}
}

func copyColumn(to array.Builder, from arrow.Array) {
	for i := range from.Len() {
		if from.IsNull(i) {
			to.AppendNull()
			continue
		}
		switch f := from.(type) {
		case *array.String:
			to.(*array.StringBuilder).Append(f.Value(i))
		case *array.Int64:
			to.(*array.Int64Builder).Append(f.Value(i))
		case *array.Int32:
			to.(*array.Int32Builder).Append(f.Value(i))
		case *array.Int8:
			to.(*array.Int8Builder).Append(f.Value(i))
		case *array.Float64:
			to.(*array.Float64Builder).Append(f.Value(i))
		case *array.Timestamp:
			to.(*array.TimestampBuilder).Append(f.Value(i))
		case *array.FixedSizeBinary:
			to.(*array.FixedSizeBinaryBuilder).Append(f.Value(i))
		case *array.List:
			from, until := f.ValueOffsets(i)
			l := to.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int32Builder).AppendValues(f.ListValues().(*array.Int32).Int32Values()[from:until], nil)
		default:
			panic(fmt.Sprintf("store: copy column: no case for %T, though putter made one", from))
		}
	}
}
