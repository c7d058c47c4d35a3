package plain

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Commit returns the first 12 characters of the commit from which the program was built, with a + if the tree had changes.
// It returns "" if the commit is not known.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if len(rev) > 12 {
		rev = rev[:12]
	}
	return rev + dirty
}

// Build describes a build in lines of a name and a value: its version, the commit, DuckDB, Go and the platform.
// A + after the commit says that files had changed since.
func Build(version, duckdb string) string {
	commit := Commit()
	if commit == "" {
		commit = "not recorded"
	}
	return fmt.Sprintf("wb        %s\ncommit    %s\nDuckDB    %s\nGo        %s\nplatform  %s/%s\n",
		version, commit, duckdb, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
