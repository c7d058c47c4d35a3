package data

import "math"

// Sending is how conversations are sent, as far as it decides how long their prompts become.
type Sending struct {
	Scripted  bool // later prompts contain the replies in the files, where there are any
	MaxTurns  int  // of each conversation; 0: all
	MaxTokens int  // most completion tokens of a turn; 0: no limit
}

// bytesPerToken is about right for English.
const bytesPerToken = 4

// Tokens returns the size of the conversation's longest prompt with the replies in its file, in tokens. It is what the file says, or else
// an estimate from the length of the texts.
func (c *Conversation) Tokens() int {
	switch {
	case c.Generate != nil:
		return c.Generate.Tokens
	case c.ExpectedTokens > 0:
		return c.ExpectedTokens
	}
	longest, _ := c.longest(Sending{Scripted: true}, 1./bytesPerToken)
	return int(longest)
}

// Need returns the context that the conversation needs when it is sent like this, in tokens: its longest prompt, and the longest reply to
// that. A reply that the file does not have is counted with as many tokens as a turn may have.
func (c *Conversation) Need(s Sending) int64 {
	if c.Generate != nil {
		replies := 1 // the last one; the others are in the longest prompt
		if !s.Scripted {
			replies = c.Generate.Turns
		}
		return int64(c.Generate.Tokens + replies*s.limit(Turn{MaxTokens: answerTokens}, 0))
	}
	perByte := 1. / bytesPerToken
	if c.ExpectedTokens > 0 { // the file's figure says how many bytes a token has in these texts
		if bytes, _ := c.longest(Sending{Scripted: true}, 1); bytes > 0 {
			perByte = float64(c.ExpectedTokens) / bytes
		}
	}
	_, need := c.longest(s, perByte)
	return int64(math.Ceil(need))
}

// limit returns the most tokens that the reply of a turn may have. Without any limit it is the size of the reply in the file.
func (s Sending) limit(t Turn, perByte float64) int {
	switch {
	case s.MaxTokens > 0 && t.MaxTokens > 0:
		return min(s.MaxTokens, t.MaxTokens)
	case s.MaxTokens > 0 || t.MaxTokens > 0:
		return s.MaxTokens + t.MaxTokens
	}
	return int(float64(len(t.Assistant)) * perByte)
}

// longest returns the size of the longest prompt, and the most context that a prompt and its reply need, both in tokens.
func (c *Conversation) longest(s Sending, perByte float64) (prompt, need float64) {
	documents := map[string]int{}
	for _, d := range c.Documents {
		documents[d.ID] = len(d.Title) + len(d.Text)
	}
	history := float64(len(c.System)) * perByte
	for d := c.Start(Style{}); d.Next() && (s.MaxTurns == 0 || d.Turn() <= s.MaxTurns); d.Reply("") {
		t := d.Current()
		history += float64(len(t.User)) * perByte
		now := history
		for _, id := range d.documents() {
			now += float64(documents[id]) * perByte
		}
		reply := float64(s.limit(t, perByte))
		prompt, need = max(prompt, now), max(need, now+reply)
		if s.Scripted && t.Assistant != "" {
			reply = float64(len(t.Assistant)) * perByte
		}
		history += reply
	}
	return prompt, need
}
