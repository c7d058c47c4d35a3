package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Find looks for a model in the cache, without a request. Its error wraps ErrNotCached if the model is missing or incomplete.
func (c *Client) Find(repo, revision string) (*Snapshot, error) {
	op := fmt.Sprintf("find %s in %s", repo, c.CacheDir)
	hint := "download it with wb models pull " + repo
	if c.Offline {
		hint = "unset HF_HUB_OFFLINE to download it"
	}
	base := filepath.Join(c.CacheDir, folder(repo))
	commit := revision
	if !commitPattern.MatchString(revision) {
		b, err := os.ReadFile(filepath.Join(base, "refs", filepath.FromSlash(revision)))
		if err != nil {
			return nil, &Error{Op: op, Cause: ErrNotCached.Error(), hint: hint, wrapped: ErrNotCached}
		}
		commit = strings.TrimSpace(string(b))
	}
	s := &Snapshot{Repo: repo, Revision: revision, Commit: commit, Dir: filepath.Join(base, "snapshots", commit)}
	err := filepath.WalkDir(s.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(p) // follows the link
		if err != nil {
			return err
		}
		s.Files++
		s.Bytes += st.Size()
		return nil
	})
	if err == nil {
		err = checkModel(s.Dir)
	}
	if err != nil {
		cause := "only part of it is there"
		if st, serr := os.Stat(s.Dir); serr == nil && st.IsDir() {
			cause += ": " + plainPath(err)
		}
		return nil, &Error{Op: op, Cause: cause, hint: hint, wrapped: ErrNotCached}
	}
	return s, nil
}

// Cached is a repository in the cache.
type Cached struct {
	Repo      string
	Revisions []string // branches and tags that point to a snapshot
	Bytes     int64    // size of all blobs, partial ones included
	Complete  bool     // one revision or more has all that an engine needs: configuration and weights, or a GGUF file
	ChangedAt time.Time

	GGUFs     []GGUF // models in GGUF files, and files that belong to them
	RestBytes int64  // part of Bytes that is not theirs: other models, and partial downloads
	Whole     bool   // one revision or more has configuration and weights
}

// Cache returns the models of the cache in the order of their names. It returns none if the directory does not exist.
func (c *Client) Cache() ([]Cached, error) {
	entries, err := os.ReadDir(c.CacheDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Op: "read " + c.CacheDir, Cause: plainPath(err), wrapped: err}
	}
	var out []Cached
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), "models--")
		if !ok || !e.IsDir() {
			continue
		}
		org, model, ok := strings.Cut(name, "--")
		if !ok {
			continue
		}
		x := Cached{Repo: org + "/" + model}
		base := filepath.Join(c.CacheDir, e.Name())
		blobs, err := os.ReadDir(filepath.Join(base, "blobs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &Error{Op: "read " + base, Cause: plainPath(err), wrapped: err}
		}
		for _, b := range blobs {
			if st, err := b.Info(); err == nil {
				x.Bytes += st.Size()
				if st.ModTime().After(x.ChangedAt) {
					x.ChangedAt = st.ModTime()
				}
			}
		}
		refs := filepath.Join(base, "refs")
		_ = filepath.WalkDir(refs, func(p string, d fs.DirEntry, err error) error { // a repository may have no refs
			if err == nil && !d.IsDir() {
				if r, err := filepath.Rel(refs, p); err == nil {
					x.Revisions = append(x.Revisions, filepath.ToSlash(r))
				}
			}
			return nil
		})
		snapshots, err := os.ReadDir(filepath.Join(base, "snapshots"))
		x.Whole = err == nil && slices.ContainsFunc(snapshots, func(e fs.DirEntry) bool {
			dir := filepath.Join(base, "snapshots", e.Name())
			return checkModel(dir) == nil
		})
		x.addGGUF(c.ggufOf(x.Repo, ""))
		out = append(out, x)
	}
	return out, nil
}

// addGGUF adds the models in GGUF files.
func (x *Cached) addGGUF(have []cachedSet) {
	x.Complete, x.RestBytes = x.Whole, x.Bytes
	for _, g := range have {
		x.GGUFs = append(x.GGUFs, g.GGUF)
		x.RestBytes = max(x.RestBytes-g.Bytes, 0)
		x.Complete = x.Complete || g.Complete && !g.Aside
	}
}

// Remove deletes a model from the cache, partial downloads included, and returns how many bytes that freed.
// Its error wraps ErrNotCached if the cache has nothing of the model.
func (c *Client) Remove(repo string) (int64, error) {
	all, err := c.Cache()
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(all, func(x Cached) bool { return x.Repo == repo })
	if i < 0 {
		return 0, &Error{
			Op: fmt.Sprintf("remove %s from %s", repo, c.CacheDir), Cause: ErrNotCached.Error(),
			hint: "wb models list --cached shows what is there", wrapped: ErrNotCached,
		}
	}
	for _, d := range []string{filepath.Join(c.CacheDir, folder(repo)), c.locks(repo)} {
		if err := os.RemoveAll(d); err != nil {
			return 0, &Error{Op: "remove " + repo, Cause: plainPath(err), wrapped: err}
		}
	}
	return all[i].Bytes, nil
}
