package data

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"wb/data/yamlfile"
)

//go:embed models.yaml
var modelsYAML []byte

// Model is a model that wb knows by a short name.
type Model struct {
	Name          string `yaml:"name"`
	Repo          string `yaml:"repo"`
	Parameters    string `yaml:"parameters"`
	WeightsBytes  int64  `yaml:"weights_bytes"`
	ContextTokens int64  `yaml:"context_tokens"`
	Quantization  string `yaml:"quantization"` // "" for the 16 bits in which it was published
	License       string `yaml:"license"`
	Gated         bool   `yaml:"gated"`       // the hub asks for an account that has accepted the licence
	Recommended   bool   `yaml:"recommended"` // wb setup chooses among these
	Shape         Shape  `yaml:"shape"`

	File string `yaml:"-"` // the user's file that has it; "" for those that are part of wb
}

// builtInModels returns the models that are part of wb, smallest first.
func builtInModels() ([]Model, error) {
	var all []Model
	if err := yamlfile.Load("models.yaml", modelsYAML, &all); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	return all, nil
}

// FindModel returns the model with this name or repository. Letter case does not matter. It returns false when wb does not know it.
func FindModel(name string) (Model, bool, error) {
	all, err := Models()
	if err != nil {
		return Model{}, false, err
	}
	i := slices.IndexFunc(all, func(m Model) bool { return strings.EqualFold(m.Name, name) || strings.EqualFold(m.Repo, name) })
	if i < 0 {
		return Model{}, false, nil
	}
	return all[i], true, nil
}

// ModelNames lists the names of the models that wb knows.
func ModelNames() (names []string, err error) {
	all, err := Models()
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names, err
}

// Facts returns what wb knows about the model without its files.
func (m Model) Facts() *ModelFacts {
	return &ModelFacts{Shape: m.Shape, ContextTokens: m.ContextTokens, Quantization: m.Quantization, WeightsBytes: m.WeightsBytes}
}
