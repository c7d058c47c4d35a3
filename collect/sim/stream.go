package sim

import "slices"

// stream sends tokens as they come, then the usage if the client asked for it, and the end.
func (a *answer) stream() {
	opt := a.body.StreamOptions
	usages := opt != nil && opt.IncludeUsage
	running := usages && opt.ContinuousUsage
	prompt := len(a.req.prompt)
	e := event{ID: a.id, Object: "text_completion", Created: a.created, Model: a.s.o.Model, Choices: make([]choice, 1)}
	if a.chat {
		e.Object = "chat.completion.chunk"
	}
	used := func(n int) *usage {
		if !running {
			return nil
		}
		u := &usage{PromptTokens: prompt, CompletionTokens: n, TotalTokens: prompt + n}
		if a.chat {
			u.CompletionDetails = null
		}
		return u
	}
	n := 0
	for id := range a.req.tokens {
		if n++; n == 1 && a.chat {
			first := e
			first.Choices = []choice{{Delta: &delta{Role: "assistant", Content: new(string)}}}
			first.Usage, first.PromptTokenIDs, first.PromptText = used(0), a.ids(a.req.prompt), null
			a.event(first)
		}
		c := a.choice(n, id)
		if n == a.req.length {
			reason := a.req.reason()
			c.FinishReason, c.StopReason = &reason, null
			if !usages {
				e.Fingerprint = fingerprint
			}
		}
		e.Choices[0], e.Usage, a.carries = c, used(n), 1
		a.event(e)
		if a.dead { // returning ends the request
			return
		}
	}
	switch {
	case n < a.req.length: // the engine stopped, or the client is gone
		a.kill()
		return
	case usages:
		e.Choices, e.Usage, e.Fingerprint = []choice{}, a.total(n), fingerprint
		if slices.ContainsFunc(a.faults, func(f Fault) bool { return f.Kind == "usage" }) {
			e.Usage = a.total(2 * n)
		}
		a.event(e)
	}
	if !a.dead {
		a.send([]byte("[DONE]"))
	}
}

// choice returns the part of an event that holds the nth token.
func (a *answer) choice(n int, id int32) choice {
	text := ""
	if id != endToken {
		text = a.s.tok.pieces([]int32{id})[0]
	}
	c := choice{TokenIDs: a.ids([]int32{id})}
	if a.chat {
		c.Delta = &delta{Content: &text}
		return c
	}
	c.Text, c.StopReason, c.PromptTokenIDs = &text, null, null
	if n == 1 {
		c.PromptTokenIDs = a.ids(a.req.prompt)
	}
	return c
}
