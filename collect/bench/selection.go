package bench

import (
	"slices"
	"strings"

	"wb/data"
	"wb/data/plain"
	"wb/queries/table"
)

// SelectionTable lists all conversations, whether each would run, and if not, why not.
func SelectionTable(all []*data.Conversation, s data.Selection) (*table.Table, error) {
	chosen, left, err := data.Select(all, s)
	if err != nil && left == nil {
		return nil, plain.Mistake(err)
	}
	t := &table.Table{
		Name:  "conversations",
		Title: "Conversations",
		About: "The size (expected_tokens) is that of the longest prompt with the replies in the file, by the tokeniser of SmolLM2. " +
			"Generated conversations are sized by the server's tokeniser.",
		Columns: []table.Column{
			{Name: "id"},
			{Name: "title"},
			{Name: "tags"},
			{Name: "language"},
			{Name: "domain"},
			{Name: "turns"},
			{Name: "documents"},
			{Name: "expected_tokens", Unit: "tokens"},
			{Name: "runs"},
			{Name: "why_not"},
		},
	}
	for _, c := range all {
		turns, docs := int64(len(c.Turns)), int64(len(c.Documents))
		if c.Generate != nil {
			turns, docs = int64(c.Generate.Turns), 4
		}
		lang, why := c.Language, ""
		if lang == "" {
			lang = "en"
		}
		for _, l := range left {
			if l.Conversation == c {
				why = l.Why
			}
		}
		t.Rows = append(t.Rows, []any{
			c.ID, c.Title, strings.Join(c.Tags, " "), lang, c.Domain, turns, docs, int64(c.Tokens()), slices.Contains(chosen, c), why,
		})
		t.List = append(t.List, selectionItem(c, turns, docs, lang, why))
	}
	return t, nil
}

// selectionItem is the entry of a conversation in a list.
func selectionItem(c *data.Conversation, turns, docs int64, lang, why string) table.Item {
	parts := []string{data.Thousands(int64(c.Tokens())) + " tokens", plain.Count(int(turns), "turn")}
	if docs > 0 {
		parts = append(parts, plain.Count(int(docs), "document"))
	}
	item := table.Item{Name: c.ID, Text: strings.Join(append(parts, lang), ", ")}
	if c.Title != "" {
		item.Further = append(item.Further, c.Title)
	}
	if len(c.Tags) > 0 {
		item.Further = append(item.Further, "tags: "+strings.Join(c.Tags, ", "))
	}
	if why != "" {
		item.Further = append(item.Further, "not run: "+why)
	}
	return item
}
