package data

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModelsFile(t *testing.T) {
	for _, tt := range []struct {
		env   map[string]string
		path  string
		named bool
	}{
		{map[string]string{"WB_MODELS": "mine.yaml", "HOME": "/h"}, "mine.yaml", true},
		{map[string]string{"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/wb/models.yaml", false},
		{map[string]string{"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/wb/models.yaml", false},
		{map[string]string{"HOME": "/h"}, "/h/.config/wb/models.yaml", false},
		{nil, "", false},
	} {
		path, named := ModelsFile(func(name string) string { return tt.env[name] })
		if path != tt.path || named != tt.named {
			t.Errorf("%v: %q %v", tt.env, path, named)
		}
	}
}

// A user's file adds names and replaces them.
func TestUsersModels(t *testing.T) {
	t.Setenv("WB_MODELS", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	before, err := Models()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "wb", "models.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	const text = `
- {name: my-phi, repo: me/Phi-Tuned}
- name: SmolLM2-135M
  repo: me/Smol
  weights_bytes: 5
  context_tokens: 100
  shape: {layers: 1, kv_heads: 1, head_dim: 8}
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := Models()
	if err != nil || len(all) != len(before)+1 {
		t.Fatalf("%d models, before %d (%v)", len(all), len(before), err)
	}
	if first, last := all[0], all[len(all)-1]; first.Repo != "me/Smol" || first.File != path || last.Name != "my-phi" || last.Sized() {
		t.Errorf("first %+v, last %+v", first, last)
	}
	if m, ok, err := FindModel("smollm2-135m"); err != nil || !ok || m.Repo != "me/Smol" {
		t.Errorf("found %+v (%v)", m, err)
	}
	t.Setenv("WB_MODELS", filepath.Join(t.TempDir(), "nope.yaml"))
	if _, err := Models(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that was named and is not there: %v", err)
	}
}

func TestParseModels(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\nrepo: b/c\n":                                      "m.yaml:1: wants a list",
		"- {name: a, repo: b/c}\n- repo: b/c\n":                     "m.yaml:2: name: is missing",
		"- name: a/b\n  repo: b/c\n":                                `m.yaml:1: name "a/b": wants letters`,
		"- name: a\n  repo: b\n":                                    `m.yaml:2: repo "b": wants ORG/NAME`,
		"- name: a\n":                                               "m.yaml:1: repo: is missing",
		"- {name: a, repo: b/c}\n- {name: A, repo: b/d}\n":          `m.yaml:2: name "A": is there twice`,
		"- name: a\n  repo: b/c\n  weights: 1\n":                    `m.yaml:3: unknown field "weights"`,
		"- name: a\n  repo: b/c\n  weights_bytes: -1\n":             "m.yaml:3: weights_bytes: wants 0 to 1,000,000,000,000,000",
		"- name: a\n  repo: b/c\n  context_tokens: many\n":          "m.yaml:3: ",
		"- name: a\n  repo: b/c\n  shape: {hidden: 5}\n":            "m.yaml:3: shape: layers: wants 1 to",
		"- name: a\n  repo: b/c\n  shape: {layers: 5}\n":            "m.yaml:3: shape: wants kv_heads and head_dim",
		"- name: a\n  repo: b/c\n  shape: {layers: 100000000000}\n": "m.yaml:3: shape: layers: wants 1 to",
		"- name: a\n  repo: b/c\n  context_tokens: 100000001\n":     "context_tokens: wants 0 to 100,000,000",
	} {
		_, err := ParseModels("m.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestParseShape(t *testing.T) {
	for shape, want := range map[string]string{
		"kv_heads: 100000000, head_dim: 8":            "kv_heads: wants 0 to 2,000",
		"kv_heads: 1, head_dim: 8, experts: -1":       "experts: wants 0 to 2,000",
		"kv_heads: 1, head_dim: 8, sliding_layers: 3": "sliding_layers: wants 0 to 2",
	} {
		_, err := ParseModels("m.yaml", []byte("- name: a\n  repo: b/c\n  shape: {layers: 2, "+shape+"}\n"))
		if err == nil || !strings.HasSuffix(err.Error(), "m.yaml:3: shape: "+want) {
			t.Errorf("%s: %v, want %q", shape, err, want)
		}
	}
}

// The largest model that the limits allow has sizes that an int64 holds.
func TestLargestModel(t *testing.T) {
	s := Shape{
		Layers: maxLayers, KVHeads: maxHeads, Heads: maxHeads, HeadDim: maxHeadDim, Hidden: maxWidth, Intermediate: maxWidth, Vocab: maxWidth,
		Mixture: Mixture{Experts: maxHeads, ExpertsPerToken: maxHeads, ExpertIntermediate: maxWidth, SharedIntermediate: maxWidth},
	}
	if msg := s.problem(); msg != "" {
		t.Fatal(msg)
	}
	near := func(got int64, want float64) bool { return math.Abs(float64(got)-want) < want/1000 }
	if got := s.KVBytes(maxContextTokens, 512, 2); !near(got, 4e18) {
		t.Errorf("KV cache of %d bytes", got)
	}
	if got := s.Parameters(); !near(got, 6.043e18) {
		t.Errorf("%d parameters", got)
	}
	s.KVLoraRank, s.QLoraRank, s.QKRopeHeadDim, s.QKNopeHeadDim, s.VHeadDim = maxWidth, maxWidth, maxHeadDim, maxHeadDim, maxHeadDim
	if got := s.Parameters(); !near(got, 6.055e18) {
		t.Errorf("%d parameters", got)
	}
}

func FuzzModels(f *testing.F) {
	f.Add(modelsYAML)
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := ParseModels("m.yaml", text)
		if mistake := (*FileError)(nil); err != nil {
			if !errors.As(err, &mistake) || mistake.File != "m.yaml" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, m := range all {
			kv, parameters := m.Shape.KVBytes(m.ContextTokens, 512, 2), m.Shape.Parameters()
			if m.Name == "" || !strings.Contains(m.Repo, "/") || m.Sized() && kv <= 0 || parameters < 0 {
				t.Errorf("%+v", m)
			}
		}
	})
}
