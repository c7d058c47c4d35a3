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
	Served   string // name clients use
	Arg      string // what vLLM is given
	Revision string // of the hub; "" for a directory and for main
	Dir      string
	Facts    *data.ModelFacts
}

// ModelRef says which repository and revision a name means: one of wb's registry, or ORG/NAME[@REVISION]. served is what the model is
// called when it is served.
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
		return "", "", "", plain.WithHint(fmt.Errorf("find model %s: wb knows none of that name", name),
			"wb models list shows names; any other model is ORG/NAME")
	}
	repo, revision, err = hub.ParseRef(ref)
	return repo, revision, served, err
}

// ResolveModel finds a model on this machine: a directory, or a name in the hub's cache. missing gives the repository and revision
// when it is a name that the cache lacks.
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
