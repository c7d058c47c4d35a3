//go:build duckdb_arrow && linux

package history

import "golang.org/x/sys/unix"

// exchange gives two folders each other's name in one step: neither is missing for a moment. false where the file system cannot.
func exchange(a, b string) bool {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil
}
