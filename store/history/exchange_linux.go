//go:build duckdb_arrow && linux

package history

import "golang.org/x/sys/unix"

// exchange swaps the names of two folders in one step, so that neither is missing for a moment.
// It returns false when the file system cannot do that.
func exchange(a, b string) bool {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil
}
