//go:build duckdb_arrow && !unix

package store

import (
	"io/fs"
	"os"
)

// lockFile has no locks to take: what a killed process left stays.
func lockFile(*os.File) bool { return false }

// IsOwn cannot tell.
func IsOwn(fs.FileInfo) bool { return false }

// OwnedBy cannot tell.
func OwnedBy(fs.FileInfo, int) bool { return false }
