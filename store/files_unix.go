//go:build duckdb_arrow && unix

package store

import (
	"io/fs"
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, until it is closed; false when another one has it, or there are no locks.
func lockFile(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// OfThisUser says whether a file belongs to this user.
func OfThisUser(st fs.FileInfo) bool { return OfUser(st, os.Getuid()) }

// OfUser says whether a file belongs to a user.
func OfUser(st fs.FileInfo, uid int) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid
}
