package hub

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"wb/data/plain"
)

// GGUFRef names a model in GGUF files, which llama.cpp loads. A repository has one for each quantisation, in one file or in several parts.
type GGUFRef struct {
	Repo     string
	Revision string // "" for main, and for whatever the cache has
	Quant    string // as in the names of files, such as Q4_K_M, in any case; "" when the name does not say
	File     string // path in the repository; "" when the name does not say
}

// ParseGGUFRef reads ORG/REPO, ORG/REPO:QUANT or ORG/REPO/FILE.gguf, as llama.cpp's -hf does, each with @REVISION if wanted.
func ParseGGUFRef(name string) (GGUFRef, error) {
	bad := func(why string) (GGUFRef, error) {
		return GGUFRef{}, &Error{Op: fmt.Sprintf("read model name %q", name), Cause: why}
	}
	rest, revision, hasRevision := strings.Cut(name, "@")
	revision, quant, hasQuant := strings.Cut(revision, ":")
	if !hasQuant {
		rest, quant, hasQuant = strings.Cut(rest, ":")
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 {
		return bad("it must be ORG/REPO, ORG/REPO:QUANT or ORG/REPO/FILE.gguf")
	}
	ref := GGUFRef{Repo: parts[0] + "/" + parts[1], Revision: revision, Quant: quant}
	if _, _, err := ParseRef(ref.Repo); err != nil {
		return bad("it must be ORG/REPO, ORG/REPO:QUANT or ORG/REPO/FILE.gguf")
	}
	if hasRevision {
		if _, _, err := ParseRef(ref.Repo + "@" + revision); err != nil {
			return bad("the revision after @ is not a valid branch, tag or commit")
		}
	}
	if len(parts) == 3 {
		if ref.File = parts[2]; path.Ext(ref.File) != ".gguf" || !filepath.IsLocal(ref.File) || hasQuant {
			return bad("after ORG/REPO/ it must be the name of a file that ends in .gguf")
		}
	}
	if hasQuant && !quantName.MatchString(quant) {
		return bad("after the colon it must be a quantisation, such as Q4_K_M")
	}
	return ref, nil
}

// String writes the name as ParseGGUFRef reads it.
func (r GGUFRef) String() string {
	text := r.Repo
	switch {
	case r.File != "":
		text += "/" + r.File
	case r.Quant != "":
		text += ":" + r.Quant
	}
	if r.Revision != "" && r.Revision != "main" {
		text += "@" + r.Revision
	}
	return text
}

var (
	quantName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$`)
	// a quantisation within the name of a file. UD- is that of Unsloth's dynamic ones.
	quantWord = regexp.MustCompile(`(?i)(?:^|[-._/])((?:UD-)?(?:I?Q[1-9](?:_[A-Z0-9]+)*|TQ[12]_0|B?F16|F32|FP16|FP32|` +
		`MXFP4(?:_MOE)?|NVFP4))(?:$|[-./])`)
	ggufSplit = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})$`) // llama_split_path in llama.cpp
)

// notAModel begins or is part of the names of GGUF files that belong to a model: its part for images, figures for quantising it, and small
// models that guess what it says (gguf_filename_is_model in common/download.cpp of llama.cpp).
var notAModel = []string{"mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"}

// ggufSet is one model among the files of a repository or a folder: one file, or all parts.
type ggufSet struct {
	stem  string   // path without the number of the part and without .gguf
	quant string   // "" when the name does not say
	files []string // in the order of their numbers
	parts int      // how many there should be
	aside bool     // not a model itself
}

func (s ggufSet) whole() bool { return len(s.files) == s.parts }

// label is how a list of choices names the model.
func (s ggufSet) label() string {
	if s.quant != "" {
		return s.quant
	}
	return s.files[0]
}

// ggufSets groups the GGUF files among names to models, in the order of their names.
func ggufSets(names []string) []ggufSet {
	byStem := map[string]*ggufSet{}
	for _, name := range slices.Sorted(slices.Values(names)) {
		stem, ok := strings.CutSuffix(name, ".gguf")
		if !ok || strings.HasPrefix(path.Base(name), ".") {
			continue
		}
		parts := 1
		if m := ggufSplit.FindStringSubmatch(stem); m != nil {
			if n, err := strconv.Atoi(m[3]); err == nil && n > 0 {
				stem, parts = m[1], n
			}
		}
		key := fmt.Sprintf("%s %d", stem, parts)
		if byStem[key] == nil {
			base := path.Base(name)
			byStem[key] = &ggufSet{stem: stem, quant: quantOf(stem), parts: parts,
				aside: slices.ContainsFunc(notAModel, func(s string) bool { return strings.Contains(base, s) })}
		}
		byStem[key].files = append(byStem[key].files, name)
	}
	var out []ggufSet
	for _, s := range byStem {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b ggufSet) int { return strings.Compare(a.files[0], b.files[0]) })
	return out
}

// quantOf finds the quantisation in the path of a file without its ending: in its name, or else in the name of its folder.
func quantOf(stem string) string {
	for _, text := range []string{path.Base(stem), path.Base(path.Dir(stem))} {
		last := ""
		for rest := text; ; {
			m := quantWord.FindStringSubmatchIndex(rest)
			if m == nil {
				break
			}
			last = rest[m[2]:m[3]]
			rest = rest[m[3]:]
		}
		if last != "" {
			return strings.ToUpper(last)
		}
	}
	return ""
}

// preferred are the quantisations that are chosen when none is asked for, as llama.cpp chooses them.
var preferred = []string{"Q4_K_M", "Q8_0"}

// choose finds the model that a reference means among those of a repository. The error lists what there is.
func (r GGUFRef) choose(sets []ggufSet) (ggufSet, error) {
	if r.File != "" {
		i := slices.IndexFunc(sets, func(s ggufSet) bool { return slices.Contains(s.files, r.File) })
		if i >= 0 {
			return sets[i], nil
		}
		var files []string
		for _, s := range sets {
			files = append(files, s.files[0])
		}
		return ggufSet{}, fmt.Errorf("it has no file %s%s", r.File, plain.Instead(r.File, files))
	}
	sets = slices.DeleteFunc(slices.Clone(sets), func(s ggufSet) bool { return s.aside })
	if len(sets) == 0 {
		return ggufSet{}, errors.New("it has no GGUF files")
	}
	var labels []string
	for _, s := range sets {
		labels = append(labels, s.label())
	}
	wanted := []string{r.Quant}
	if r.Quant == "" {
		wanted = preferred
	}
	for _, quant := range wanted {
		found := slices.DeleteFunc(slices.Clone(sets), func(s ggufSet) bool { return !strings.EqualFold(s.quant, quant) })
		if len(found) == 0 { // UD-Q4_K_XL is found as Q4_K_XL, too
			found = slices.DeleteFunc(slices.Clone(sets), func(s ggufSet) bool { return !strings.EqualFold("UD-"+quant, s.quant) })
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return ggufSet{}, fmt.Errorf("it has several files that are %s: %s; name one as %s/FILE.gguf", quant, listed(found), r.Repo)
	}
	switch {
	case r.Quant != "":
		return ggufSet{}, fmt.Errorf("it has no %s; it has %s", r.Quant, strings.Join(labels, ", "))
	case len(sets) == 1:
		return sets[0], nil
	}
	return ggufSet{}, fmt.Errorf("it has neither Q4_K_M nor Q8_0; name one of %s as %s:QUANT", strings.Join(labels, ", "), r.Repo)
}

func listed(sets []ggufSet) string {
	var names []string
	for _, s := range sets {
		names = append(names, s.files[0])
	}
	return strings.Join(names, ", ")
}

// GGUF is a model in GGUF files in the cache.
type GGUF struct {
	Ref        GGUFRef // File is the first one; Quant is "" where the file's name does not say
	Path       string  // of the first file
	Files      int
	Bytes      int64
	Complete   bool // all parts are there, and each begins as a GGUF file does
	Aside      bool // not a model itself, such as the part of one for images
	Commit     string
	Downloaded int64 // bytes that were downloaded by this call
	ChangedAt  time.Time
}

// Name is how the model is named: ORG/REPO:QUANT, or ORG/REPO/FILE.gguf when the file's name has no quantisation.
func (g GGUF) Name() string {
	if g.Ref.Quant != "" {
		return g.Ref.Repo + ":" + g.Ref.Quant
	}
	return g.Ref.Repo + "/" + g.Ref.File
}

// Stem is the name of the first file without the number of its part and without .gguf.
func (g GGUF) Stem() string {
	stem := strings.TrimSuffix(path.Base(g.Ref.File), ".gguf")
	if m := ggufSplit.FindStringSubmatch(stem); m != nil {
		return m[1]
	}
	return stem
}

// PullGGUF downloads the file of a model, or all of its parts, as Pull does. Without a quantisation it takes Q4_K_M, or else Q8_0, or else
// the only one. It returns an error that lists what there is if that leaves several, or if the repository lacks what was asked for.
// If the client is Offline, it only looks into the cache.
func (c *Client) PullGGUF(ctx context.Context, ref GGUFRef, report func(Progress)) (*GGUF, error) {
	if c.Offline {
		return c.FindGGUF(ref)
	}
	revision := ref.Revision
	if revision == "" {
		revision = "main"
	}
	l, err := c.List(ctx, ref.Repo, revision)
	if err != nil {
		return nil, err
	}
	op := "pull " + ref.String()
	shows := c.Endpoint + "/" + ref.Repo + " shows its files"
	var names []string
	for _, f := range l.Files {
		names = append(names, f.Path)
	}
	set, err := ref.choose(ggufSets(names))
	if err != nil {
		return nil, &Error{Op: op, Cause: err.Error(), hint: shows, wrapped: err}
	}
	if !set.whole() {
		return nil, &Error{Op: op, Cause: fmt.Sprintf("the hub has %d of the %d parts of %s", len(set.files), set.parts, set.stem), hint: shows}
	}
	files := slices.DeleteFunc(slices.Clone(l.Files), func(f File) bool { return !slices.Contains(set.files, f.Path) })
	s, err := c.download(ctx, op, l, files, report, func(dir string) error { return checkGGUF(dir, set) })
	if err != nil {
		return nil, err
	}
	g := &GGUF{Ref: GGUFRef{Repo: ref.Repo, Revision: revision, Quant: set.quant, File: set.files[0]},
		Path: filepath.Join(s.Dir, filepath.FromSlash(set.files[0])), Files: s.Files, Bytes: s.Bytes, Complete: true, Aside: set.aside,
		Commit: s.Commit, Downloaded: s.Downloaded}
	if g.Aside {
		g.Ref.Quant = ""
	}
	return g, nil
}

// checkGGUF returns an error unless a folder has all files of a model, and each begins as a GGUF file does.
func checkGGUF(dir string, set ggufSet) error {
	if !set.whole() {
		return fmt.Errorf("%d of its %d parts are there", len(set.files), set.parts)
	}
	for _, file := range set.files {
		if err := looksWhole(filepath.Join(dir, filepath.FromSlash(file))); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// GGUFModels returns the models among the names of a folder's files: the first file of each, without files that belong to a model.
func GGUFModels(names []string) (first []string) {
	for _, s := range ggufSets(names) {
		if !s.aside {
			first = append(first, s.files[0])
		}
	}
	return first
}
