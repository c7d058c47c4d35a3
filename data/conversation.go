// Package data is everything that decides what is in a prompt: conversations, their documents, and how both become
// messages.
package data

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"wb/data/yamlfile"
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
type FileError = yamlfile.Error

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Parse reads a conversation from YAML or JSON. Unknown keys, missing parts and references to documents that are not there
// are a *FileError with the line.
func Parse(file string, text []byte) (*Conversation, error) {
	root, err := yamlfile.Parse(file, text, MaxFileBytes)
	if err != nil {
		return nil, err
	}
	c := &Conversation{File: file}
	if err := root.Decode(file, c); err != nil {
		return nil, err
	}
	if at, msg := c.problem(); msg != "" {
		return nil, &FileError{File: file, Line: root.At(at...), Msg: msg}
	}
	return c, nil
}

// ReadFile is Parse of a file, which must be a regular one.
func ReadFile(path string) (*Conversation, error) {
	text, err := yamlfile.Read(path, MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// idLine is where the id of a file stands that was read before; 0 when it cannot be read again.
func idLine(path string) int {
	text, err := yamlfile.Read(path, MaxFileBytes)
	if err != nil {
		return 0
	}
	root, err := yamlfile.Parse(path, text, MaxFileBytes)
	if err != nil {
		return 0
	}
	return root.At("id")
}

// at is a path in a file: names, and numbers from 0.
func at(path ...any) []any { return path }

// problem gives the first mistake and where it is; "" when there is none.
func (c *Conversation) problem() (where []any, msg string) {
	if !idPattern.MatchString(c.ID) {
		return at("id"), fmt.Sprintf("id %q: wants letters, digits, '_', '-' and '.', at most 64", c.ID)
	}
	if strings.TrimSpace(c.Title) == "" {
		return at("title"), "title: is missing"
	}
	if c.ExpectedTokens < 0 {
		return at("expected_tokens"), "expected_tokens: is negative"
	}
	if c.Generate != nil {
		if len(c.Turns)+len(c.Documents) > 0 {
			return at("generate"), "generate: makes documents and turns; the file cannot have its own beside it"
		}
		if msg := c.Generate.problem(); msg != "" {
			return at("generate"), msg
		}
		return nil, ""
	}
	if len(c.Turns) == 0 {
		return at("turns"), "turns: a conversation needs at least one"
	}
	if len(c.Turns) > MaxTurns {
		return at("turns"), fmt.Sprintf("turns: more than %d", MaxTurns)
	}
	known := map[string]bool{}
	for i, d := range c.Documents {
		switch {
		case !idPattern.MatchString(d.ID):
			return at("documents", i, "id"), fmt.Sprintf("document id %q: wants letters, digits, '_', '-' and '.', at most 64", d.ID)
		case known[d.ID]:
			return at("documents", i, "id"), fmt.Sprintf("document %q is there twice", d.ID)
		case strings.TrimSpace(d.Text) == "":
			return at("documents", i), fmt.Sprintf("document %q has no text", d.ID)
		}
		known[d.ID] = true
	}
	in := map[string]bool{}
	used := map[string]bool{}
	for i, t := range c.Turns {
		if strings.TrimSpace(t.User) == "" {
			return at("turns", i), fmt.Sprintf("turn %d: user: is missing", i+1)
		}
		if t.MaxTokens < 0 {
			return at("turns", i, "max_tokens"), fmt.Sprintf("turn %d: max_tokens: is negative", i+1)
		}
		if slices.Contains(t.Checks, "") {
			return at("turns", i, "checks"), fmt.Sprintf("turn %d: checks: one is empty", i+1)
		}
		if t.Retrieve != nil {
			if len(t.Inject)+len(t.Remove) > 0 {
				return at("turns", i, "retrieve"),
					fmt.Sprintf("turn %d: retrieve says what is in the context; inject and remove cannot stand beside it", i+1)
			}
			clear(in)
			for _, id := range t.Retrieve {
				if !known[id] {
					return at("turns", i, "retrieve"), fmt.Sprintf("turn %d retrieves document %q, which the file does not have", i+1, id)
				}
				if in[id] {
					return at("turns", i, "retrieve"), fmt.Sprintf("turn %d retrieves document %q twice", i+1, id)
				}
				in[id], used[id] = true, true
			}
		}
		for _, id := range t.Remove {
			if !in[id] {
				return at("turns", i, "remove"), fmt.Sprintf("turn %d removes document %q, which is not in the context", i+1, id)
			}
			delete(in, id)
		}
		for _, id := range t.Inject {
			if !known[id] {
				return at("turns", i, "inject"), fmt.Sprintf("turn %d injects document %q, which the file does not have", i+1, id)
			}
			if in[id] {
				return at("turns", i, "inject"), fmt.Sprintf("turn %d injects document %q, which is in the context already", i+1, id)
			}
			in[id], used[id] = true, true
		}
	}
	for i, d := range c.Documents {
		if !used[d.ID] {
			return at("documents", i, "id"), fmt.Sprintf("document %q is never injected", d.ID)
		}
	}
	return nil, ""
}

// YAML writes the conversation as a file.
func (c *Conversation) YAML() ([]byte, error) {
	b, err := yamlfile.Write(c)
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
	add := func(c *Conversation, embedded bool) error {
		taken := own[c.ID]
		own[c.ID] = !embedded
		if i := slices.IndexFunc(all, func(o *Conversation) bool { return o.ID == c.ID }); i >= 0 {
			if embedded || taken {
				return &FileError{File: c.File, Line: idLine(c.File), Msg: fmt.Sprintf("id %q is taken by %s", c.ID, all[i].File)}
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
		c, err := Parse("built-in:"+path.Base(n), text)
		if err == nil {
			err = add(c, true)
		}
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
	}
	if dir != "" {
		files, err := Files(dir)
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
		for _, f := range files {
			c, err := ReadFile(f)
			if err == nil {
				err = add(c, false)
			}
			if err != nil {
				return nil, fmt.Errorf("load conversations: %w", err)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *Conversation) int { return a.Tokens() - b.Tokens() })
	return all, nil
}

// Files lists the conversation files of a directory: those that IsFile.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if p := filepath.Join(dir, e.Name()); IsFile(p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file", dir)
	}
	return out, nil
}

// IsFile says whether a path ends in .yaml, .yml or .json and leads to a regular file that is not hidden. Editors and other systems leave
// hidden files beside those that are meant (.talk.yaml.swp, ._talk.yaml), and who reads a pipe waits for its writer.
func IsFile(path string) bool {
	if strings.HasPrefix(filepath.Base(path), ".") || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
		return false
	}
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
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
