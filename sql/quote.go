package sql

import "strings"

// Text gives a string as a literal of SQL.
func Text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Name gives a name as SQL reads it whatever is in it.
func Name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
