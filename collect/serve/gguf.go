package serve

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
)

// ResolveGGUF finds a model in GGUF files on this machine. name is the path of a file, the path of a folder with one model, ORG/REPO,
// ORG/REPO:QUANT, ORG/REPO/FILE.gguf, or the name of a file in the hub's cache without .gguf, in any case. path is that of the first file,
// and served the name that clients use. The error wraps hub.ErrNotCached for a model of the hub that the cache lacks; PullGGUF downloads
// it.
func ResolveGGUF(h *hub.Client, name string) (path, served string, err error) {
	st, serr := os.Stat(name)
	switch {
	case serr == nil && st.IsDir():
		return ggufInFolder(name)
	case serr == nil:
		return ggufFile(name)
	case strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~"),
		strings.HasSuffix(name, ".gguf") && strings.Count(name, "/") == 1:
		return "", "", noFile(name)
	case !strings.Contains(name, "/"):
		path, served, err = ggufByStem(h, name)
		if err != nil && strings.HasSuffix(name, ".gguf") { // it was typed as the name of a file
			return "", "", noFile(name)
		}
		return path, served, err
	}
	ref, err := hub.ParseGGUFRef(name)
	if err != nil {
		return "", "", err
	}
	g, err := h.FindGGUF(ref)
	if err != nil {
		return "", "", err
	}
	return g.Path, g.Name(), nil
}

// noFile is the error for a path at which there is nothing. It names a file of the folder whose name is similar.
func noFile(name string) error {
	var near []string
	entries, _ := os.ReadDir(filepath.Dir(name)) // without the folder nothing is near
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".gguf" {
			near = append(near, e.Name())
		}
	}
	err := fmt.Errorf("find model %s: no such file or folder%s", name, plain.DidYouMean(filepath.Base(name), near))
	return plain.WithHint(err, "wb models list --cached shows the models of the hub's cache")
}

// beginsAsGGUF says whether a regular file begins as a GGUF file. Files of other caches have no ending.
func beginsAsGGUF(path string) bool {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == "GGUF"
}

// ggufFile takes the path of a file. For a part of a model that is the first part.
func ggufFile(name string) (path, served string, err error) {
	if filepath.Ext(name) != ".gguf" && !beginsAsGGUF(name) {
		return "", "", plain.WithHint(fmt.Errorf("find model %s: it is not a GGUF file", name), "llama.cpp loads files in the format GGUF")
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", "", fmt.Errorf("find model %s: %w", name, err)
	}
	first := data.GGUFParts(abs)[0]
	return first, hub.GGUF{Ref: hub.GGUFRef{File: filepath.Base(first)}}.Stem(), nil
}

// ggufInFolder takes the only model of a folder.
func ggufInFolder(dir string) (path, served string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", "", fmt.Errorf("find model %s: %w", dir, plain.PathCause(err))
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	switch found := hub.GGUFModels(names); len(found) {
	case 0:
		return "", "", plain.WithHint(fmt.Errorf("find model %s: the folder has no GGUF file", dir), "llama.cpp loads files that end in .gguf")
	case 1:
		return ggufFile(filepath.Join(dir, found[0]))
	default:
		return "", "", plain.WithHint(fmt.Errorf("find model %s: the folder has several: %s", dir, strings.Join(found, ", ")),
			"name one of the files")
	}
}

// ggufByStem looks for a model of the cache by the name of its file.
func ggufByStem(h *hub.Client, name string) (path, served string, err error) {
	all, err := h.GGUFs()
	if err != nil {
		return "", "", err
	}
	all = slices.DeleteFunc(all, func(g hub.GGUF) bool { return g.Aside })
	stem := strings.TrimSuffix(name, ".gguf")
	var known, found []string
	for _, g := range all {
		known = append(known, g.Stem())
		if strings.EqualFold(g.Stem(), stem) {
			found = append(found, g.Ref.Repo+"/"+g.Ref.File)
			path, served = g.Path, g.Stem()
			if !g.Complete {
				err = fmt.Errorf("find model %s: only part of %s is in the cache: %w", name, g.Name(), hub.ErrNotCached)
				err = plain.WithHint(err, "download it with wb models pull "+g.Name())
			}
		}
	}
	switch {
	case len(found) == 0:
		err = plain.Mistakef("find model %s: the cache has no GGUF file of that name%s", name, plain.Instead(stem, known))
		err = plain.WithHint(err, "name a file, or ORG/REPO:QUANT; wb models list --cached shows what the cache has")
	case len(found) > 1:
		err = plain.WithHint(fmt.Errorf("find model %s: the cache has several: %s", name, strings.Join(found, ", ")), "name one of them")
	}
	if err != nil {
		return "", "", err
	}
	return path, served, nil
}

// IsGGUF reports whether a name can only mean a model in GGUF files: that of a file, or one with a quantisation.
func IsGGUF(name string) bool { return strings.HasSuffix(name, ".gguf") || strings.Contains(name, ":") }
