//go:build unix

package output

import (
	"io/fs"
	"os"
	"syscall"
)

// links is how many names a file has.
func links(st fs.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink) //nolint:unconvert // 16 bits on macOS
	}
	return 1
}

// keepOwner gives a file the owner and group of another; an error where this user may not.
func keepOwner(f *os.File, st fs.FileInfo) error {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if o, ok := own.Sys().(*syscall.Stat_t); ok && o.Uid == s.Uid && o.Gid == s.Gid {
		return nil
	}
	return f.Chown(int(s.Uid), int(s.Gid))
}
