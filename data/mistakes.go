package data

import (
	"fmt"
	"slices"
	"strings"
)

// at returns a path in a file: names, and numbers from 0.
func at(path ...any) []any { return path }

// problem returns the first mistake of the conversation and its path in the file. msg is "" when there is none.
func (c *Conversation) problem() (where []any, msg string) {
	if where, msg = c.headProblem(); msg != "" || c.Generate != nil {
		return where, msg
	}
	if where, msg = c.documentProblem(); msg != "" {
		return where, msg
	}
	context := documentsInUse{in: map[string]bool{}, used: map[string]bool{}, known: map[string]bool{}}
	for _, d := range c.Documents {
		context.known[d.ID] = true
	}
	for i, t := range c.Turns {
		if key, msg := t.problem(); msg != "" {
			return at(append([]any{"turns", i}, key...)...), fmt.Sprintf("turn %d: %s", i+1, msg)
		}
		if key, msg := context.after(t); msg != "" {
			return at("turns", i, key), fmt.Sprintf("turn %d %s", i+1, msg)
		}
	}
	for i, d := range c.Documents {
		if !context.used[d.ID] {
			return at("documents", i, "id"), fmt.Sprintf("document %q is never injected", d.ID)
		}
	}
	return nil, ""
}

// headProblem looks for a mistake outside of the documents and the turns.
func (c *Conversation) headProblem() (where []any, msg string) {
	switch {
	case !idPattern.MatchString(c.ID):
		return at("id"), fmt.Sprintf("id %q: wants letters, digits, '_', '-' and '.', at most 64", c.ID)
	case strings.TrimSpace(c.Title) == "":
		return at("title"), "title: is missing"
	case c.ExpectedTokens < 0:
		return at("expected_tokens"), "expected_tokens: is negative"
	case c.Generate != nil && len(c.Turns)+len(c.Documents) > 0:
		return at("generate"), "generate: makes documents and turns; the file cannot list others as well"
	case c.Generate != nil:
		return at("generate"), c.Generate.problem()
	case len(c.Turns) == 0:
		return at("turns"), "turns: a conversation needs at least one"
	case len(c.Turns) > MaxTurns:
		return at("turns"), fmt.Sprintf("turns: more than %d", MaxTurns)
	}
	return nil, ""
}

// documentProblem looks for a mistake in the list of documents.
func (c *Conversation) documentProblem() (where []any, msg string) {
	known := map[string]bool{}
	for i, d := range c.Documents {
		switch {
		case !idPattern.MatchString(d.ID):
			return at("documents", i, "id"), fmt.Sprintf("document id %q: wants letters, digits, '_', '-' and '.', at most 64", d.ID)
		case known[d.ID]:
			return at("documents", i, "id"), fmt.Sprintf("document %q is listed twice", d.ID)
		case strings.TrimSpace(d.Text) == "":
			return at("documents", i), fmt.Sprintf("document %q has no text", d.ID)
		}
		known[d.ID] = true
	}
	return nil, ""
}

// problem looks for a mistake in the turn alone. key is where it is.
func (t Turn) problem() (key []any, msg string) {
	switch {
	case strings.TrimSpace(t.User) == "":
		return nil, "user: is missing"
	case t.MaxTokens < 0:
		return at("max_tokens"), "max_tokens: is negative"
	case slices.Contains(t.Checks, ""):
		return at("checks"), "checks: one is empty"
	case t.Retrieve != nil && len(t.Inject)+len(t.Remove) > 0:
		return at("retrieve"), "retrieve sets the whole context; the turn cannot have inject or remove as well"
	}
	return nil, ""
}

// documentsInUse follows the documents of a conversation through its turns, by their ids.
type documentsInUse struct {
	known map[string]bool // the file has this document
	in    map[string]bool // it is in the context
	used  map[string]bool // some turn put it into the context
}

// after applies the changes of a turn. It returns the first mistake and the key where it is.
func (d documentsInUse) after(t Turn) (key, msg string) {
	if t.Retrieve != nil {
		clear(d.in)
	}
	for _, id := range t.Retrieve {
		if !d.known[id] {
			return "retrieve", fmt.Sprintf("retrieves document %q, which the file does not have", id)
		}
		if d.in[id] {
			return "retrieve", fmt.Sprintf("retrieves document %q twice", id)
		}
		d.in[id], d.used[id] = true, true
	}
	for _, id := range t.Remove {
		if !d.in[id] {
			return "remove", fmt.Sprintf("removes document %q, which is not in the context", id)
		}
		delete(d.in, id)
	}
	for _, id := range t.Inject {
		if !d.known[id] {
			return "inject", fmt.Sprintf("injects document %q, which the file does not have", id)
		}
		if d.in[id] {
			return "inject", fmt.Sprintf("injects document %q, which is in the context already", id)
		}
		d.in[id], d.used[id] = true, true
	}
	return "", ""
}
