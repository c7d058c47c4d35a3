// Package data decides what is in a prompt. It reads conversations and their documents, generates long ones, turns both into
// messages, and renders messages with chat templates. It also knows the shapes of models, which tell how much work a token is.
//
// It must not know servers, requests, measurements or the database file.
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

// Conversation is a dialogue of several turns, as a data file describes it.
type Conversation struct {
	ID     string   `yaml:"id" json:"id"`
	Title  string   `yaml:"title" json:"title"`
	About  string   `yaml:"about" json:"about,omitempty"`
	Tags   []string `yaml:"tags" json:"tags,omitempty"`
	Domain string   `yaml:"domain" json:"domain,omitempty"`
	// of the longest prompt with the replies in the file, by the tokeniser of SmolLM2; 0: estimated from the length of the texts
	ExpectedTokens int        `yaml:"expected_tokens" json:"expected_tokens,omitempty"`
	Language       string     `yaml:"language" json:"language,omitempty"` // of the texts, such as en or de; "" means en
	Generate       *Generate  `yaml:"generate" json:"generate,omitempty"` // makes the documents and the turns; nil when the file lists them
	System         string     `yaml:"system" json:"system,omitempty"`
	Documents      []Document `yaml:"documents" json:"documents,omitempty"`
	Turns          []Turn     `yaml:"turns" json:"turns"`

	File string `yaml:"-" json:"-"` // path it was read from, or built-in:NAME
}

// Document is retrieved text. Turns put it into the context and take it out again.
type Document struct {
	ID    string `yaml:"id" json:"id"`
	Title string `yaml:"title" json:"title,omitempty"`
	Text  string `yaml:"text" json:"text"`
}

// Turn is one user message.
type Turn struct {
	User      string   `yaml:"user" json:"user"`
	Assistant string   `yaml:"assistant" json:"assistant,omitempty"` // the file's reply, for sizes and for scripted runs
	Inject    []string `yaml:"inject" json:"inject,omitempty"`       // documents that enter the context at this turn
	Remove    []string `yaml:"remove" json:"remove,omitempty"`       // documents that leave the context before this turn
	MaxTokens int      `yaml:"max_tokens" json:"max_tokens,omitempty"`
	Retrieve  []string `yaml:"retrieve" json:"retrieve,omitzero"` // from this turn on the context holds exactly these documents, in this order
	Checks    []string `yaml:"checks" json:"checks,omitempty"`    // texts that a good answer contains
}

// Passed returns how many of the turn's checks the reply contains. Letter case does not matter.
func (t Turn) Passed(reply string) int32 {
	n := int32(0)
	for _, c := range t.Checks {
		if strings.Contains(strings.ToLower(reply), strings.ToLower(c)) {
			n++
		}
	}
	return n
}

// Limits of a data file. A file beyond them is refused as a mistake.
const (
	MaxFileBytes = 16 << 20
	MaxTurns     = 1000
)

// FileError is a mistake in a data file, with the file's name and the line.
type FileError = yamlfile.Error

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Parse reads a conversation from YAML or JSON. The name of the file appears in errors. Unknown keys, missing parts and
// references to unknown documents give a *FileError with the line.
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

// ReadFile parses the file at path, which must be a regular file.
func ReadFile(path string) (*Conversation, error) {
	text, err := yamlfile.Read(path, MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// YAML returns the conversation as the text of a YAML file.
func (c *Conversation) YAML() ([]byte, error) {
	b, err := yamlfile.Write(c)
	if err != nil {
		return nil, fmt.Errorf("write conversation %s: %w", c.ID, err)
	}
	return b, nil
}

// SHA256 identifies the content of the conversation, as hex digits. It does not depend on the name or the layout of the file.
func (c *Conversation) SHA256() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("data: marshal conversation: " + err.Error()) // cannot happen: strings and numbers always marshal
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
