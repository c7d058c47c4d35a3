// Package data is everything that decides what is in a prompt: conversations, their documents, and how both become
// messages.
package data

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

//go:embed conversations/*.yaml
var builtin embed.FS

// Conversation is a multi-turn dialogue as a data file describes it.
type Conversation struct {
	ID             string     `yaml:"id" json:"id"`
	Title          string     `yaml:"title" json:"title"`
	About          string     `yaml:"about" json:"about,omitempty"`
	Tags           []string   `yaml:"tags" json:"tags,omitempty"`
	Domain         string     `yaml:"domain" json:"domain,omitempty"`
	ExpectedTokens int        `yaml:"expected_tokens" json:"expected_tokens,omitempty"` // tokens of all its texts, documents and the file's own replies included
	Language       string     `yaml:"language" json:"language,omitempty"`               // of the texts, such as en or de; "" is en
	Generate       *Generate  `yaml:"generate" json:"generate,omitempty"`               // documents and turns are made from this
	System         string     `yaml:"system" json:"system,omitempty"`
	Documents      []Document `yaml:"documents" json:"documents,omitempty"`
	Turns          []Turn     `yaml:"turns" json:"turns"`

	File string `yaml:"-" json:"-"` // where it was read from
}

// Document is retrieved text that turns inject into the context and remove again.
type Document struct {
	ID    string `yaml:"id" json:"id"`
	Title string `yaml:"title" json:"title,omitempty"`
	Text  string `yaml:"text" json:"text"`
}

// Turn is one user message.
type Turn struct {
	User      string   `yaml:"user" json:"user"`
	Assistant string   `yaml:"assistant" json:"assistant,omitempty"` // the file's own reply, for sizing and for scripted runs
	Inject    []string `yaml:"inject" json:"inject,omitempty"`       // documents in the context from this turn on
	Remove    []string `yaml:"remove" json:"remove,omitempty"`       // documents taken out before this turn
	MaxTokens int      `yaml:"max_tokens" json:"max_tokens,omitempty"`
	Retrieve  []string `yaml:"retrieve" json:"retrieve,omitzero"` // exactly these documents, in this order, from this turn on
	Checks    []string `yaml:"checks" json:"checks,omitempty"`    // facts a good answer contains
}

// Passed counts the checks of a turn that a reply meets: texts it contains, letter case aside.
func (t Turn) Passed(reply string) int32 {
	n := int32(0)
	for _, c := range t.Checks {
		if strings.Contains(strings.ToLower(reply), strings.ToLower(c)) {
			n++
		}
	}
	return n
}

// Limits on data files; more is a mistake, not a conversation.
const (
	MaxFileBytes = 16 << 20
	MaxTurns     = 1000
)

// FileError is a mistake in a data file.
type FileError struct {
	File string
	Line int // from 1; 0 when the whole file is meant
	Msg  string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Parse reads a conversation from YAML (or JSON, which is YAML). Unknown keys, missing parts and references to documents
// that are not there are a *FileError with the line.
func Parse(file string, text []byte) (c *Conversation, err error) {
	if len(text) > MaxFileBytes {
		return nil, &FileError{file, 0, fmt.Sprintf("larger than %d bytes", MaxFileBytes)}
	}
	defer func() { // the YAML parser has panicked on damaged input; that is the file's fault, not a reason to die
		if p := recover(); p != nil {
			c, err = nil, &FileError{file, 0, fmt.Sprintf("not YAML: %v", p)}
		}
	}()
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for n, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, &FileError{file, n + 1, "not UTF-8"}
		}
	}
	c = &Conversation{File: file}
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := dec.Decode(c); err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			return nil, &FileError{file, ye.GetToken().Position.Line, ye.GetMessage()}
		}
		if errors.Is(err, io.EOF) {
			return nil, &FileError{file, 0, "is empty"}
		}
		return nil, &FileError{file, 0, firstLine(err.Error())}
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) && (err != nil || more != nil) {
		return nil, &FileError{file, lineOfSecond(text), "a second document begins; each conversation has a file of its own"}
	}
	if path, msg := c.problem(); msg != "" {
		return nil, &FileError{file, lineOf(text, path), msg}
	}
	return c, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// lineOf finds the line of a YAML path such as "$.turns[2].inject"; where the path is missing, that of its parent.
func lineOf(text []byte, at string) int {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return 0
	}
	for at != "" {
		if p, err := yaml.PathString(at); err == nil {
			if n, err := p.FilterFile(f); err == nil && n != nil && n.GetToken() != nil {
				return n.GetToken().Position.Line
			}
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut <= 0 {
			break
		}
		at = at[:cut]
	}
	return 1
}

// lineOfSecond finds where the second document of a file begins.
func lineOfSecond(text []byte) int {
	f, err := parser.ParseBytes(text, 0)
	if err != nil || len(f.Docs) < 2 || f.Docs[1].Body == nil {
		return 0
	}
	return f.Docs[1].Body.GetToken().Position.Line
}

// problem gives the first mistake and its YAML path; "" when there is none.
func (c *Conversation) problem() (at, msg string) {
	if !idPattern.MatchString(c.ID) {
		return "$.id", fmt.Sprintf("id %q: wants letters, digits, '_', '-' and '.', at most 64", c.ID)
	}
	if strings.TrimSpace(c.Title) == "" {
		return "$.title", "title: is missing"
	}
	if c.ExpectedTokens < 0 {
		return "$.expected_tokens", "expected_tokens: is negative"
	}
	if c.Generate != nil {
		if len(c.Turns)+len(c.Documents) > 0 {
			return "$.generate", "generate: makes documents and turns; the file cannot have its own beside it"
		}
		if msg := c.Generate.problem(); msg != "" {
			return "$.generate", msg
		}
		return "", ""
	}
	if len(c.Turns) == 0 {
		return "$.turns", "turns: a conversation needs at least one"
	}
	if len(c.Turns) > MaxTurns {
		return "$.turns", fmt.Sprintf("turns: more than %d", MaxTurns)
	}
	known := map[string]bool{}
	for i, d := range c.Documents {
		where := fmt.Sprintf("$.documents[%d]", i)
		switch {
		case !idPattern.MatchString(d.ID):
			return where + ".id", fmt.Sprintf("document id %q: wants letters, digits, '_', '-' and '.', at most 64", d.ID)
		case known[d.ID]:
			return where + ".id", fmt.Sprintf("document %q is there twice", d.ID)
		case strings.TrimSpace(d.Text) == "":
			return where, fmt.Sprintf("document %q has no text", d.ID)
		}
		known[d.ID] = true
	}
	in := map[string]bool{}
	used := map[string]bool{}
	for i, t := range c.Turns {
		where := fmt.Sprintf("$.turns[%d]", i)
		if strings.TrimSpace(t.User) == "" {
			return where, fmt.Sprintf("turn %d: user: is missing", i+1)
		}
		if t.MaxTokens < 0 {
			return where + ".max_tokens", fmt.Sprintf("turn %d: max_tokens: is negative", i+1)
		}
		if slices.Contains(t.Checks, "") {
			return where + ".checks", fmt.Sprintf("turn %d: checks: one is empty", i+1)
		}
		if t.Retrieve != nil {
			if len(t.Inject)+len(t.Remove) > 0 {
				return where + ".retrieve", fmt.Sprintf("turn %d: retrieve says what is in the context; inject and remove cannot stand beside it", i+1)
			}
			clear(in)
			for _, id := range t.Retrieve {
				if !known[id] {
					return where + ".retrieve", fmt.Sprintf("turn %d retrieves document %q, which the file does not have", i+1, id)
				}
				if in[id] {
					return where + ".retrieve", fmt.Sprintf("turn %d retrieves document %q twice", i+1, id)
				}
				in[id], used[id] = true, true
			}
		}
		for _, id := range t.Remove {
			if !in[id] {
				return where + ".remove", fmt.Sprintf("turn %d removes document %q, which is not in the context", i+1, id)
			}
			delete(in, id)
		}
		for _, id := range t.Inject {
			if !known[id] {
				return where + ".inject", fmt.Sprintf("turn %d injects document %q, which the file does not have", i+1, id)
			}
			if in[id] {
				return where + ".inject", fmt.Sprintf("turn %d injects document %q, which is in the context already", i+1, id)
			}
			in[id], used[id] = true, true
		}
	}
	for i, d := range c.Documents {
		if !used[d.ID] {
			return fmt.Sprintf("$.documents[%d].id", i), fmt.Sprintf("document %q is never injected", d.ID)
		}
	}
	return "", ""
}

// YAML writes the conversation as a file.
func (c *Conversation) YAML() ([]byte, error) {
	b, err := yaml.MarshalWithOptions(c, yaml.UseLiteralStyleIfMultiline(true), yaml.OmitEmpty())
	if err != nil {
		return nil, fmt.Errorf("write conversation %s: %w", c.ID, err)
	}
	return b, nil
}

// SHA256 identifies the conversation's content: equal for equal conversations, whatever the file looks like.
func (c *Conversation) SHA256() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("data: marshal conversation: " + err.Error()) // strings and numbers always marshal
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Load gives the built-in conversations in the order of their expected size, and those of dir (if not ""): a file there
// with the id of a built-in one replaces it.
func Load(dir string) ([]*Conversation, error) {
	var all []*Conversation
	own := map[string]bool{} // ids that a file of dir has taken
	add := func(file string, text []byte, embedded bool) error {
		c, err := Parse(file, text)
		if err != nil {
			return err
		}
		taken := own[c.ID]
		own[c.ID] = !embedded
		if i := slices.IndexFunc(all, func(o *Conversation) bool { return o.ID == c.ID }); i >= 0 {
			if embedded || taken {
				return &FileError{file, lineOf(text, "$.id"), fmt.Sprintf("id %q is taken by %s", c.ID, all[i].File)}
			}
			all[i] = c
			return nil
		}
		all = append(all, c)
		return nil
	}
	names, err := fs.Glob(builtin, "conversations/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("load conversations: %w", err)
	}
	for _, n := range names {
		text, err := fs.ReadFile(builtin, n)
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
		if err := add("built-in:"+path.Base(n), text, true); err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
	}
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
		files := 0
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); e.IsDir() || (ext != ".yaml" && ext != ".yml" && ext != ".json") {
				continue
			}
			files++
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, fmt.Errorf("load conversations: %w", err)
			}
			if err := add(filepath.Join(dir, e.Name()), text, false); err != nil {
				return nil, fmt.Errorf("load conversations: %w", err)
			}
		}
		if files == 0 {
			return nil, fmt.Errorf("load conversations: %s holds no .yaml, .yml or .json file", dir)
		}
	}
	slices.SortStableFunc(all, func(a, b *Conversation) int { return a.Tokens() - b.Tokens() })
	return all, nil
}

// Pick gives the conversations with these ids, in that order; none named means all.
func Pick(all []*Conversation, ids []string) ([]*Conversation, error) {
	if len(ids) == 0 {
		return all, nil
	}
	var out []*Conversation
	for _, id := range ids {
		i := slices.IndexFunc(all, func(c *Conversation) bool { return c.ID == id })
		if i < 0 {
			var known []string
			for _, c := range all {
				known = append(known, c.ID)
			}
			return nil, fmt.Errorf("pick conversation %q: there is none of that id; there are %s", id, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}
