package data

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/data/yamlfile"
)

// Load returns the built-in conversations and those of the directory dir, smallest expected size first. dir may be "". A file
// of dir replaces the built-in conversation with the same id. Two files of dir with one id are an error.
func Load(dir string) ([]*Conversation, error) {
	var all []*Conversation
	fromDir := map[string]bool{} // ids that a file of dir has taken
	add := func(c *Conversation, embedded bool) error {
		taken := fromDir[c.ID]
		fromDir[c.ID] = !embedded
		if i := slices.IndexFunc(all, func(o *Conversation) bool { return o.ID == c.ID }); i >= 0 {
			if embedded || taken {
				return &FileError{File: c.File, Line: idLine(c.File), Msg: fmt.Sprintf("id %q is already used by %s", c.ID, all[i].File)}
			}
			all[i] = c
			return nil
		}
		all = append(all, c)
		return nil
	}
	names, err := fs.Glob(builtin, "conversations/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("load conversations: %w", err)
	}
	for _, n := range names {
		text, err := fs.ReadFile(builtin, n)
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
		c, err := Parse("built-in:"+path.Base(n), text)
		if err == nil {
			err = add(c, true)
		}
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
	}
	if dir != "" {
		files, err := Files(dir)
		if err != nil {
			return nil, fmt.Errorf("load conversations: %w", err)
		}
		for _, f := range files {
			c, err := ReadFile(f)
			if err == nil {
				err = add(c, false)
			}
			if err != nil {
				return nil, fmt.Errorf("load conversations: %w", err)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *Conversation) int { return a.Tokens() - b.Tokens() })
	return all, nil
}

// Files lists the conversation files of a directory: those for which IsFile is true. It fails when there is none.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if p := filepath.Join(dir, e.Name()); IsFile(p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file", dir)
	}
	return out, nil
}

// IsFile reports whether a path ends in .yaml, .yml or .json and is a regular file that is not hidden. Editors and other
// systems leave hidden files beside the real ones (.talk.yaml.swp, ._talk.yaml). Reading a pipe would wait for its writer.
func IsFile(path string) bool {
	if strings.HasPrefix(filepath.Base(path), ".") || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
		return false
	}
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// Pick returns the conversations with these ids, in the order of ids. Without ids it returns all. An unknown id is an error.
func Pick(all []*Conversation, ids []string) ([]*Conversation, error) {
	if len(ids) == 0 {
		return all, nil
	}
	var out []*Conversation
	for _, id := range ids {
		i := slices.IndexFunc(all, func(c *Conversation) bool { return c.ID == id })
		if i < 0 {
			var known []string
			for _, c := range all {
				known = append(known, c.ID)
			}
			return nil, plain.Mistakef("pick conversation %q: no conversation has this id%s", id, plain.Instead(id, known))
		}
		out = append(out, all[i])
	}
	return out, nil
}

//go:embed conversations/*.yaml
var builtin embed.FS

// idLine reads a conversation file again and returns the line of its id. It returns 0 when the file cannot be read.
func idLine(path string) int {
	text, err := yamlfile.Read(path, MaxFileBytes)
	if err != nil {
		return 0
	}
	root, err := yamlfile.Parse(path, text, MaxFileBytes)
	if err != nil {
		return 0
	}
	return root.At("id")
}
