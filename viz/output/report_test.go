package output

import (
	"strings"
	"testing"

	"wb/queries/table"
)

// Files of a report have the name of the run, with its id if another run could have the same file name.
func TestFileName(t *testing.T) {
	const id = "0a1b2c3d-1111-4000-8000-000000000001"
	for name, want := range map[string]string{
		"base": "base", "a b": "a-b-0a1b2c3d", "a/b": "a-b-0a1b2c3d", "on 0a1b2c3d": "on-0a1b2c3d", "x_system": "x_system-0a1b2c3d",
		"日本": "0a1b2c3d", "..": "0a1b2c3d", strings.Repeat("x", 300): strings.Repeat("x", 80) + "-0a1b2c3d",
	} {
		if got := fileName(table.RunRef{ID: id, Name: name}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
