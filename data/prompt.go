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

// SHA256 identifies a message by its role and text, as hex digits.
func (m Message) SHA256() string {
	h := sha256.Sum256([]byte(m.Role + "\x00" + m.Content))
	return hex.EncodeToString(h[:])
}

// Prompt is the content of one request.
type Prompt struct {
	Messages  []Message
	Documents []string // ids of the documents in the messages, in order
}

// SHA256 identifies a prompt by its messages, as hex digits.
func (p Prompt) SHA256() string {
	h := sha256.New()
	for _, m := range p.Messages {
		fmt.Fprintf(h, "%s\x00%d\x00%s", m.Role, len(m.Content), m.Content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Placement is where documents stand in a prompt. It decides how much of the prompt stays cached when the documents change.
type Placement string

// The placements. Documents are never part of the history: each prompt places the documents of its turn anew.
const (
	PlaceSystem     Placement = "system"      // at the end of the system prompt
	PlaceFirstUser  Placement = "first-user"  // before the text of the first user message
	PlaceBeforeLast Placement = "before-last" // after the history, before the text of the last user message
	PlaceAppend     Placement = "append"      // after the history, after the text of the last user message
)

// Placements lists all placements, the earliest place in the prompt first.
func Placements() []Placement {
	return []Placement{PlaceSystem, PlaceFirstUser, PlaceBeforeLast, PlaceAppend}
}

// Style is how a conversation is played.
type Style struct {
	Placement Placement // "" means system
	Scripted  bool      // the history holds the file's replies, where it has them, and not the model's
	Head      string    // text before the first message of every prompt; "" for none
}

// Dialogue walks through a conversation. Prompt returns the next request, and Reply takes the answer to it.
type Dialogue struct {
	conv    *Conversation
	style   Style
	turn    int
	docs    []string // ids in the context, in order
	history []Message
}

// Start begins a conversation.
func (c *Conversation) Start(s Style) *Dialogue {
	if s.Placement == "" {
		s.Placement = PlaceSystem
	}
	return &Dialogue{conv: c, style: s}
}

// Next reports whether there is another turn.
func (d *Dialogue) Next() bool { return d.turn < len(d.conv.Turns) }

// Turn returns the number of the coming turn, from 1.
func (d *Dialogue) Turn() int { return d.turn + 1 }

// Current returns the coming turn as the file describes it.
func (d *Dialogue) Current() Turn { return d.conv.Turns[d.turn] }

// documents returns the ids of the documents in the context of the coming turn.
func (d *Dialogue) documents() []string {
	t := d.conv.Turns[d.turn]
	if t.Retrieve != nil {
		return slices.Clone(t.Retrieve)
	}
	docs := slices.DeleteFunc(slices.Clone(d.docs), func(id string) bool { return slices.Contains(t.Remove, id) })
	return append(docs, t.Inject...)
}

// block returns the text of these documents as it stands in a prompt.
func (c *Conversation) block(ids []string) string {
	var parts []string
	for _, id := range ids {
		i := slices.IndexFunc(c.Documents, func(x Document) bool { return x.ID == id })
		doc := c.Documents[i]
		title := doc.Title
		if title == "" {
			title = doc.ID
		}
		parts = append(parts, "# Document: "+title+"\n\n"+strings.TrimRight(doc.Text, "\n"))
	}
	return strings.Join(parts, "\n\n")
}

// Prompt builds the request of the coming turn. It can be called repeatedly and changes nothing.
func (d *Dialogue) Prompt() Prompt {
	p := Prompt{Documents: d.documents()}
	system, block := strings.TrimRight(d.conv.System, "\n"), d.conv.block(p.Documents)
	join := func(a, b string) string {
		if a == "" || b == "" {
			return a + b
		}
		return a + "\n\n" + b
	}
	if d.style.Placement == PlaceSystem {
		system = join(system, block)
	}
	if system != "" {
		p.Messages = append(p.Messages, Message{"system", system})
	}
	first := len(p.Messages)
	p.Messages = append(p.Messages, d.history...)
	p.Messages = append(p.Messages, d.user())
	last := len(p.Messages) - 1
	switch d.style.Placement {
	case PlaceFirstUser:
		p.Messages[first].Content = join(block, p.Messages[first].Content)
	case PlaceBeforeLast:
		p.Messages[last].Content = join(block, p.Messages[last].Content)
	case PlaceAppend:
		p.Messages[last].Content = join(p.Messages[last].Content, block)
	}
	p.Messages[0].Content = join(d.style.Head, p.Messages[0].Content)
	return p
}

// user returns the user message of the coming turn, without documents.
func (d *Dialogue) user() Message {
	return Message{"user", strings.TrimRight(d.conv.Turns[d.turn].User, "\n")}
}

// Answer returns the text that goes into the history for a reply of the model: in a scripted run the scripted reply, if there is one.
func (d *Dialogue) Answer(text string) string {
	if scripted := d.Current().Assistant; d.style.Scripted && scripted != "" {
		return strings.TrimRight(scripted, "\n")
	}
	return text
}

// Reply ends the turn. The user message and the answer become part of the history; in a scripted run the answer is that of the
// file. An empty answer adds no message.
func (d *Dialogue) Reply(text string) {
	text = d.Answer(text)
	d.docs = d.documents()
	d.history = append(d.history, d.user())
	if text != "" {
		d.history = append(d.history, Message{"assistant", text})
	}
	d.turn++
}
