package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
)

// ResolvedModel is a model that is on this machine.
type ResolvedModel struct {
	Served   string // the name that clients use
	Arg      string // the argument that vLLM is given
	Revision string // revision on the hub; "" for a directory and for main
	Dir      string
	Facts    *data.ModelFacts
}

// ModelRef says which repository and revision a name means: a name of wb's registry, or ORG/NAME[@REVISION]. served is the name that the
// model is served under.
func ModelRef(name string) (repo, revision, served string, err error) {
	ref, served := name, name
	base, rev, _ := strings.Cut(name, "@")
	known, ok, err := data.FindModel(base)
	if err != nil {
		return "", "", "", err
	}
	if ok {
		ref, served = known.Repo, known.Name
		if rev != "" {
			ref += "@" + rev
		}
	} else if !strings.Contains(name, "/") {
		names, err := data.ModelNames()
		if err != nil {
			return "", "", "", err
		}
		return "", "", "", plain.WithHint(plain.Mistakef("find model %s: wb knows none of that name%s", name, plain.DidYouMean(base, names)),
			"wb models list shows names; any other model is ORG/NAME")
	}
	repo, revision, err = hub.ParseRef(ref)
	return repo, revision, served, err
}

// ResolveModel finds a model on this machine: a directory, or a name in the hub's cache. repo and revision are those that the name means,
// also when the cache lacks the model. They are "" for a directory.
func ResolveModel(c *hub.Client, name string) (m *ResolvedModel, repo, revision string, err error) {
	if st, serr := os.Stat(name); serr == nil && st.IsDir() {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, "", "", fmt.Errorf("find model %s: %w", name, err)
		}
		f, err := data.ReadModel(abs)
		if err != nil {
			return nil, "", "", plain.WithHint(err, "a model directory holds config.json, a tokenizer and *.safetensors; wb models pull makes one")
		}
		return &ResolvedModel{Served: filepath.Base(abs), Arg: abs, Dir: abs, Facts: f}, "", "", nil
	}
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~") {
		return nil, "", "", plain.WithHint(fmt.Errorf("find model %s: no such directory", name),
			"wb models list shows names that can be pulled")
	}
	repo, revision, served, err := ModelRef(name)
	if err != nil {
		return nil, "", "", err
	}
	s, err := c.Find(repo, revision)
	if err != nil {
		return nil, repo, revision, err
	}
	f, err := data.ReadModel(s.Dir)
	if err != nil {
		return nil, repo, revision, err
	}
	m = &ResolvedModel{Served: served, Arg: repo, Dir: s.Dir, Facts: f}
	if revision != "main" {
		m.Revision = revision
	}
	return m, repo, revision, nil
}
