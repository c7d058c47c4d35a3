//go:build duckdb_arrow && !unix

package store

import (
	"io/fs"
	"os"
)

// lockFile returns false: there are no locks on this system, so what a killed process left is not swept.
func lockFile(*os.File) bool { return false }

// OfThisUser returns false: this system does not tell whose file it is.
func OfThisUser(fs.FileInfo) bool { return false }

// OfUser returns false: this system does not tell whose file it is.
func OfUser(fs.FileInfo, int) bool { return false }
