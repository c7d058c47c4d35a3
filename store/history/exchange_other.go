//go:build duckdb_arrow && !linux

package history

// exchange is Linux's.
func exchange(string, string) bool { return false }
