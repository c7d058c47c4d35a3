// Package yamlfile reads the files that people write for wb: YAML 1.2 and, in files that end in .json, JSON. Text stays as it was written
// (007, 1.10, yes), a name that stands twice or that nobody knows is a mistake, and every mistake has its line. It knows nothing of what
// the files mean.
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
	Line int // from 1; 0 when the whole file is meant
	Msg  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Read reads a file of at most maxBytes for Parse. It must be a regular one: a pipe would be waited for, and a device never end.
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

// Kind is what a node is.
type Kind int

// The kinds of nodes.
const (
	Scalar   Kind = iota // a text, a number, a truth value or nothing
	Sequence             // a list
	Mapping              // names with values
)

// Node is a value of a file. Aliases and merges (<<) are resolved, so one node may stand in several places.
type Node struct {
	Kind    Kind
	Line    int     // from 1
	Text    string  // of a scalar, as it was written
	Null    bool    // of a scalar: empty, ~ or null
	Plain   bool    // of a scalar: without quotes, so that it may be a number
	Items   []*Node // of a sequence
	Entries []Entry // of a mapping, in the order of the file

	size int // nodes below and itself, each as often as it stands there
}

// Entry is a name in a mapping and its value.
type Entry struct {
	Name  string
	Line  int // from 1
	Value *Node
}

// Bounds of a file: what is more is a mistake. A few aliases of aliases could stand for more nodes than any memory has.
const (
	maxDepth = 100
	maxNodes = 1_000_000
)

// Parse reads a file's text of at most maxBytes. Mistakes are an *Error.
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
			return nil, bad(n+1, `a control character, %U; in double quotes it may be written as "\x%02x"`, r, r)
		}
	}
	if rest, ok := bytes.CutPrefix(text, []byte("%YAML 1.2")); ok { // which the parser reads, but not the line that says so
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
		case n.Null: // an end mark with nothing behind it, or before it
		case first != nil:
			return nil, bad(n.Line, "a second document begins; each has a file of its own")
		default:
			first = n
		}
	}
}

// yaml11Breaks ended a line in YAML 1.1, and do so in the library still: next line, line separator, paragraph separator.
const yaml11Breaks = "\u0085\u2028\u2029"

// withoutBreaks puts characters for private use, which the text does not have, in the place of those that YAML 1.1 took for line breaks and
// YAML 1.2 does not (5.4): the parser still does.
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

// control says whether a character may not stand in YAML as it is (YAML 1.2.2, 5.1: c-printable).
func control(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r >= 0x7f && r < 0xa0 && r != 0x85
}

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

// converter makes our nodes of the parser's.
type converter struct {
	bad  func(line int, format string, a ...any) error
	back *strings.Replacer // puts characters back that the parser would take for line breaks
	done map[*yaml.Node]*Node
	open map[*yaml.Node]bool // those under way, which an alias in them would never end
}

func (c *converter) node(y *yaml.Node, depth int) (*Node, error) {
	if n := c.done[y]; n != nil {
		return n, nil
	}
	if depth > maxDepth {
		return nil, c.bad(y.Line, "nested deeper than %d levels", maxDepth)
	}
	if c.open[y] {
		return nil, c.bad(y.Line, "an alias stands inside of what it stands for")
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

// standardTags are the tags that may be written out. Others ask for types of some program.
var standardTags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map", "!!merge"}

func (c *converter) fresh(y *yaml.Node, depth int) (*Node, error) {
	n := &Node{Line: y.Line, size: 1}
	if y.Style&yaml.TaggedStyle != 0 && !slices.Contains(standardTags, y.ShortTag()) {
		return nil, c.bad(y.Line, "tag %s is not known here", y.Tag)
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
		return nil, c.bad(y.Line, "not YAML that wb reads")
	}
	return n, nil
}

// entries fills a mapping: its own names, and then those of merges that it does not have.
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
				return c.bad(key.Line, "<<: stands twice; it may have a list")
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
			return c.bad(m.Line, "<<: merges mappings, and this is none")
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

// At gives the line of a path such as turns, 2, inject (names and numbers from 0), or that of the last part of it that is there.
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

// parseJSON reads JSON with Go's own reader: YAML's does not know the halves of characters that JSON writes as \ud83d\ude00.
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
			return nil, bad(j.line(), "something follows the end; each has a file of its own")
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
	from int64 // where the lines were counted to, and how many there were
	seen int
}

// line is that of what was read last.
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
			return nil, j.bad(n.Line, "half of a character: \\ud800 to \\udbff wants \\udc00 to \\udfff behind it")
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

// halved says whether a JSON string holds an escape for half of a character without its other half, for which Go's reader puts U+FFFD.
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
			i++ // what is escaped is no beginning of another
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
