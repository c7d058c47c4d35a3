package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FindGGUF looks for a model in the cache, without a request. Without a revision any snapshot will do, that of main first. Without a
// quantisation it chooses among those that are in the cache, as PullGGUF does. Its error wraps ErrNotCached if the model is missing or
// incomplete.
func (c *Client) FindGGUF(ref GGUFRef) (*GGUF, error) {
	op := fmt.Sprintf("find %s in %s", ref, c.CacheDir)
	hint := "download it with wb models pull " + ref.String()
	if c.Offline {
		hint = "unset HF_HUB_OFFLINE to download it"
	}
	missing := func(cause string) (*GGUF, error) {
		return nil, &Error{Op: op, Cause: cause, hint: hint, wrapped: ErrNotCached}
	}
	have := c.ggufOf(ref.Repo, ref.Revision)
	if len(have) == 0 {
		return missing(ErrNotCached.Error())
	}
	var sets []ggufSet
	for _, g := range have {
		sets = append(sets, g.set)
	}
	set, err := ref.choose(sets)
	if err != nil {
		return missing(ErrNotCached.Error() + ": " + err.Error())
	}
	i := slices.IndexFunc(have, func(g cachedSet) bool { return g.set.files[0] == set.files[0] })
	if !have[i].Complete {
		return missing("only part of it is there: " + plainPath(checkGGUF(have[i].dir, set)))
	}
	return &have[i].GGUF, nil
}

// GGUFs returns the models in GGUF files of the cache, in the order of their repositories and files.
func (c *Client) GGUFs() ([]GGUF, error) {
	all, err := c.Cache()
	var out []GGUF
	for _, x := range all {
		out = append(out, x.GGUFs...)
	}
	return out, err
}

// cachedSet is a model in one snapshot of a repository.
type cachedSet struct {
	GGUF
	set ggufSet
	dir string // the snapshot
}

// ggufOf finds the models of a repository in the cache. With a revision it looks only into its snapshot. Of a model that several snapshots
// have, it gives the complete one, that of main first.
func (c *Client) ggufOf(repo, revision string) []cachedSet {
	base := filepath.Join(c.CacheDir, folder(repo))
	commits := []string{revision}
	if !commitPattern.MatchString(revision) {
		name := revision
		if name == "" {
			name = "main"
		}
		commits = nil
		if b, err := os.ReadFile(filepath.Join(base, "refs", filepath.FromSlash(name))); err == nil {
			commits = append(commits, strings.TrimSpace(string(b)))
		}
	}
	if revision == "" {
		for _, s := range entriesOf(filepath.Join(base, "snapshots")) {
			if !slices.Contains(commits, s.Name()) {
				commits = append(commits, s.Name())
			}
		}
	}
	var out []cachedSet
	for _, commit := range commits {
		if !filepath.IsLocal(commit) {
			continue
		}
		dir := filepath.Join(base, "snapshots", commit)
		for _, set := range ggufSets(filesBelow(dir)) {
			g := cachedSet{set: set, dir: dir, GGUF: GGUF{Ref: GGUFRef{Repo: repo, Revision: revision, Quant: set.quant, File: set.files[0]},
				Path: filepath.Join(dir, filepath.FromSlash(set.files[0])), Files: len(set.files), Commit: commit,
				Complete: checkGGUF(dir, set) == nil}}
			if g.Aside = set.aside; g.Aside {
				g.Ref.Quant = ""
			}
			for _, f := range set.files {
				if st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f))); err == nil {
					g.Bytes += st.Size()
					if st.ModTime().After(g.ChangedAt) {
						g.ChangedAt = st.ModTime()
					}
				}
			}
			i := slices.IndexFunc(out, func(o cachedSet) bool { return o.set.stem == set.stem && o.set.parts == set.parts })
			switch {
			case i < 0:
				out = append(out, g)
			case !out[i].Complete && g.Complete:
				out[i] = g
			}
		}
	}
	slices.SortFunc(out, func(a, b cachedSet) int { return strings.Compare(a.Ref.File, b.Ref.File) })
	return out
}

// entriesOf returns what a folder holds. A folder that cannot be read holds nothing.
func entriesOf(dir string) []fs.DirEntry {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	return entries
}

// filesBelow returns the files of a folder and the folders in it, as paths with slashes.
func filesBelow(dir string) (files []string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error { // a folder that cannot be read holds nothing
		if err == nil && !d.IsDir() {
			if r, err := filepath.Rel(dir, p); err == nil {
				files = append(files, filepath.ToSlash(r))
			}
		}
		return nil
	})
	return files
}

// RemoveGGUF deletes the files of one model, with a quantisation or a file in its name, from all snapshots. It deletes blobs that nothing
// else uses, and returns how many bytes that freed. Its error wraps ErrNotCached if the cache has no such model.
func (c *Client) RemoveGGUF(ref GGUFRef) (int64, error) {
	op := fmt.Sprintf("remove %s from %s", ref, c.CacheDir)
	base := filepath.Join(c.CacheDir, folder(ref.Repo))
	var sets []ggufSet
	for _, g := range c.ggufOf(ref.Repo, "") {
		sets = append(sets, g.set)
	}
	set, err := ref.choose(sets)
	if err != nil {
		cause := ErrNotCached.Error()
		if len(sets) > 0 {
			cause += ": " + err.Error()
		}
		return 0, &Error{Op: op, Cause: cause, hint: "wb models list --cached shows what is there", wrapped: ErrNotCached}
	}
	freed, err := c.unlink(base, set)
	if err != nil {
		return freed, &Error{Op: op, Cause: plainPath(err), wrapped: err}
	}
	return freed, nil
}

// unlink removes the files of a model from all snapshots below base, then the blobs that they alone used, then what is empty.
func (c *Client) unlink(base string, set ggufSet) (freed int64, err error) {
	snapshots := filepath.Join(base, "snapshots")
	var blobs []string
	used := map[string]bool{}
	for _, name := range filesBelow(snapshots) {
		file := filepath.Join(snapshots, filepath.FromSlash(name))
		target, lerr := os.Readlink(file)
		if lerr == nil && !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(file), target)
		}
		_, within, _ := strings.Cut(name, "/") // after the commit
		if !slices.ContainsFunc(ggufSets([]string{within}), func(s ggufSet) bool { return s.stem == set.stem && s.parts == set.parts }) {
			used[target] = true
			continue
		}
		if lerr != nil { // a copy, where links are not possible
			if st, err := os.Stat(file); err == nil {
				freed += st.Size()
			}
		} else if filepath.Dir(target) == filepath.Join(base, "blobs") {
			blobs = append(blobs, target)
		}
		if err := os.Remove(file); err != nil {
			return freed, err
		}
		for dir := filepath.Dir(file); dir != snapshots && len(entriesOf(dir)) == 0; dir = filepath.Dir(dir) {
			if err := os.Remove(dir); err != nil {
				return freed, err
			}
		}
	}
	slices.Sort(blobs)
	for _, b := range slices.Compact(blobs) {
		st, err := os.Stat(b)
		if used[b] || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.Remove(b)
		}
		if err != nil {
			return freed, err
		}
		freed += st.Size()
	}
	if len(entriesOf(snapshots)) > 0 || len(entriesOf(filepath.Join(base, "blobs"))) > 0 {
		return freed, nil
	}
	for _, d := range []string{base, filepath.Join(c.CacheDir, ".locks", filepath.Base(base))} {
		if err := os.RemoveAll(d); err != nil {
			return freed, err
		}
	}
	return freed, nil
}
