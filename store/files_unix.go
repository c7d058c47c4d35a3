//go:build duckdb_arrow && unix

package store

import (
	"io/fs"
	"os"
	"syscall"
)

// lockFile locks an open file until it is closed.
// It returns false when another process has locked the file, or when the file system has no locks.
func lockFile(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// OfThisUser reports whether a file belongs to this user.
func OfThisUser(st fs.FileInfo) bool { return OfUser(st, os.Getuid()) }

// OfUser reports whether a file belongs to the user with that id.
func OfUser(st fs.FileInfo, uid int) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid
}
