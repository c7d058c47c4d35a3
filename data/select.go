package data

import (
	"fmt"
	"slices"
	"strings"
)

// TagCore marks the built-in conversations that run when nobody chooses.
const TagCore = "core"

// Selection says which conversations to run.
type Selection struct {
	IDs           []string // these and no others, whatever their size
	Include       []string // any of these tags
	Exclude       []string // none of these tags
	Max           int      // at most so many, smallest first; 0: no limit
	ContextTokens int64    // they must fit into so many tokens; 0: no limit
}

// LeftOut is a conversation that was not chosen, and why.
type LeftOut struct {
	Conversation *Conversation
	Why          string
}

// Select chooses among conversations in the order they stand in. Nothing chosen means the built-in ones tagged core and all
// of the user's own. It fails on an id or a tag that nothing has, and when nothing is left.
func Select(all []*Conversation, s Selection) (chosen []*Conversation, left []LeftOut, err error) {
	pool, err := Pick(all, s.IDs)
	if err != nil {
		return nil, nil, err
	}
	for _, tag := range slices.Concat(s.Include, s.Exclude) {
		if !slices.ContainsFunc(all, func(c *Conversation) bool { return slices.Contains(c.Tags, tag) }) {
			return nil, nil, fmt.Errorf("choose conversations: none has the tag %q; there are %s", tag, strings.Join(Tags(all), ", "))
		}
	}
	has := func(c *Conversation, tags []string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(c.Tags, t) })
	}
	open := len(s.IDs) == 0 && len(s.Include) == 0
	for _, c := range pool {
		builtIn := strings.HasPrefix(c.File, "built-in:")
		switch need := c.Tokens(); {
		case len(s.IDs) > 0 && (s.Max == 0 || len(chosen) < s.Max): // named: whatever its tags and size
			chosen = append(chosen, c)
		case len(s.Include) > 0 && !has(c, s.Include):
			left = append(left, LeftOut{c, "has none of the tags " + strings.Join(s.Include, ", ")})
		case has(c, s.Exclude):
			left = append(left, LeftOut{c, "is tagged " + strings.Join(s.Exclude, " or ")})
		case open && builtIn && !slices.Contains(c.Tags, TagCore):
			left = append(left, LeftOut{c, "is not one of the core set; name it, or choose it by a tag"})
		case s.ContextTokens > 0 && int64(need) > s.ContextTokens:
			left = append(left, LeftOut{c, fmt.Sprintf("needs %s of %s tokens", Thousands(int64(need)), Thousands(s.ContextTokens))})
		case s.Max > 0 && len(chosen) == s.Max:
			left = append(left, LeftOut{c, fmt.Sprintf("is beyond the first %d", s.Max)})
		default:
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		why := ""
		slices.SortStableFunc(left, func(a, b LeftOut) int { // what is too large says more than what was not asked for
			return strings.Compare(b.Why[:5], a.Why[:5])
		})
		for _, l := range left[:min(3, len(left))] {
			why += "; " + l.Conversation.ID + " " + l.Why
		}
		return nil, left, fmt.Errorf("choose conversations: none is left%s", why)
	}
	return chosen, left, nil
}

// Tokens is the size that a conversation is expected to reach, tokens: as its file says, or by the length of its texts.
func (c *Conversation) Tokens() int {
	switch {
	case c.Generate != nil:
		return c.Generate.Tokens
	case c.ExpectedTokens > 0:
		return c.ExpectedTokens
	}
	bytes := len(c.System)
	for _, d := range c.Documents {
		bytes += len(d.Title) + len(d.Text)
	}
	for _, t := range c.Turns {
		bytes += len(t.User) + len(t.Assistant)
	}
	return bytes / 4
}

// Tags lists all tags in order.
func Tags(all []*Conversation) []string {
	var out []string
	for _, c := range all {
		out = append(out, c.Tags...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Thousands writes tokens as people say them: 950, 8.2K, 131K.
func Thousands(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprint(n)
	case n < 100_000:
		return strings.Replace(fmt.Sprintf("%.1fK", float64(n)/1000), ".0K", "K", 1)
	}
	return fmt.Sprintf("%.0fK", float64(n)/1000)
}
