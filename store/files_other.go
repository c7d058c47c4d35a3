//go:build duckdb_arrow && !unix

package store

import (
	"io/fs"
	"os"
)

// lockFile has no locks to take: what a killed process left stays.
func lockFile(*os.File) bool { return false }

// OfThisUser cannot tell.
func OfThisUser(fs.FileInfo) bool { return false }

// OfUser cannot tell.
func OfUser(fs.FileInfo, int) bool { return false }
