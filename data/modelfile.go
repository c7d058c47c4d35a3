package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/data/yamlfile"
)

// maxModelsBytes is the size of the largest models file that is read.
const maxModelsBytes = 1 << 20

var (
	modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$`)
	repoName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$`)
)

// ModelsFile returns the path of the user's models file: $WB_MODELS, or else wb/models.yaml in the folder for configuration,
// $XDG_CONFIG_HOME or ~/.config. named says that the user named it, so that it must exist. The path is "" when there is no home folder.
func ModelsFile(getenv func(string) string) (path string, named bool) {
	if path := getenv("WB_MODELS"); path != "" {
		return path, true
	}
	base := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) { // the specification says to ignore a relative one
		home := getenv("HOME")
		if home == "" {
			return "", false
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "wb", "models.yaml"), false
}

// Models returns the models that wb knows by name, smallest first: the built-in ones, and those of the user's models file, which adds names
// and replaces them. Models whose size is not known come last.
func Models() ([]Model, error) {
	all, err := builtInModels()
	if err != nil {
		return nil, err
	}
	path, named := ModelsFile(os.Getenv)
	if path == "" {
		return all, nil
	}
	if _, err := os.Stat(path); !named && errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	text, err := yamlfile.Read(path, maxModelsBytes)
	if err != nil {
		return nil, fmt.Errorf("read models: %w", err)
	}
	mine, err := ParseModels(path, text)
	if err != nil {
		return nil, fmt.Errorf("read models: %w", err)
	}
	return withModels(all, mine), nil
}

// withModels adds models to others, and replaces those with the same name.
func withModels(all, more []Model) []Model {
	all = slices.Clone(all)
	for _, m := range more {
		if i := slices.IndexFunc(all, func(o Model) bool { return strings.EqualFold(o.Name, m.Name) }); i >= 0 {
			all[i] = m
		} else {
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(a, b Model) int {
		switch {
		case a.WeightsBytes == b.WeightsBytes:
			return 0
		case a.WeightsBytes == 0 || b.WeightsBytes != 0 && a.WeightsBytes > b.WeightsBytes:
			return 1
		}
		return -1
	})
	return all
}

// ParseModels reads a models file: a list of models. Only the name and the repository are required. file appears in errors, which are
// *FileError with the line.
func ParseModels(file string, text []byte) ([]Model, error) {
	root, err := yamlfile.Parse(file, text, maxModelsBytes)
	if err != nil {
		return nil, err
	}
	var all []Model
	if err := root.Decode(file, &all); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range all {
		m := &all[i]
		m.File = file
		field, msg := m.problem()
		if msg == "" && seen[strings.ToLower(m.Name)] {
			field, msg = "name", fmt.Sprintf("name %q: is there twice", m.Name)
		}
		if msg != "" {
			return nil, &FileError{File: file, Line: root.At(i, field), Msg: msg}
		}
		seen[strings.ToLower(m.Name)] = true
	}
	return all, nil
}

// problem looks for a mistake, and names its field.
func (m *Model) problem() (field, msg string) {
	switch {
	case m.Name == "":
		return "name", "name: is missing"
	case !modelName.MatchString(m.Name):
		return "name", fmt.Sprintf("name %q: wants letters, digits, '_', '-' and '.', at most 96", m.Name)
	case m.Repo == "":
		return "repo", "repo: is missing"
	case !repoName.MatchString(m.Repo):
		return "repo", fmt.Sprintf("repo %q: wants ORG/NAME", m.Repo)
	case m.WeightsBytes < 0 || m.WeightsBytes > maxWeightsBytes:
		return "weights_bytes", "weights_bytes: wants 0 to " + plain.Comma(maxWeightsBytes)
	case m.ContextTokens < 0 || m.ContextTokens > maxContextTokens:
		return "context_tokens", "context_tokens: wants 0 to " + plain.Comma(maxContextTokens)
	}
	if msg := m.Shape.problem(); msg != "" {
		return "shape", "shape: " + msg
	}
	return "", ""
}

// Limits of a model. Products of them, such as its parameters or the KV cache of a full context, stay below the largest int64.
const (
	maxLayers        = 1000
	maxHeads         = 2000 // and experts
	maxHeadDim       = 5000
	maxWidth         = 1_000_000
	maxContextTokens = 100_000_000
	maxWeightsBytes  = 1_000_000_000_000_000
)

// problem looks for a mistake. A shape without any figure has none: it is not known.
func (s Shape) problem() string {
	switch {
	case s == (Shape{}):
		return ""
	case s.Layers <= 0 || s.Layers > maxLayers:
		return "layers: wants 1 to " + plain.Comma(maxLayers)
	case s.KVLoraRank == 0 && (s.KVHeads <= 0 || s.HeadDim <= 0):
		return "wants kv_heads and head_dim, or kv_lora_rank"
	}
	for _, f := range []struct {
		name        string
		value, most int64
	}{
		{"kv_heads", s.KVHeads, maxHeads}, {"heads", s.Heads, maxHeads},
		{"head_dim", s.HeadDim, maxHeadDim}, {"qk_rope_head_dim", s.QKRopeHeadDim, maxHeadDim},
		{"qk_nope_head_dim", s.QKNopeHeadDim, maxHeadDim}, {"v_head_dim", s.VHeadDim, maxHeadDim},
		{"hidden", s.Hidden, maxWidth}, {"intermediate", s.Intermediate, maxWidth}, {"vocab", s.Vocab, maxWidth},
		{"kv_lora_rank", s.KVLoraRank, maxWidth}, {"q_lora_rank", s.QLoraRank, maxWidth},
		{"experts", s.Experts, maxHeads}, {"experts_per_token", s.ExpertsPerToken, s.Experts},
		{"expert_intermediate", s.ExpertIntermediate, maxWidth}, {"shared_intermediate", s.SharedIntermediate, maxWidth},
		{"sliding_layers", s.SlidingLayers, s.Layers}, {"dense_layers", s.DenseLayers, s.Layers},
		{"sliding_window", s.SlidingWindow, maxContextTokens},
	} {
		if f.value < 0 || f.value > f.most {
			return f.name + ": wants 0 to " + plain.Comma(int(f.most))
		}
	}
	return ""
}

// Sized says whether the size of the weights and the shape are known, so that the memory it needs can be estimated.
func (m Model) Sized() bool { return m.WeightsBytes > 0 && m.ContextTokens > 0 && m.Shape.Layers > 0 }
