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
	s := m.Shape
	switch {
	case m.Name == "":
		return "name", "name: is missing"
	case !modelName.MatchString(m.Name):
		return "name", fmt.Sprintf("name %q: wants letters, digits, '_', '-' and '.', at most 96", m.Name)
	case m.Repo == "":
		return "repo", "repo: is missing"
	case !repoName.MatchString(m.Repo):
		return "repo", fmt.Sprintf("repo %q: wants ORG/NAME", m.Repo)
	case m.WeightsBytes < 0:
		return "weights_bytes", "weights_bytes: is negative"
	case m.ContextTokens < 0:
		return "context_tokens", "context_tokens: is negative"
	case s == (Shape{}):
		return "", ""
	case s.Layers <= 0 || s.Layers > maxLayers:
		return "shape", fmt.Sprintf("shape: layers: wants 1 to %d", maxLayers)
	case s.KVLoraRank == 0 && (s.KVHeads <= 0 || s.HeadDim <= 0):
		return "shape", "shape: wants kv_heads and head_dim, or kv_lora_rank"
	}
	for _, n := range []int64{s.KVHeads, s.HeadDim, s.Hidden, s.Intermediate, s.Vocab, s.SlidingLayers, s.SlidingWindow, s.Heads, s.KVLoraRank,
		s.QKRopeHeadDim, s.QLoraRank, s.QKNopeHeadDim, s.VHeadDim} {
		if n < 0 || n > maxWidth {
			return "shape", fmt.Sprintf("shape: wants numbers from 0 to %d", maxWidth)
		}
	}
	if s.SlidingLayers > s.Layers {
		return "shape", "shape: sliding_layers: more than layers"
	}
	return "", ""
}

// Limits of a shape. Its products then stay far below the largest int64.
const (
	maxLayers = 10_000
	maxWidth  = 100_000_000
)

// Sized says whether the size of the weights and the shape are known, so that the memory it needs can be estimated.
func (m Model) Sized() bool { return m.WeightsBytes > 0 && m.ContextTokens > 0 && m.Shape.Layers > 0 }
