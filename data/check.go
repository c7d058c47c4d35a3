package data

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"wb/data/plain"
)

// CheckFiles reads conversation files and calls tell with the conversation or the mistake of each. Of a folder it reads all files
// for which IsFile is true, also in subfolders that are not hidden. A file that is named in paths is read whatever its name is.
func CheckFiles(paths []string, tell func(path string, c *Conversation, err error)) error {
	for _, p := range paths {
		err := filepath.WalkDir(p, func(f string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && f != p && strings.HasPrefix(d.Name(), "."):
				return fs.SkipDir
			case !d.IsDir() && (f == p || IsFile(f)):
				c, err := ReadFile(f)
				tell(f, c, err)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", p, plain.PathCause(err))
		}
	}
	return nil
}
