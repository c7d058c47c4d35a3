// Package data is everything that decides what is in a prompt: conversations, their documents, and how both become
// messages.
package data

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"wb/data/yamlfile"
)

// Conversation is a multi-turn dialogue as a data file describes it.
type Conversation struct {
	ID     string   `yaml:"id" json:"id"`
	Title  string   `yaml:"title" json:"title"`
	About  string   `yaml:"about" json:"about,omitempty"`
	Tags   []string `yaml:"tags" json:"tags,omitempty"`
	Domain string   `yaml:"domain" json:"domain,omitempty"`
	// tokens of all its texts, documents and the file's own replies included
	ExpectedTokens int        `yaml:"expected_tokens" json:"expected_tokens,omitempty"`
	Language       string     `yaml:"language" json:"language,omitempty"` // of the texts, such as en or de; "" is en
	Generate       *Generate  `yaml:"generate" json:"generate,omitempty"` // documents and turns are made from this
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
