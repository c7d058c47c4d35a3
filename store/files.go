//go:build duckdb_arrow

package store

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/shirou/gopsutil/v4/disk"
)

// A path that a user gave is never used as a pattern. To find files in a folder, the folder is read.

// Entries returns the paths of the entries of a folder that match. It returns none when the folder does not exist.
func Entries(dir string, match func(fs.DirEntry) bool) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if match(e) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

// FolderNamed matches folders whose names begin with a prefix.
func FolderNamed(prefix string) func(fs.DirEntry) bool {
	return func(e fs.DirEntry) bool { return e.IsDir() && strings.HasPrefix(e.Name(), prefix) }
}

// lockMark is the name of a file in each temporary folder of wb, such as a folder of snapshots.
// The process that made the folder keeps this file locked as long as it runs.
const lockMark = ".wb-owned"

// MakeLocked makes a folder in dir that only this user can enter. Its name begins with prefix. release removes it.
// SweepAbandoned removes the folder later if this process is killed.
func MakeLocked(dir, prefix string) (path string, release func() error, err error) {
	if path, err = os.MkdirTemp(dir, prefix); err != nil {
		return "", nil, err
	}
	mark, err := os.OpenFile(filepath.Join(path, lockMark), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(path))
	}
	lockFile(mark)
	return path, sync.OnceValue(func() error { return errors.Join(removeLocked(path), mark.Close()) }), nil
}

// removeLocked removes a folder. It removes the mark last, so that a folder that was removed only in part can still be swept.
func removeLocked(path string) error {
	inside, err := Entries(path, func(e fs.DirEntry) bool { return e.Name() != lockMark })
	for _, p := range inside {
		err = errors.Join(err, os.RemoveAll(p))
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// SweepAbandoned removes from dir the folders that MakeLocked made with prefix, if the processes that made them are gone.
// It removes nothing else: an entry must be a folder, belong to this user, have such a name and contain a mark that is not locked.
func SweepAbandoned(dir, prefix string) {
	left, err := Entries(dir, FolderNamed(prefix))
	if err != nil {
		return // a folder that cannot be read cannot be swept
	}
	for _, p := range left {
		if digits := strings.TrimPrefix(filepath.Base(p), prefix); digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		if st, err := os.Lstat(p); err != nil || !st.IsDir() || !OfThisUser(st) {
			continue
		}
		st, err := os.Lstat(filepath.Join(p, lockMark))
		if err != nil || !st.Mode().IsRegular() || !OfThisUser(st) {
			continue
		}
		mark, err := os.OpenFile(filepath.Join(p, lockMark), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lockFile(mark) {
			_ = removeLocked(p)
		}
		_ = mark.Close()
	}
}

// spillPrefix begins the names of the folders into which DuckDB writes what does not fit into its memory.
const spillPrefix = ".wb-spill-"

// spill makes a folder for what does not fit into DuckDB's memory: in dir, or in the system's temporary folder if dir is not writable.
// It puts the settings for DuckDB into opts. DuckDB may write at most 16 GiB, or half of the free space if that is less.
func spill(dir string, opts url.Values) (release func() error, err error) {
	for _, at := range []string{dir, os.TempDir()} {
		SweepAbandoned(at, spillPrefix)
		var path string
		if path, release, err = MakeLocked(at, spillPrefix); err != nil {
			continue
		}
		most := uint64(16 << 30)
		if u, err := disk.Usage(path); err == nil {
			most = min(most, u.Free/2)
		}
		opts.Set("temp_directory", path)
		opts.Set("max_temp_directory_size", strconv.FormatUint(most, 10)+"B")
		return release, nil
	}
	return nil, err
}
