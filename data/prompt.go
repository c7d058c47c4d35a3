package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Message is one message of a prompt.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// SHA256 identifies a message by role and text.
func (m Message) SHA256() string {
	h := sha256.Sum256([]byte(m.Role + "\x00" + m.Content))
	return hex.EncodeToString(h[:])
}

// Prompt is what one request carries.
type Prompt struct {
	Messages  []Message
	Documents []string // ids of the documents in it, in order
}

// SHA256 identifies a prompt by the messages in it.
func (p Prompt) SHA256() string {
	h := sha256.New()
	for _, m := range p.Messages {
		fmt.Fprintf(h, "%s\x00%d\x00%s", m.Role, len(m.Content), m.Content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Dialogue walks through a conversation: Prompt gives the next request, Reply takes the answer.
type Dialogue struct {
	conv    *Conversation
	turn    int
	docs    []string // ids in the context, in the order they came
	history []Message
}

// Start begins a conversation.
func (c *Conversation) Start() *Dialogue { return &Dialogue{conv: c} }

// Next says whether there is another turn.
func (d *Dialogue) Next() bool { return d.turn < len(d.conv.Turns) }

// Turn is the number of the coming turn, from 1.
func (d *Dialogue) Turn() int { return d.turn + 1 }

// Current is the coming turn as the file describes it.
func (d *Dialogue) Current() Turn { return d.conv.Turns[d.turn] }

// Prompt builds the request of the coming turn. Documents stand at the end of the system prompt, where most RAG programs
// put them: what follows is invalidated in the prefix cache whenever one comes or goes.
func (d *Dialogue) Prompt() Prompt {
	t := d.conv.Turns[d.turn]
	docs := slices.DeleteFunc(slices.Clone(d.docs), func(id string) bool { return slices.Contains(t.Remove, id) })
	docs = append(docs, t.Inject...)
	var p Prompt
	system := strings.TrimRight(d.conv.System, "\n")
	for _, id := range docs {
		i := slices.IndexFunc(d.conv.Documents, func(x Document) bool { return x.ID == id })
		doc := d.conv.Documents[i]
		title := doc.Title
		if title == "" {
			title = doc.ID
		}
		if system != "" {
			system += "\n\n"
		}
		system += "# Document: " + title + "\n\n" + strings.TrimRight(doc.Text, "\n")
	}
	if system != "" {
		p.Messages = append(p.Messages, Message{"system", system})
	}
	p.Messages = append(p.Messages, d.history...)
	p.Messages = append(p.Messages, Message{"user", strings.TrimRight(t.User, "\n")})
	p.Documents = docs
	return p
}

// Reply ends the turn: the user's message and this answer become history.
func (d *Dialogue) Reply(text string) {
	p := d.Prompt()
	d.docs = p.Documents
	d.history = append(d.history, p.Messages[len(p.Messages)-1], Message{"assistant", text})
	d.turn++
}
