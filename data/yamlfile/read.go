// Package yamlfile reads the files that people write for wb: YAML 1.2, and JSON in files that end in .json. Text stays as it was written
// (007, 1.10, yes). A repeated or unknown name is a mistake, and every mistake comes with its line.
//
// It must not know what the files mean.
package yamlfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Error is a mistake in a file.
type Error struct {
	File string
	Line int // from 1; 0 means the whole file
	Msg  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Read reads a file of at most maxBytes bytes for Parse. It must be a regular file: a pipe could block, and a device might never end.
func Read(path string, maxBytes int) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{path, 0, "no such file"}
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, &Error{path, 0, "not a regular file"}
	case st.Size() > int64(maxBytes):
		return nil, &Error{path, 0, fmt.Sprintf("larger than %d bytes", maxBytes)}
	}
	return os.ReadFile(path)
}

// Kind is the kind of a node.
type Kind int

// The kinds of nodes.
const (
	Scalar   Kind = iota // a text, a number, true or false, or null
	Sequence             // a list
	Mapping              // names with values
)

// Node is a value in a file. Aliases and merges (<<) are resolved, so one node can be in several places.
type Node struct {
	Kind    Kind
	Line    int     // from 1
	Text    string  // of a scalar: the text as it was written
	Null    bool    // of a scalar: empty, ~ or null
	Plain   bool    // of a scalar: without quotes, so that it may be a number
	Items   []*Node // of a sequence
	Entries []Entry // of a mapping, in the order of the file

	size int // number of nodes in it, itself included; an alias counts each time
}

// Entry is a name in a mapping and its value.
type Entry struct {
	Name  string
	Line  int // from 1
	Value *Node
}

// Limits of a file. A file beyond them is a mistake. A few aliases of aliases could stand for more nodes than fit into memory.
const (
	maxDepth = 100
	maxNodes = 1_000_000
)

// Parse reads the text of a file of at most maxBytes bytes. A mistake gives an *Error. The name of the file appears in errors, and the
// ending .json means JSON.
func Parse(file string, text []byte, maxBytes int) (*Node, error) {
	bad := func(line int, format string, a ...any) error { return &Error{file, line, fmt.Sprintf(format, a...)} }
	if len(text) > maxBytes {
		return nil, bad(0, "larger than %d bytes", maxBytes)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for n, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, bad(n+1, "not UTF-8")
		}
	}
	if strings.EqualFold(filepath.Ext(file), ".json") || bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Valid(text) {
		return parseJSON(text, bad)
	}
	return parseYAML(text, bad)
}

func parseYAML(text []byte, bad func(int, string, ...any) error) (*Node, error) {
	for n, line := range bytes.Split(text, []byte("\n")) {
		if i := bytes.IndexFunc(line, control); i >= 0 {
			r, _ := utf8.DecodeRune(line[i:])
			return nil, bad(n+1, `a control character, %U; in double quotes it can be written as "\x%02x"`, r, r)
		}
	}
	if rest, ok := bytes.CutPrefix(text, []byte("%YAML 1.2")); ok { // the parser reads YAML 1.2, but not this line
		text = append([]byte("# YAML 1.2"), rest...)
	}
	text, back := withoutBreaks(text)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var first *Node
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF) && first == nil:
			return nil, bad(0, "is empty")
		case errors.Is(err, io.EOF):
			return first, nil
		case err != nil:
			return nil, notYAML(text, bad, err)
		}
		c := converter{bad: bad, back: back, done: map[*yaml.Node]*Node{}, open: map[*yaml.Node]bool{}}
		n, err := c.node(&doc, 0)
		switch {
		case err != nil:
			return nil, err
		case n.Null: // an empty document, such as an end mark with nothing before or after it
		case first != nil:
			return nil, bad(n.Line, "a second document begins; put each document in a separate file")
		default:
			first = n
		}
	}
}

// yaml11Breaks are characters that end a line in YAML 1.1 and still do in the library: next line, line separator and paragraph
// separator.
const yaml11Breaks = "\u0085\u2028\u2029"

// withoutBreaks replaces yaml11Breaks, since they end no line in YAML 1.2 (section 5.4). It uses private-use characters that the text
// does not contain. back puts the original characters back.
func withoutBreaks(text []byte) ([]byte, *strings.Replacer) {
	var there, back []string
	private := '\ue000'
	for _, r := range yaml11Breaks {
		if !bytes.ContainsRune(text, r) {
			continue
		}
		for bytes.ContainsRune(text, private) {
			private++
		}
		there, back = append(there, string(r), string(private)), append(back, string(private), string(r))
		private++
	}
	if there != nil {
		text = []byte(strings.NewReplacer(there...).Replace(string(text)))
	}
	return text, strings.NewReplacer(back...)
}

// control reports whether a character must be escaped in YAML (YAML 1.2.2, section 5.1: c-printable).
func control(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r >= 0x7f && r < 0xa0 && r != 0x85
}

// notYAML turns an error of the parser into an *Error with the line.
func notYAML(text []byte, bad func(int, string, ...any) error, err error) error {
	var le *yaml.LoadError
	if errors.As(err, &le) {
		if lines := bytes.SplitN(text, []byte("\n"), le.Mark.Line+1); le.Mark.Line > 0 && le.Mark.Line <= len(lines) {
			line := lines[le.Mark.Line-1]
			if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.ContainsRune(indent, '\t') {
				return bad(le.Mark.Line, "not YAML: a tab where spaces should indent the line")
			}
		}
		msg := le.Message
		if le.ContextMsg != "" {
			msg = le.ContextMsg + ": " + msg
		}
		return bad(le.Mark.Line, "not YAML: %s", msg)
	}
	return bad(0, "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// converter turns the nodes of the parser into Nodes.
type converter struct {
	bad  func(line int, format string, a ...any) error
	back *strings.Replacer // puts back the characters that withoutBreaks replaced
	done map[*yaml.Node]*Node
	open map[*yaml.Node]bool // nodes being converted; an alias to one of them would never end
}

func (c *converter) node(y *yaml.Node, depth int) (*Node, error) {
	if n := c.done[y]; n != nil {
		return n, nil
	}
	if depth > maxDepth {
		return nil, c.bad(y.Line, "nested deeper than %d levels", maxDepth)
	}
	if c.open[y] {
		return nil, c.bad(y.Line, "an alias stands inside the value it refers to")
	}
	c.open[y] = true
	defer delete(c.open, y)
	n, err := c.fresh(y, depth)
	if err != nil {
		return nil, err
	}
	if n.size > maxNodes {
		return nil, c.bad(y.Line, "its aliases stand for more than %d values", maxNodes)
	}
	c.done[y] = n
	return n, nil
}

// standardTags are the tags that a file may contain. Other tags ask for the types of some program.
var standardTags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map", "!!merge"}

func (c *converter) fresh(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Line: y.Line, size: 1}
	if y.Style&yaml.TaggedStyle != 0 && !slices.Contains(standardTags, y.ShortTag()) {
		return nil, c.bad(y.Line, "tag %s is not supported", y.Tag)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return c.node(y.Content[0], depth)
	case yaml.AliasNode:
		return c.node(y.Alias, depth)
	case yaml.ScalarNode:
		quoted := y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
		text := y.Style&yaml.TaggedStyle != 0 && (y.ShortTag() == "!!str" || y.Tag == "!")
		n.Text, n.Plain = c.back.Replace(y.Value), !quoted && !text
		n.Null = n.Plain && y.ShortTag() == "!!null"
	case yaml.SequenceNode:
		n.Kind = Sequence
		for _, e := range y.Content {
			item, err := c.node(e, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
			n.size = min(n.size+item.size, maxNodes+1)
		}
	case yaml.MappingNode:
		n.Kind = Mapping
		return n, c.entries(n, y, depth)
	default:
		return nil, c.bad(y.Line, "wb does not read this kind of YAML")
	}
	return n, nil
}

// entries fills a mapping: first its names, then those names of its merges that it lacks.
func (c *converter) entries(n *Node, y *yaml.Node, depth int) error {
	var merged []*Node
	merges := false
	has := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		value, err := c.node(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			more := []*Node{value}
			if value.Kind == Sequence {
				more = value.Items
			}
			if merges {
				return c.bad(key.Line, "<<: stands twice; it can have a list")
			}
			merged, merges = more, true
			continue
		}
		name, err := c.node(key, depth+1)
		if err != nil {
			return err
		}
		if name.Kind != Scalar {
			return c.bad(key.Line, "a name is a text, not a list or a mapping")
		}
		if has[name.Text] {
			return c.bad(key.Line, "%s: stands twice", name.Text)
		}
		has[name.Text] = true
		n.Entries = append(n.Entries, Entry{name.Text, key.Line, value})
	}
	for _, m := range merged {
		if m.Kind != Mapping {
			return c.bad(m.Line, "<<: merges mappings, and this is not a mapping")
		}
		for _, e := range m.Entries {
			if !has[e.Name] {
				has[e.Name] = true
				n.Entries = append(n.Entries, e)
			}
		}
	}
	for _, e := range n.Entries {
		n.size = min(n.size+1+e.Value.size, maxNodes+1)
	}
	return nil
}

// At returns the line of a path such as turns, 2, inject (names, and numbers from 0). If the path does not exist, it is the line of the
// last part that does.
func (n *Node) At(path ...any) int {
	line := n.Line
	for _, part := range path {
		switch part := part.(type) {
		case string:
			i := slices.IndexFunc(n.Entries, func(e Entry) bool { return e.Name == part })
			if i < 0 {
				return line
			}
			line, n = n.Entries[i].Line, n.Entries[i].Value
		case int:
			if part >= len(n.Items) {
				return line
			}
			n = n.Items[part]
			line = n.Line
		}
	}
	return line
}

// parseJSON reads JSON with Go's JSON reader. The YAML reader does not know surrogate pairs such as \ud83d\ude00.
func parseJSON(text []byte, bad func(int, string, ...any) error) (*Node, error) {
	j := jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), bad: bad}
	j.dec.UseNumber()
	n, err := j.value(0)
	if errors.Is(err, io.EOF) && len(bytes.TrimSpace(text)) == 0 {
		return nil, bad(0, "is empty")
	}
	if err == nil {
		if _, err = j.dec.Token(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err == nil {
			return nil, bad(j.line(), "a second document begins; put each document in a separate file")
		}
	}
	var e *Error
	if errors.As(err, &e) {
		return nil, err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, bad(j.line(), "not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

type jsonReader struct {
	text []byte
	dec  *json.Decoder
	bad  func(line int, format string, a ...any) error
	from int64 // offset up to which lines were counted
	seen int   // lines before it
}

// line returns the line of the value that was read last.
func (j *jsonReader) line() int {
	to := j.dec.InputOffset()
	j.seen += bytes.Count(j.text[j.from:to], []byte("\n"))
	j.from = to
	return j.seen + 1
}

func (j *jsonReader) value(depth int) (*Node, error) {
	before := j.dec.InputOffset()
	t, err := j.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &Node{Line: j.line()}
	if depth > maxDepth {
		return nil, j.bad(n.Line, "nested deeper than %d levels", maxDepth)
	}
	switch t := t.(type) {
	case nil:
		n.Null, n.Plain = true, true
	case bool:
		n.Text, n.Plain = fmt.Sprint(t), true
	case json.Number:
		n.Text, n.Plain = t.String(), true
	case string:
		n.Text = t
		if halved(j.text[before:j.dec.InputOffset()]) {
			return nil, j.bad(n.Line, "half of a character: \\ud800 to \\udbff must be followed by \\udc00 to \\udfff")
		}
	case json.Delim:
		if t == '[' {
			return n, j.items(n, depth)
		}
		return n, j.entries(n, depth)
	}
	return n, nil
}

func (j *jsonReader) items(n *Node, depth int) error {
	n.Kind = Sequence
	for j.dec.More() {
		item, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, item)
	}
	_, err := j.dec.Token()
	return err
}

func (j *jsonReader) entries(n *Node, depth int) error {
	n.Kind = Mapping
	has := map[string]bool{}
	for j.dec.More() {
		name, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		if has[name.Text] {
			return j.bad(name.Line, "%s: stands twice", name.Text)
		}
		has[name.Text] = true
		value, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		n.Entries = append(n.Entries, Entry{name.Text, name.Line, value})
	}
	_, err := j.dec.Token()
	return err
}

// halved reports whether a JSON string has an escape for half of a character without the other half. Go's reader would put U+FFFD there.
func halved(raw []byte) bool {
	unit := func(b []byte) (rune, bool) {
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return 0, false
		}
		var r rune
		_, err := fmt.Sscanf(string(b[2:6]), "%04x", &r)
		return r, err == nil
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r, ok := unit(raw[i:])
		switch {
		case !ok:
			i++ // the escaped character does not begin another escape
		case r >= 0xdc00 && r < 0xe000:
			return true
		case r >= 0xd800 && r < 0xdc00:
			if low, ok := unit(raw[i+6:]); !ok || low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}
