//go:build duckdb_arrow && !linux

package history

// exchange returns false: only Linux can swap two folders in one step.
func exchange(string, string) bool { return false }
