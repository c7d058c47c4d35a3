package sql

import "strings"

// Text gives a string as an SQL literal.
func Text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Name gives a quoted name, which SQL accepts whatever characters are in it.
func Name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
