package machine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"wb/data"
	"wb/data/hub"
	"wb/queries/table"
)

// ModelTable lists the models of the registry, and those in GGUF files of the cache. It says which fit on this machine, which are in the
// cache, and where each name comes from.
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
	for _, c := range have {
		for _, g := range c.GGUFs {
			if !g.Aside {
				t.Rows = append(t.Rows, ggufRow(room, g))
			}
		}
	}
	return t, nil
}

// ggufRow is the row of a model in GGUF files. A file that is not whole says nothing about its model.
func ggufRow(room Room, g hub.GGUF) []any {
	here := "yes"
	var parameters, context, memory, fits, tokens any
	weights, quant := g.Bytes, orNothing(g.Ref.Quant)
	if !wholeGGUF(g) {
		here = "in part"
	} else if f, err := data.ReadGGUF(g.Path); err == nil {
		parameters, weights, quant = parameterWords(f.Parameters()), f.WeightsBytes, orNothing(f.Quantization)
		memory = f.WeightsBytes + f.KVBytes(8192, 512, 2)
		if f.ContextTokens > 0 {
			context = f.ContextTokens
			fits, tokens = room.FitsGGUF(f)
		}
	}
	return []any{g.Name(), parameters, quant, weights, context, memory, fits, tokens, nil, nil, here, g.Ref.Repo, "GGUF"}
}

// wholeGGUF reports whether all parts of a model are there, and each is as long as its header says.
func wholeGGUF(g hub.GGUF) bool { return g.Complete && data.CheckGGUF(g.Path) == nil }

// orNothing is a cell with a text, or an empty one.
func orNothing(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// parameterWords writes a number of parameters as publishers do: 135M, 1.7B.
func parameterWords(n int64) string {
	switch {
	case n >= 10e9:
		return fmt.Sprintf("%.0fB", float64(n)/1e9)
	case n >= 1e9:
		return strings.Replace(fmt.Sprintf("%.1fB", float64(n)/1e9), ".0B", "B", 1)
	}
	if n < 1e6 {
		return fmt.Sprintf("%.0fk", float64(n)/1e3)
	}
	return fmt.Sprintf("%.0fM", float64(n)/1e6)
}

// CacheTable lists the models in the hub's cache. A repository has a row for each model in GGUF files, and one for what else it has.
func CacheTable(h *hub.Client, have []hub.Cached) *table.Table {
	t := &table.Table{
		Name:  "cached_models",
		Title: "Models in " + h.CacheDir,
		Columns: []table.Column{{Name: "repo"}, {Name: "quantization"}, {Name: "revisions"}, {Name: "bytes"}, {Name: "complete"},
			{Name: "changed"}, {Name: "file"}},
	}
	row := func(c hub.Cached, quant, file string, bytes int64, complete bool, changed time.Time) {
		t.Rows = append(t.Rows, []any{
			c.Repo, orNothing(quant), strings.Join(c.Revisions, " "), bytes, complete, changed.UTC().Format("2006-01-02 15:04"),
			orNothing(file),
		})
	}
	for _, c := range have {
		if c.Whole || len(c.GGUFs) == 0 || c.RestBytes > 0 {
			row(c, "", "", c.RestBytes, c.Whole, c.ChangedAt)
		}
		for _, g := range c.GGUFs {
			row(c, g.Ref.Quant, g.Ref.File, g.Bytes, wholeGGUF(g), g.ChangedAt)
		}
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
