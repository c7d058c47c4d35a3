package machine

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"wb/data"
	"wb/data/hub"
	"wb/queries/table"
)

// ModelTable lists the models of the registry. It says which fit on this machine, which are in the cache, and where each name comes from.
func ModelTable(ctx context.Context, have []hub.Cached) (*table.Table, error) {
	models, err := data.Models()
	if err != nil {
		return nil, err
	}
	room := ModelRoom(ctx)
	t := &table.Table{
		Name:  "models",
		Title: "Models",
		About: fmt.Sprintf("memory_bytes: weights and the KV cache of 8,192 tokens in 16 bits. fits: on this machine, %s.", room),
		Columns: []table.Column{
			{Name: "name"},
			{Name: "parameters"},
			{Name: "quantization"},
			{Name: "weights_bytes"},
			{Name: "context_tokens"},
			{Name: "memory_bytes"},
			{Name: "fits"},
			{Name: "fits_tokens"},
			{Name: "license"},
			{Name: "gated"},
			{Name: "here"},
			{Name: "repo"},
			{Name: "source"},
		},
	}
	for _, m := range models {
		q := m.Quantization
		if q == "" {
			q = "16-bit"
		}
		here := "no"
		for _, c := range have {
			if c.Repo == m.Repo {
				here = "yes"
				if !c.Complete {
					here = "in part"
				}
			}
		}
		var weights, context, memory, fits, tokens any // a models file may lack these figures
		if m.WeightsBytes > 0 {
			weights = m.WeightsBytes
		}
		if m.ContextTokens > 0 {
			context = m.ContextTokens
		}
		if m.Sized() {
			memory = m.WeightsBytes + m.Shape.KVBytes(8192, 512, 2)
			fits, tokens = room.Fits(m)
		}
		t.Rows = append(t.Rows, []any{
			m.Name, m.Parameters, q, weights, context, memory, fits, tokens, m.License, m.Gated, here, m.Repo, cmp.Or(m.File, "built-in"),
		})
	}
	return t, nil
}

// CacheTable lists the models in the hub's cache.
func CacheTable(h *hub.Client, have []hub.Cached) *table.Table {
	t := &table.Table{
		Name:    "cached_models",
		Title:   "Models in " + h.CacheDir,
		Columns: []table.Column{{Name: "repo"}, {Name: "revisions"}, {Name: "bytes"}, {Name: "complete"}, {Name: "changed"}},
	}
	for _, c := range have {
		changed := c.ChangedAt.UTC().Format("2006-01-02 15:04")
		t.Rows = append(t.Rows, []any{c.Repo, strings.Join(c.Revisions, " "), c.Bytes, c.Complete, changed})
	}
	return t
}

// FindingsTable makes the table of findings.
func FindingsTable(findings []Finding) *table.Table {
	t := &table.Table{Name: "doctor", Title: "Doctor",
		Columns: []table.Column{{Name: "check"}, {Name: "level"}, {Name: "found"}, {Name: "remedy"}}}
	for _, f := range findings {
		t.Rows = append(t.Rows, []any{f.Check, f.Level, f.Found, f.Remedy})
		item := table.Item{Mark: f.Level, Name: f.Check, Text: f.Found}
		if f.Remedy != "" {
			item.Further = []string{"→ " + f.Remedy}
		}
		t.List = append(t.List, item)
	}
	return t
}
