//go:build unix

package output

import (
	"io/fs"
	"os"
	"syscall"
)

// links gives the number of names (hard links) of a file.
func links(st fs.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink) //nolint:unconvert // 16 bits on macOS
	}
	return 1
}

// keepOwner gives f the owner and group of the file st. It returns an error if the user may not do this.
func keepOwner(f *os.File, st fs.FileInfo) error {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if o, ok := now.Sys().(*syscall.Stat_t); ok && o.Uid == s.Uid && o.Gid == s.Gid {
		return nil
	}
	return f.Chown(int(s.Uid), int(s.Gid))
}
