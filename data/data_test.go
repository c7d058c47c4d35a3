package data

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const head = "id: a\ntitle: T\n"

func TestParseErrors(t *testing.T) {
	const docs = head + "documents:\n  - id: d\n    text: x\n"
	for _, c := range []struct{ text, want string }{
		{"", "f.yaml: is empty"},
		{" \n\n# only a comment\n", "f.yaml: is empty"},
		{"---\n", "f.yaml: is empty"},
		{"just text", `f.yaml:1: wants names and values, not "just text"`},
		{"\n- a\n- b\n", "f.yaml:2: wants names and values, not a list"},
		{"id: [a\ntitle: }", "f.yaml:2: not YAML: while parsing a flow sequence: did not find expected ',' or ']'"},
		{"id: a\n\ttitle: T\n", "f.yaml:2: not YAML: a tab where spaces should indent the line"},
		{head + "colour: red\nturns:\n  - user: hi\n", `f.yaml:3: unknown field "colour"`},
		{head + "turns:\n  - user: hi\n    mood: good\n", `f.yaml:5: unknown field "mood"`},
		{head + "turns:\n  - user: hi\nid: b\n", "f.yaml:5: id: stands twice"},
		{head + "turns: 5\n", `f.yaml:3: turns: wants a list, not "5"`},
		{"# a comment\ntitle: T\nturns:\n  - user: hi\n", `f.yaml:2: id "": wants letters, digits, '_', '-' and '.', at most 64`},
		{"title: T\nid: a b\nturns:\n  - user: hi\n", `f.yaml:2: id "a b": wants letters, digits, '_', '-' and '.', at most 64`},
		{"id: ../up\ntitle: T\nturns:\n  - user: hi\n", `f.yaml:1: id "../up": wants letters, digits, '_', '-' and '.', at most 64`},
		{"id: " + strings.Repeat("a", 65) + "\ntitle: T\nturns:\n  - user: hi\n",
			`f.yaml:1: id "` + strings.Repeat("a", 65) + `": wants letters, digits, '_', '-' and '.', at most 64`},
		{"id: a\nturns:\n  - user: hi\n", "f.yaml:1: title: is missing"},
		{"id: a\ntitle: \" \"\nturns:\n  - user: hi\n", "f.yaml:2: title: is missing"},
		{head, "f.yaml:1: turns: a conversation needs at least one"},
		{head + "turns: []\n", "f.yaml:3: turns: a conversation needs at least one"},
		{head + "turns:\n" + strings.Repeat("  - user: hi\n", MaxTurns+1), "f.yaml:3: turns: more than 1000"},
		{head + "expected_tokens: -1\nturns:\n  - user: hi\n", "f.yaml:3: expected_tokens: is negative"},
		{head + "turns:\n  - user: hi\n  - assistant: ho\n", "f.yaml:5: turn 2: user: is missing"},
		{head + "turns: [null]\n", "f.yaml:3: turn 1: user: is missing"},
		{head + "turns:\n  - user: hi\n    max_tokens: -5\n", "f.yaml:5: turn 1: max_tokens: is negative"},
		{head + "turns:\n  - user: hi\n    checks: [x, \"\"]\n", "f.yaml:5: turn 1: checks: one is empty"},
		{head + "documents:\n  - id: \"no good\"\n    text: x\nturns:\n  - user: hi\n",
			`f.yaml:4: document id "no good": wants letters, digits, '_', '-' and '.', at most 64`},
		{docs + "  - id: d\n    text: y\nturns:\n  - user: hi\n    inject: [d]\n", `f.yaml:6: document "d" is listed twice`},
		{head + "documents:\n  - id: d\nturns:\n  - user: hi\n    inject: [d]\n", `f.yaml:4: document "d" has no text`},
		{docs + "turns:\n  - user: hi\n    inject: [d, e]\n", `f.yaml:8: turn 1 injects document "e", which the file does not have`},
		{docs + "turns:\n  - user: hi\n    inject: [d]\n  - user: ho\n    inject: [d]\n",
			`f.yaml:10: turn 2 injects document "d", which is in the context already`},
		{docs + "turns:\n  - user: hi\n    inject: [d, d]\n", `f.yaml:8: turn 1 injects document "d", which is in the context already`},
		{docs + "turns:\n  - user: hi\n    remove: [d]\n  - user: ho\n    inject: [d]\n",
			`f.yaml:8: turn 1 removes document "d", which is not in the context`},
		{docs + "turns:\n  - user: hi\n    inject: [d]\n  - user: ho\n    remove: [d, d]\n",
			`f.yaml:10: turn 2 removes document "d", which is not in the context`},
		{docs + "turns:\n  - user: hi\n", `f.yaml:4: document "d" is never injected`},
		{head + "turns:\n  - user: hi\n---\n" + head + "turns:\n  - user: ho\n",
			"f.yaml:6: a second document begins; put each document in a separate file"},
		{head + "turns:\n  - user: hi\n---\nnonsense\n", "f.yaml:6: a second document begins; put each document in a separate file"},
		{head + "turns:\n  - user: \"h\xff\"\n", "f.yaml:4: not UTF-8"},
		{"{\n\t\"id\": \"a\",\n\t\"title\": \"T\",\n\t\"turns\": [\n\t\t{\"user\": \"hi\", \"mood\": 1}\n\t]\n}\n",
			`f.yaml:5: unknown field "mood"`},
		{"{\n\t\"id\": \"a\",\n\t\"title\": \"T\",\n\t\"turns\": [\n\t\t{\"user\": \"hi\"},\n\t\t{\"assistant\": \"ho\"}\n\t]\n}\n",
			"f.yaml:6: turn 2: user: is missing"},
		{head + "turns:\n  - user: " + strings.Repeat("x", MaxFileBytes), "f.yaml: larger than 16777216 bytes"},
		{"tags: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "f.yaml:1: nested deeper than 100 levels"},
	} {
		got, err := Parse("f.yaml", []byte(c.text))
		var fe *FileError
		if !errors.As(err, &fe) || err.Error() != c.want || got != nil {
			t.Errorf("%.80q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	want := &Conversation{
		ID: "a.b-c_1", Title: "Ti", About: "Ab", Tags: []string{"x", "y"}, Domain: "d", ExpectedTokens: 12, System: "Sys\n", File: "f",
		Documents: []Document{{"d1", "Doc", "text 1\n"}, {"d2", "", "text 2"}},
		Turns: []Turn{{User: "hé 😀 a/b\n", Assistant: "ho", Inject: []string{"d1", "d2"}, MaxTokens: 7, Checks: []string{"h"}},
			{User: "again", Remove: []string{"d1"}}, {User: "and", Inject: []string{"d1"}, Remove: []string{"d2"}}},
	}
	yaml := `# a comment
id: a.b-c_1
title: Ti
about: Ab
tags: [x, y]
domain: d
expected_tokens: 12
system: |
  Sys
documents:
  - {id: d1, title: Doc, text: "text 1\n"}
  - id: d2
    text: text 2
turns:
  - user: |
      hé 😀 a/b
    assistant: ho
    inject: [d1, d2]
    max_tokens: 7
    checks: ["h"]
  - user: again
    remove: [d1]
  - user: and
    remove: [d2]
    inject: [d1]
`
	json := "{\"id\": \"a.b-c_1\", \"title\": \"Ti\", \"about\": \"Ab\", \"tags\": [\"x\", \"y\"], " +
		"\"domain\": \"d\", \"expected_tokens\": 12, \"system\": \"Sys\\n\",\n" +
		"\t\"documents\": [{\"id\": \"d1\", \"title\": \"Doc\", \"text\": \"text 1\\n\"}, {\"id\": \"d2\", \"text\": \"text 2\"}],\n" +
		"\t\"turns\": [{\"user\": \"h\\u00e9 \\ud83d\\ude00 a\\/b\\n\", \"assistant\": \"ho\", " +
		"\"inject\": [\"d1\", \"d2\"], \"max_tokens\": 7, \"checks\": [\"h\"]},\n" +
		"\t\t{\"user\": \"again\", \"remove\": [\"d1\"]}, {\"user\": \"and\", \"inject\": [\"d1\"], \"remove\": [\"d2\"]}]}\n"
	for name, text := range map[string]string{
		"YAML": yaml, "JSON": json, "CRLF": strings.ReplaceAll(yaml, "\n", "\r\n"), "BOM": "\ufeff" + yaml,
		"marks": "---\n" + yaml + "...\n", "end mark": yaml + "---\n",
	} {
		got, err := Parse("f", []byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", name, err, got, want)
		} else if got.SHA256() != want.SHA256() {
			t.Errorf("%s: another hash", name)
		}
	}
	elsewhere := *want
	elsewhere.File = "g"
	if elsewhere.SHA256() != want.SHA256() {
		t.Error("the hash depends on the file's name")
	}
	changed := map[string]func(c *Conversation){
		"title":      func(c *Conversation) { c.Title = "x" },
		"system":     func(c *Conversation) { c.System = "x" },
		"user":       func(c *Conversation) { c.Turns[1].User = "x" },
		"inject":     func(c *Conversation) { c.Turns[0].Inject = []string{"d2", "d1"} },
		"document":   func(c *Conversation) { c.Documents[0].Text = "x" },
		"max_tokens": func(c *Conversation) { c.Turns[2].MaxTokens = 1 },
	}
	seen := map[string]string{want.SHA256(): "the first"}
	for name, change := range changed {
		c := *want
		c.Turns, c.Documents = slices.Clone(c.Turns), slices.Clone(c.Documents)
		change(&c)
		if other, ok := seen[c.SHA256()]; ok {
			t.Errorf("another %s gives the hash of %s", name, other)
		}
		seen[c.SHA256()] = name
	}
}

// The scripted replies of the built-in conversations pass the checks, and the expected sizes are about right.
func TestBuiltIn(t *testing.T) {
	all, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	// tokens of the longest prompts by SmolLM2's tokenizer and template, and bytes of their texts: a text that changes is to be counted again
	counted := map[string][2]float64{
		"agent_operator":       {1172, 3286},
		"agent_tools":          {1272, 3444},
		"code_discussion":      {2400, 6712},
		"deep_technical":       {6871, 21326},
		"german_handbook":      {1068, 2260},
		"multilingual_support": {486, 1049},
		"python_bug":           {484, 1455},
		"rag_injection":        {2456, 9130},
		"rag_simulation":       {3123, 10906},
		"rag_topk":             {796, 2611},
		"simple_qa":            {777, 2782},
		"sql_review":           {957, 2686},
		"ultra_long":           {14553, 38225},
	}
	stated := map[string]float64{"simple_qa": 800, "code_discussion": 2500, "deep_technical": 7000, "ultra_long": 15000}
	var ids []string
	for i, c := range all {
		ids = append(ids, c.ID)
		if c.File != "built-in:"+c.ID+".yaml" || c.About == "" || c.Domain == "" || len(c.Tags) == 0 || c.System == "" {
			t.Errorf("%s: %s lacks about, domain, tags or system", c.ID, c.File)
		}
		if i > 0 && all[i-1].Tokens() > c.Tokens() {
			t.Errorf("%s stands before the smaller %s", all[i-1].ID, c.ID)
		}
		generated := c.Generate != nil
		c, err := c.Build(EstimateTokens)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Turns[0].Remove) != 0 || len(c.Turns) < 3 {
			t.Errorf("%s: %d turns, the first removes %v", c.ID, len(c.Turns), c.Turns[0].Remove)
		}
		checks := 0
		for d := c.Start(Style{}); d.Next(); {
			turn := d.Current()
			if strings.TrimSpace(turn.Assistant) == "" {
				t.Errorf("%s turn %d: no scripted reply", c.ID, d.Turn())
			}
			for _, check := range turn.Checks {
				checks++
				if !strings.Contains(strings.ToLower(turn.Assistant), strings.ToLower(check)) {
					t.Errorf("%s turn %d: the scripted reply lacks %q", c.ID, d.Turn(), check)
				}
			}
			d.Reply(turn.Assistant)
		}
		if checks == 0 {
			t.Errorf("%s: nothing is checked", c.ID)
		}
		if generated {
			continue // TestGenerated
		}
		was := counted[c.ID]
		if bytes, _ := c.longest(Sending{Scripted: true}, 1); math.Abs(bytes-was[1]) > was[1]/100 {
			t.Errorf("%s: the longest prompt has %.0f bytes; when it was counted it had %.0f", c.ID, bytes, was[1])
		}
		if tokens := float64(c.ExpectedTokens); tokens < was[0] || tokens > was[0]+20 {
			t.Errorf("%s: expected_tokens is %d, and %.0f were counted", c.ID, c.ExpectedTokens, was[0])
		}
		if s := stated[c.ID]; s > 0 && math.Abs(was[0]-s) > s/10 {
			t.Errorf("%s: the longest prompt has %.0f tokens, and the documentation says %.0f", c.ID, was[0], s)
		}
	}
	const want = "multilingual_support python_bug simple_qa rag_topk sql_review german_handbook agent_operator agent_tools " +
		"code_discussion rag_injection rag_simulation deep_technical ultra_long long_16k long_32k long_64k long_128k"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("conversations are %s", got)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	file := func(id string, tokens int) string {
		return fmt.Sprintf("id: %s\ntitle: added %s\nexpected_tokens: %d\nturns:\n  - user: hi\n", id, id, tokens)
	}
	const builtins = "simple_qa code_discussion rag_simulation deep_technical ultra_long"
	for _, c := range []struct {
		name  string
		files map[string]string // in the directory
		want  string            // ids, those of the directory in brackets; or "! " and the error, where DIR is the directory
	}{
		{"empty", nil, "! load conversations: DIR holds no .yaml, .yml or .json file"},
		{"adds", map[string]string{"new.yaml": file("new", 1), "b.yml": file("b", 99999),
			"c.json": `{"id": "c", "title": "T", "expected_tokens": 1000, "turns": [{"user": "hi"}]}`},
			"[new] simple_qa [c] code_discussion rag_simulation deep_technical ultra_long [b]"},
		{"replaces", map[string]string{"mine.yaml": file("ultra_long", 2)},
			"[ultra_long] simple_qa code_discussion rag_simulation deep_technical"},
		{"ignores", map[string]string{"a.txt": "no", "b.yaml.bak": "no", "README.md": "no", "yaml": "no", "new.yaml": file("new", 1)},
			"[new] " + builtins},
		{"twice", map[string]string{"a.yaml": file("new", 1), "b.yaml": "# again\n" + file("new", 1)},
			`! load conversations: DIR/b.yaml:2: id "new" is already used by DIR/a.yaml`},
		{"replaces twice", map[string]string{"a.yaml": file("simple_qa", 1), "b.yaml": file("simple_qa", 1)},
			`! load conversations: DIR/b.yaml:1: id "simple_qa" is already used by DIR/a.yaml`},
		{"broken", map[string]string{"a.yaml": "id: a\n"}, "! load conversations: DIR/a.yaml:1: title: is missing"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range c.files {
			write(t, dir, name, text)
		}
		t.Chdir(dir)
		for _, as := range []string{dir, dir + "/", "."} { // relative paths work, too
			all, err := Load(as)
			var ids []string
			for _, c := range all {
				if !strings.HasPrefix(c.File, "built-in:") {
					ids = append(ids, "["+c.ID+"]")
				} else if slices.Contains(c.Tags, TagCore) { // the others are not listed: their place depends on their sizes
					ids = append(ids, c.ID)
				}
			}
			got, want := strings.Join(ids, " "), strings.ReplaceAll(c.want, "DIR/", filepath.Clean(as)+"/")
			if as == "." {
				want = strings.ReplaceAll(c.want, "DIR/", "")
			}
			want = strings.ReplaceAll(want, "DIR ", as+" ")
			if err != nil {
				got = "! " + err.Error()
			}
			if got != want {
				t.Errorf("%s as %s: got %s\nwant %s", c.name, as, got, want)
			}
		}
	}
	_, err := Load(filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "load conversations: ") {
		t.Errorf("absent directory: %v", err)
	}
}

func TestPick(t *testing.T) {
	all := []*Conversation{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for _, c := range []struct {
		ids  []string
		want string
	}{
		{nil, "a b c"}, {[]string{"b"}, "b"}, {[]string{"c", "a"}, "c a"},
		{[]string{"a", "d"}, `! pick conversation "d": no conversation has this id; known are a, b, c`},
		{[]string{"A"}, `! pick conversation "A": no conversation has this id; did you mean a?`},
	} {
		picked, err := Pick(all, c.ids)
		var ids []string
		for _, p := range picked {
			ids = append(ids, p.ID)
		}
		got := strings.Join(ids, " ")
		if err != nil {
			got = "! " + err.Error()
		}
		if got != c.want {
			t.Errorf("%v: got %s, want %s", c.ids, got, c.want)
		}
	}
}

func TestDialogue(t *testing.T) {
	docs := []Document{{"d1", "First", "one\n"}, {"d2", "", "two"}}
	turns := []Turn{{User: "u1\n"}, {User: "u2", Inject: []string{"d1", "d2"}}, {User: "u3"}, {User: "u4", Remove: []string{"d1"}},
		{User: "u5", Remove: []string{"d2"}, Inject: []string{"d1"}}}
	const one, two = "# Document: First\n\none", "# Document: d2\n\ntwo"
	for _, c := range []struct{ system, want1, want2, want3, want4, want5 string }{
		{"sys\n", "sys", "sys\n\n" + one + "\n\n" + two, "sys\n\n" + one + "\n\n" + two, "sys\n\n" + two, "sys\n\n" + one},
		{"", "", one + "\n\n" + two, one + "\n\n" + two, two, one},
	} {
		conv := &Conversation{System: c.system, Documents: docs, Turns: turns}
		d := conv.Start(Style{})
		inContext := [][]string{nil, {"d1", "d2"}, {"d1", "d2"}, {"d2"}, {"d1"}}
		var history []Message
		for i, system := range []string{c.want1, c.want2, c.want3, c.want4, c.want5} {
			if !d.Next() || d.Turn() != i+1 || d.Current().User != turns[i].User {
				t.Fatalf("turn %d: next %v, turn %d, %+v", i+1, d.Next(), d.Turn(), d.Current())
			}
			var want []Message
			if system != "" {
				want = append(want, Message{"system", system})
			}
			user := Message{"user", fmt.Sprint("u", i+1)}
			want = append(append(want, history...), user)
			first := d.Prompt()
			if !reflect.DeepEqual(first.Messages, want) || !slices.Equal(first.Documents, inContext[i]) {
				t.Errorf("system %q turn %d: %v with %v\nwant %v with %v", c.system, i+1, first.Messages, first.Documents, want, inContext[i])
			}
			sum := first.SHA256()
			for k := range first.Messages { // changing one prompt must not change another
				first.Messages[k].Content = "changed"
			}
			for k := range first.Documents {
				first.Documents[k] = "changed"
			}
			if again := d.Prompt(); !reflect.DeepEqual(again.Messages, want) || !slices.Equal(again.Documents, inContext[i]) ||
				again.SHA256() != sum {
				t.Errorf("system %q turn %d asked again: %v with %v", c.system, i+1, again.Messages, again.Documents)
			}
			reply := fmt.Sprint("r", i+1)
			d.Reply(reply)
			history = append(history, user, Message{"assistant", reply})
		}
		if d.Next() {
			t.Error("a sixth turn")
		}
		if !reflect.DeepEqual(conv, &Conversation{System: c.system, Documents: docs, Turns: turns}) {
			t.Error("walking changed the conversation")
		}
	}
}

func TestHashes(t *testing.T) {
	m := func(role, content string) Message { return Message{role, content} }
	prompts := []Prompt{{}, {Messages: []Message{m("user", "")}}, {Messages: []Message{m("user", "ab")}},
		{Messages: []Message{m("system", "ab")}}, {Messages: []Message{m("user", "a"), m("user", "b")}},
		{Messages: []Message{m("user", "b"), m("user", "a")}}, {Messages: []Message{m("user", "auser\x001\x00b")}},
		{Messages: []Message{m("user", "a"), m("user", "b"), m("user", "")}}}
	seen := map[string]int{}
	for i, p := range prompts {
		if k, ok := seen[p.SHA256()]; ok {
			t.Errorf("prompts %d and %d have one hash", k, i)
		}
		seen[p.SHA256()] = i
		same := Prompt{Messages: slices.Clone(p.Messages), Documents: []string{"named, not sent"}}
		if same.SHA256() != p.SHA256() {
			t.Errorf("prompt %d has two hashes", i)
		}
	}
	messages := []Message{m("user", "a"), m("assistant", "a"), m("user", "b"), m("user", ""), m("usera", "")}
	seen = map[string]int{}
	for i, x := range messages {
		if k, ok := seen[x.SHA256()]; ok {
			t.Errorf("messages %d and %d have one hash", k, i)
		}
		seen[x.SHA256()] = i
	}
	// sha256sum of "user", a zero byte and "hi"
	if got := m("user", "hi").SHA256(); got != "977de55195f71d5ee5f9b554f947f951e5f517ea0edf152ad00a6d54e1bb5433" {
		t.Errorf("hash is %s", got)
	}
}

func FuzzConversation(f *testing.F) {
	for _, s := range []string{head + "turns:\n  - user: hi\n",
		head + "documents:\n  - {id: d, text: x}\nturns:\n  - user: hi\n    inject: [d]\n  - user: ho\n    remove: [d]\n    inject: [d]\n",
		`{"id": "a", "title": "T", "turns": [{"user": "h\u00e9", "checks": ["x"]}]}`, head + "turns: &x\n  - *x\n", "---\n" + head, "id: [a",
		"\ufeffid: !!binary aGk="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if err != nil {
			var fe *FileError
			if !errors.As(err, &fe) || c != nil || fe.Line < 0 || fe.Line > len(text)+1 {
				t.Errorf("got %v, %v", c, err)
			}
			return
		}
		if len(c.SHA256()) != 64 {
			t.Errorf("hash %q", c.SHA256())
		}
		steps := 0
		for d := c.Start(Style{}); d.Next(); steps++ {
			p := d.Prompt()
			last := p.Messages[len(p.Messages)-1]
			if last.Role != "user" || d.Turn() != steps+1 || p.SHA256() != d.Prompt().SHA256() || len(p.Messages) < 2*steps+1 ||
				len(p.Messages) > 2*steps+2 {
				t.Errorf("turn %d: %+v", d.Turn(), p)
			}
			d.Reply("ok " + d.Current().Assistant)
		}
		if steps != len(c.Turns) {
			t.Errorf("%d of %d turns", steps, len(c.Turns))
		}
	})
}
