package data

import (
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
)

// TagCore marks the built-in conversations that run when the user chooses none.
const TagCore = "core"

// Selection is a choice of conversations.
type Selection struct {
	IDs           []string // only these, whatever their tags and size; empty: all
	Include       []string // only those with one of these tags
	Exclude       []string // none with one of these tags
	Max           int      // at most this many, smallest first; 0: no limit
	ContextTokens int64    // only those that fit into this many tokens; 0: no limit
	Sending       Sending  // how they are sent, which decides what they need
}

// LeftOut is a conversation that was not chosen, and why.
type LeftOut struct {
	Conversation *Conversation
	Why          string
}

// Select chooses among conversations and keeps their order. An empty Selection means the built-in ones tagged core and all of the
// user's conversations. It fails on an unknown id or tag, and when no conversation is left.
func Select(all []*Conversation, s Selection) (chosen []*Conversation, left []LeftOut, err error) {
	pool, err := Pick(all, s.IDs)
	if err != nil {
		return nil, nil, err
	}
	for _, tag := range slices.Concat(s.Include, s.Exclude) {
		if !slices.ContainsFunc(all, func(c *Conversation) bool { return slices.Contains(c.Tags, tag) }) {
			return nil, nil, plain.Mistakef("choose conversations: none has the tag %q%s", tag, plain.Instead(tag, Tags(all)))
		}
	}
	has := func(c *Conversation, tags []string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(c.Tags, t) })
	}
	open := len(s.IDs) == 0 && len(s.Include) == 0
	for _, c := range pool {
		builtIn := strings.HasPrefix(c.File, "built-in:")
		switch need := c.Need(s.Sending); {
		case len(s.IDs) > 0 && (s.Max == 0 || len(chosen) < s.Max): // named, so its tags and its size do not matter
			chosen = append(chosen, c)
		case len(s.Include) > 0 && !has(c, s.Include):
			left = append(left, LeftOut{c, "has none of the tags " + strings.Join(s.Include, ", ")})
		case has(c, s.Exclude):
			left = append(left, LeftOut{c, "is tagged " + strings.Join(s.Exclude, " or ")})
		case open && builtIn && !slices.Contains(c.Tags, TagCore):
			why := "is not one of the core set; name it, or choose it by a tag"
			if s.ContextTokens > 0 && need > s.ContextTokens {
				why = "is not one of the core set; it " + tooLong(need, s.ContextTokens)
			}
			left = append(left, LeftOut{c, why})
		case s.ContextTokens > 0 && need > s.ContextTokens:
			left = append(left, LeftOut{c, tooLong(need, s.ContextTokens)})
		case s.Max > 0 && len(chosen) == s.Max:
			left = append(left, LeftOut{c, fmt.Sprintf("is beyond the first %d", s.Max)})
		default:
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		why := ""
		slices.SortStableFunc(left, func(a, b LeftOut) int { // "needs …" comes before "is …": a size explains more than a tag
			return strings.Compare(b.Why[:5], a.Why[:5])
		})
		for _, l := range left[:min(3, len(left))] {
			why += "; " + l.Conversation.ID + " " + l.Why
		}
		return nil, left, fmt.Errorf("choose conversations: none is left%s", why)
	}
	return chosen, left, nil
}

// Tags lists all tags, sorted.
func Tags(all []*Conversation) []string {
	var out []string
	for _, c := range all {
		out = append(out, c.Tags...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tooLong says that a conversation needs more tokens than fit, in full where both numbers are the same in short.
func tooLong(need, limit int64) string {
	n, most := Thousands(need), Thousands(limit)
	if n == most {
		n, most = plain.Comma(int(need)), plain.Comma(int(limit))
	}
	return "needs " + n + " tokens, and the context has " + most
}

// Thousands writes a number of tokens in short, as tables do: 950, 8.2K, 131K.
func Thousands(n int64) string { return plain.Thousands(n) }
