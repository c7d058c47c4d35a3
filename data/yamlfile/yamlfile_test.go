package yamlfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

type item struct {
	Text  string   `yaml:"text"`
	Count int      `yaml:"count"`
	Ratio float64  `yaml:"ratio"`
	On    bool     `yaml:"on"`
	List  []string `yaml:"list"`
	Inner []item   `yaml:"inner"`

	Hidden string `yaml:"-"`
}

const maxBytes = 1 << 20

func read(file, text string) (item, error) {
	var out item
	n, err := Parse(file, []byte(text), maxBytes)
	if err == nil {
		err = n.Decode(file, &out)
	}
	return out, err
}

// Fields of an embedded struct are written and read as fields of the outer struct.
func TestEmbedded(t *testing.T) {
	type Size struct {
		Wide int `yaml:"wide"`
		High int `yaml:"high"`
	}
	type box struct {
		Name string `yaml:"name"`
		Size
		Full bool `yaml:"full"`
	}
	const text = "name: a\nwide: 2\nhigh: 3\nfull: true\n"
	want := box{"a", Size{2, 3}, true}
	var got box
	if err := Load("f", []byte(text), &got); err != nil || got != want {
		t.Errorf("%+v (%v)", got, err)
	}
	if b, err := Write(want); err != nil || string(b) != text {
		t.Errorf("%q (%v)", b, err)
	}
	if err := Load("f", []byte("Size: {wide: 1}"), &got); err == nil || !strings.Contains(err.Error(), `unknown field "Size"`) {
		t.Errorf("the file can name the embedded struct: %v", err)
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		text string
		want item
	}{
		// text stays as it was written
		{"text: 007", item{Text: "007"}},
		{"text: 1.10", item{Text: "1.10"}},
		{"text: 1e3", item{Text: "1e3"}},
		{"text: 0x1F", item{Text: "0x1F"}},
		{"text: yes", item{Text: "yes"}},
		{"text: True", item{Text: "True"}},
		{"text: 2026-11-29", item{Text: "2026-11-29"}},
		{"text: 12:30:45", item{Text: "12:30:45"}},
		{"text: .inf", item{Text: ".inf"}},
		{"text: \"\"", item{}},
		{"text: 'null'", item{Text: "null"}},
		{"text: !!str 5", item{Text: "5"}},
		{"text: ! 5", item{Text: "5"}},
		{"list: [no, 0777, 1_000, ~x]", item{List: []string{"no", "0777", "1_000", "~x"}}},
		{"text: \"a\\tb\\u00e9\\e[0m\"", item{Text: "a\tb\u00e9\x1b[0m"}},
		{"text: |\n  a\n  \tb\n", item{Text: "a\n\tb\n"}},
		{"text: >-\n  a\n  b\n", item{Text: "a b"}},
		{"text: |+\n  a\n\n", item{Text: "a\n\n"}},
		// null leaves a value unchanged
		{"text: ~\ncount:\nlist: null\ninner: [~]", item{Inner: []item{{}}}},
		{"list: []", item{List: []string{}}},
		// numbers, true and false
		{"count: 12\nratio: 2\non: true", item{Count: 12, Ratio: 2, On: true}},
		{"count: -0x10\nratio: 1.5e-3\non: FALSE", item{Count: -16, Ratio: 0.0015}},
		{"text: 1_000", item{Text: "1_000"}},
		// characters that were line breaks in YAML 1.1
		{"text: \"a \u2028 b\u0085c \u2029\"\nlist: [d\u2028e, '\ue000']\n",
			item{Text: "a \u2028 b\u0085c \u2029", List: []string{"d\u2028e", "\ue000"}}},
		{"text: |\n  a\u2028b\n  c\ncount: 2\n", item{Text: "a\u2028b\nc\n", Count: 2}},
		// byte-order mark, line ends, document marks
		{"\ufefftext: a", item{Text: "a"}},
		{"text: a\r\ncount: 2\r\n", item{Text: "a", Count: 2}},
		{"---\ntext: a\n...\n", item{Text: "a"}},
		{"%YAML 1.2\n---\ntext: a\n---\n", item{Text: "a"}},
		{"# only a comment before\n---\ntext: a", item{Text: "a"}},
		// aliases and merges
		{"text: &a x\nlist: [*a, *a]", item{Text: "x", List: []string{"x", "x"}}},
		{"inner:\n  - &a {text: x, count: 5}\n  - <<: *a\n    text: y\n", item{Inner: []item{{Text: "x", Count: 5}, {Text: "y", Count: 5}}}},
		{"inner:\n  - &a {text: x}\n  - &b {text: z, count: 5}\n  - text: y\n    <<: [*a, *b]\n",
			item{Inner: []item{{Text: "x"}, {Text: "z", Count: 5}, {Text: "y", Count: 5}}}},
		{"inner:\n  - &a {text: x}\n  - &b {<<: *a, count: 1}\n  - {<<: *b}\n",
			item{Inner: []item{{Text: "x"}, {Text: "x", Count: 1}, {Text: "x", Count: 1}}}},
	} {
		if got, err := read("f.yaml", c.text); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v\nwant %+v", c.text, got, err, c.want)
		}
	}
	for text, want := range map[string]item{
		`{"text": "smile \ud83d\ude00", "count": 3}`:     {Text: "smile \U0001f600", Count: 3},
		`{"text": "a\/b \u00e9 \\ud83d"}`:                {Text: `a/b é \ud83d`},
		`{"list": ["1.10", ""], "ratio": 1e3}`:           {List: []string{"1.10", ""}, Ratio: 1000},
		"\ufeff" + `{"inner": [{"text": null}]} ` + "\n": {Inner: []item{{}}},
	} {
		for _, file := range []string{"f.json", "f.yaml"} { // JSON is recognised whatever the file's name is
			if got, err := read(file, text); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s %q: got %+v, %v\nwant %+v", file, text, got, err, want)
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for _, c := range []struct{ file, text, want string }{
		{"f.yaml", "", "f.yaml: is empty"},
		{"f.yaml", "# nothing\n", "f.yaml: is empty"},
		{"f.yaml", "--- \n...\n", "f.yaml: is empty"},
		{"f.yaml", "text: a\ntext: b\n", "f.yaml:2: text: stands twice"},
		{"f.yaml", "text: a\n\"text\": b\n", "f.yaml:2: text: stands twice"},
		{"f.yaml", "text: a\ncolour: b\n", `f.yaml:2: unknown field "colour"`},
		{"f.yaml", "text: [a]\n", "f.yaml:1: text: wants text, not a list"},
		{"f.yaml", "text: {a: b}\n", "f.yaml:1: text: wants text, not names and values"},
		{"f.yaml", "list: a\n", `f.yaml:1: list: wants a list, not "a"`},
		{"f.yaml", "inner:\n  - just text\n", `f.yaml:2: inner[0]: wants names and values, not "just text"`},
		{"f.yaml", "inner:\n  - count: 1\n  - count: many\n", `f.yaml:3: inner[1].count: wants a whole number, not "many"`},
		{"f.yaml", "count: 1_000", `f.yaml:1: count: wants a whole number, not "1_000"`},
		{"f.yaml", "count: 0b101", `f.yaml:1: count: wants a whole number, not "0b101"`},
		{"f.yaml", "<<: {text: a}\n<<: {count: 1}\n", "f.yaml:2: <<: stands twice; it can have a list"},
		{"f.yaml", "count: 010", `f.yaml:1: count: wants a whole number, not "010"`},
		{"f.yaml", "count: 1.0", `f.yaml:1: count: wants a whole number, not "1.0"`},
		{"f.yaml", "count: '5'", `f.yaml:1: count: wants a whole number, not "5"`},
		{"f.yaml", "count: 99999999999999999999", `f.yaml:1: count: wants a whole number, not "99999999999999999999"`},
		{"f.yaml", "ratio: .nan", `f.yaml:1: ratio: wants a number, not ".nan"`},
		{"f.yaml", "on: yes", `f.yaml:1: on: wants true or false, not "yes"`},
		{"f.yaml", "? [a, b]\n: c\n", "f.yaml:1: a name is a text, not a list or a mapping"},
		{"f.yaml", "text: !!python/object/apply:os.system ['id']", "f.yaml:1: tag !!python/object/apply:os.system is not supported"},
		{"f.yaml", "text: !mine a", "f.yaml:1: tag !mine is not supported"},
		{"f.yaml", "text: a\n---\ntext: b\n", "f.yaml:3: a second document begins; put each document in a separate file"},
		{"f.yaml", "text: a\nlist:\n\t- b\n", "f.yaml:3: not YAML: a tab where spaces should indent the line"},
		{"f.yaml", "text: a: b", "f.yaml:1: not YAML: mapping values are not allowed in this context"},
		{"f.yaml", "text: esc \x1b[2J", `f.yaml:1: a control character, U+001B; in double quotes it can be written as "\x1b"`},
		{"f.yaml", "text: a\ntext2: \xff", "f.yaml:2: not UTF-8"},
		{"f.yaml", "text: *nobody", "f.yaml:1: not YAML: unknown anchor 'nobody' referenced"},
		{"f.yaml", "inner: &a [*a]", "f.yaml:1: an alias stands inside the value it refers to"},
		{"f.yaml", "<<: 5\n", "f.yaml:1: <<: merges mappings, and this is not a mapping"},
		{"f.yaml", laughs, "f.yaml:7: its aliases stand for more than 1000000 values"},
		{"f.yaml", strings.Repeat("[", 200) + strings.Repeat("]", 200), "f.yaml:1: nested deeper than 100 levels"},
		{"f.yaml", strings.Repeat("x", maxBytes+1), "f.yaml: larger than 1048576 bytes"},
		{"f.json", "", "f.json: is empty"},
		{"f.json", "text: a", "f.json:1: not JSON: invalid character 'e' in literal true (expecting 'r')"},
		{"f.json", "{\n\"text\": \"a\",\n\"text\": \"b\"}", "f.json:3: text: stands twice"},
		{"f.json", "{\n\"text\": \"half \\ud83d end\"}", `f.json:2: half of a character: \ud800 to \udbff must be followed by \udc00 to \udfff`},
		{"f.json", "{\"text\": \"\\ude00\\ud83d\"}", `f.json:1: half of a character: \ud800 to \udbff must be followed by \udc00 to \udfff`},
		{"f.yaml", "{\"text\": \"half \\ud83d end\"}", `f.yaml:1: half of a character: \ud800 to \udbff must be followed by \udc00 to \udfff`},
		{"f.json", "{\"text\": \"a\"", "f.json:1: not JSON: unexpected EOF"},
		{"f.json", "{}\n{}\n", "f.json:2: a second document begins; put each document in a separate file"},
		{"f.json", strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "f.json:1: nested deeper than 100 levels"},
		{"f.json", "{\"count\": 1e2}", `f.json:1: count: wants a whole number, not "1e2"`},
	} {
		_, err := read(c.file, c.text)
		if e := (*Error)(nil); !errors.As(err, &e) || err.Error() != c.want {
			t.Errorf("%.80q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "pipe.yaml")
	if err := syscall.Mkfifo(p, 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "big.yaml"), make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pipe.yaml": "not a regular file", ".": "not a regular file", "absent.yaml": "no such file",
		"big.yaml": "larger than 10 bytes"} {
		path := filepath.Join(dir, name)
		if _, err := Read(path, 10); err == nil || err.Error() != path+": "+want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAt(t *testing.T) {
	n, err := Parse("f.yaml", []byte("a: 1\nb:\n  - c: 2\n    d: 3\n  - {e: 4}\n"), maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []any
		want int
	}{{nil, 1}, {[]any{"a"}, 1}, {[]any{"b"}, 2}, {[]any{"b", 0, "d"}, 4}, {[]any{"b", 1, "e"}, 5},
		{[]any{"b", 1, "none"}, 5}, {[]any{"b", 7}, 2}, {[]any{"none", 3}, 1}} {
		if got := n.At(c.path...); got != c.want {
			t.Errorf("%v: line %d, want %d", c.path, got, c.want)
		}
	}
}

// Any text is read back as it was written.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{"a", "007", "1.10", "yes", "null", "~", "", " a ", "a\nb\n", "\ta\n b", "a: b # c", "- a", "'", "\"", "\x1b[0m",
		"a\u0085b\u2028c", "\u20280", "\n\u2029 a\u2028\n", "\u0085", "\ufeffa", "a\r\nb", "<<", "!!str x",
		"&a", "*a", "\n", "\n\na", "a \nb", "%x", "---", "...", "|", ">", "?", "{", "[", "\x00", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ToValidUTF8(s, "") != s {
			t.Skip()
		}
		want := item{Text: s, Count: len(s), Ratio: 0.5, On: true, List: []string{s, "x"},
			Inner: []item{{Text: s, List: []string{}}, {Text: "y" + s}}}
		text, err := Write(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read("f.yaml", string(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v\nwant %+v\nfile\n%s", err, got, want, text)
		}
	})
}

// No text makes the readers panic, and every failure is an *Error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: &x [1, *x]", "<<: [{a: 1}, *b]", `{"a": "\ud83d"}`, "? a\n: b", "- - - a", "!!map {}", "a: |\n  b",
		"%TAG ! x\n---\na", "*a", "&a", "\xff\xfea\x00", "{{{{", "[[[[", "\"\\x\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, file := range []string{"f.yaml", "f.json"} {
			var out item
			n, err := Parse(file, []byte(s), maxBytes)
			if err == nil {
				n.Value()
				err = n.Decode(file, &out)
			}
			if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}
