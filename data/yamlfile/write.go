package yamlfile

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Write returns a struct as YAML that Parse reads back unchanged. It leaves out zero fields. An empty list that is not nil stays.
func Write(v any) ([]byte, error) {
	n := toYAML(reflect.ValueOf(v))
	return yaml.Dump(n, yaml.WithLineWidth(-1))
}

func toYAML(v reflect.Value) *yaml.Node {
	switch v.Kind() {
	case reflect.Pointer:
		return toYAML(v.Elem())
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, f := range namedFields(v.Type()) {
			if value := v.FieldByIndex(f.index); !value.IsZero() {
				n.Content = append(n.Content, scalar("!!str", f.name), toYAML(value))
			}
		}
		return n
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, toYAML(v.Index(i)))
		}
		return n
	case reflect.Int, reflect.Int32, reflect.Int64:
		return scalar("!!int", strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		return scalar("!!float", strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.Bool:
		return scalar("!!bool", strconv.FormatBool(v.Bool()))
	case reflect.String:
		n := &yaml.Node{}
		n.SetString(v.String())
		if strings.ContainsAny(n.Value, yaml11Breaks) { // otherwise the writer would fold them
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	}
	panic(fmt.Sprintf("yamlfile: write a %v: no case for it", v.Type()))
}

func scalar(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}
