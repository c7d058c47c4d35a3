//go:build duckdb_arrow && !linux

package store

// exchange is Linux's.
func exchange(string, string) bool { return false }
