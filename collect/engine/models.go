package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"wb/collect/client"
)

// listedModel is one entry of a list of models.
type listedModel struct {
	ID          client.LooseText `json:"id"`
	Name        client.LooseText `json:"name"`
	Root        client.LooseText `json:"root"`
	OwnedBy     client.LooseText `json:"owned_by"`
	MaxModelLen client.LooseText `json:"max_model_len"`
	Meta        listedMeta       `json:"meta"`
}

// listedMeta is what llama.cpp says about a model.
type listedMeta struct {
	ContextTokens client.LooseText `json:"n_ctx"` // the context of one slot, so of one request
	Parameters    client.LooseText `json:"n_params"`
	Bytes         client.LooseText `json:"size"`
	Format        client.LooseText `json:"ftype"`
}

// facts gives what can be believed.
func (m listedMeta) facts() ModelFacts {
	count := func(t client.LooseText) *int64 {
		const most = 1 << 50
		if n, err := strconv.ParseInt(string(t), 10, 64); err == nil && n > 0 && n <= most {
			return &n
		}
		return nil
	}
	f := ModelFacts{Parameters: count(m.Parameters), WeightsBytes: count(m.Bytes)}
	if m.Format != "" {
		f.Quantization = new(client.Clip(string(m.Format)))
	}
	return f
}

// UnmarshalJSON reads an object, or a string, which is the model's name.
func (m *listedModel) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		type plain listedModel
		return client.Lenient(b, (*plain)(m))
	}
	return json.Unmarshal(b, &m.ID)
}

// listedModels reads a list of models: OpenAI's {"data": […]}, a bare list, or {"models": […]}. Each name comes once. Anything else gives
// an empty list.
func listedModels(text []byte) (list []listedModel) {
	text = client.WithoutBOM(bytes.TrimSpace(text))
	var answer struct {
		Data   []listedModel `json:"data"`
		Models []listedModel `json:"models"`
	}
	var all []listedModel
	if len(text) > 0 && text[0] == '[' {
		_ = client.Lenient(text, &all)
	} else if _ = client.Lenient(text, &answer); len(answer.Data) > 0 {
		all = answer.Data
	} else {
		all = answer.Models
	}
	seen := map[client.LooseText]bool{}
	for _, m := range all {
		if m.ID = cmp.Or(m.ID, m.Name); m.ID != "" && !seen[m.ID] {
			seen[m.ID] = true
			list = append(list, m)
		}
	}
	return list
}

// firstNames joins at most the first twenty names.
func firstNames(names []string) string {
	if len(names) > 20 {
		return client.Clip(strings.Join(names[:20], ", ")) + fmt.Sprintf(" and %d more", len(names)-20)
	}
	return client.Clip(strings.Join(names, ", "))
}
