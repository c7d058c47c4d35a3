package yamlfile

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Decode writes the value of a node into the variable that into points to. The yaml tag of a struct field is its name in the file, and
// "-" means that the file cannot name it. An unknown name is a mistake. Fields of an embedded struct count as fields of the outer
// struct. Null (~) leaves a value unchanged. A mistake gives an *Error with the line.
func (n *Node) Decode(file string, into any) error {
	d := decoder{file: file}
	return d.value(n, reflect.ValueOf(into).Elem(), "")
}

// Load parses and decodes a file that is built into wb.
func Load(file string, text []byte, into any) error {
	n, err := Parse(file, text, len(text))
	if err != nil {
		return err
	}
	return n.Decode(file, into)
}

type decoder struct{ file string }

func (d decoder) bad(n *Node, at, format string, a ...any) error {
	msg := fmt.Sprintf(format, a...)
	if at != "" {
		msg = at + ": " + msg
	}
	return &Error{d.file, n.Line, msg}
}

// what describes a node in error messages.
func (n *Node) what() string {
	switch n.Kind {
	case Sequence:
		return "a list"
	case Mapping:
		return "names and values"
	}
	return fmt.Sprintf("%.40q", n.Text)
}

func (d decoder) value(n *Node, v reflect.Value, at string) error {
	if n.Null {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(n, v.Elem(), at)
	case reflect.Struct:
		return d.fields(n, v, at)
	case reflect.Map:
		if n.Kind != Mapping {
			return d.bad(n, at, "wants names and values, not %s", n.what())
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Entries)))
		for _, e := range n.Entries {
			x := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(e.Value, x, join(at, e.Name)); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(e.Name), x)
		}
		return nil
	case reflect.Slice:
		if n.Kind != Sequence {
			return d.bad(n, at, "wants a list, not %s", n.what())
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
		for i, item := range n.Items {
			if err := d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.Value()))
		return nil
	}
	return d.scalar(n, v, at)
}

func join(at, name string) string { return strings.TrimPrefix(at+"."+name, ".") }

// namedField is a field that a file can name, and its index in the struct.
type namedField struct {
	name  string
	index []int
}

// namedFields returns the fields of a struct and of the structs embedded in it.
func namedFields(t reflect.Type) (out []namedField) {
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			out = append(out, namedField{name, f.Index})
		}
	}
	return out
}

func (d decoder) fields(n *Node, v reflect.Value, at string) error {
	if n.Kind != Mapping {
		return d.bad(n, at, "wants names and values, not %s", n.what())
	}
	fields := map[string][]int{}
	for _, f := range namedFields(v.Type()) {
		fields[f.name] = f.index
	}
	for _, e := range n.Entries {
		i, ok := fields[e.Name]
		if !ok {
			return &Error{d.file, e.Line, fmt.Sprintf("unknown field %q", e.Name)}
		}
		if err := d.value(e.Value, v.FieldByIndex(i), join(at, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (d decoder) scalar(n *Node, v reflect.Value, at string) error {
	switch v.Kind() {
	case reflect.String:
		if n.Kind != Scalar {
			return d.bad(n, at, "wants text, not %s", n.what())
		}
		v.SetString(n.Text)
	case reflect.Bool:
		b, ok := n.boolean()
		if !ok {
			return d.bad(n, at, "wants true or false, not %s", n.what())
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, ok := n.whole()
		if !ok || v.OverflowInt(i) {
			return d.bad(n, at, "wants a whole number, not %s", n.what())
		}
		v.SetInt(i)
	case reflect.Float64:
		f, ok := n.number()
		if !ok {
			return d.bad(n, at, "wants a number, not %s", n.what())
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("yamlfile: decode into a %v: no case for it", v.Type()))
	}
	return nil
}

// boolean, whole and number read a scalar by the core schema of YAML 1.2. They refuse a leading zero: YAML 1.1 reads 010 as 8.
func (n *Node) boolean() (value, ok bool) {
	switch n.Text {
	case "true", "True", "TRUE":
		return true, n.Plain
	case "false", "False", "FALSE":
		return false, n.Plain
	}
	return false, false
}

func (n *Node) whole() (int64, bool) {
	digits := strings.TrimLeft(n.Text, "+-")
	if !n.Plain || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, false
	}
	if strings.Contains(digits, "_") || strings.HasPrefix(strings.ToLower(digits), "0b") { // numbers in YAML 1.1, but not in 1.2
		return 0, false
	}
	i, err := strconv.ParseInt(n.Text, 0, 64)
	return i, err == nil
}

func (n *Node) number() (float64, bool) {
	if i, ok := n.whole(); ok {
		return float64(i), true
	}
	if !n.Plain || strings.Trim(n.Text, "+-.eE0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	return f, err == nil
}

// Value returns the value of a node as nil, bool, int64, float64, string, []any or map[string]any.
func (n *Node) Value() any {
	switch n.Kind {
	case Sequence:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = item.Value()
		}
		return out
	case Mapping:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			out[e.Name] = e.Value.Value()
		}
		return out
	}
	if n.Null {
		return nil
	}
	if b, ok := n.boolean(); ok {
		return b
	}
	if i, ok := n.whole(); ok {
		return i
	}
	if f, ok := n.number(); ok {
		return f
	}
	return n.Text
}
