// Package sql holds all SQL text of wb and nothing else: migrations (schema/NNNN_*.sql, append-only), the views for people
// (gpus.sql, which is data, and views/*.sql in the order of their names, all re-applied whenever they change), the saved queries
// (reports/*.sql), and the statements that Go runs (internal/*.sql).
package sql

import "embed"

// Files holds schema/*.sql, gpus.sql, views/*.sql, reports/*.sql and internal/*.sql.
//
//go:embed schema/*.sql gpus.sql views/*.sql reports/*.sql internal/*.sql
var Files embed.FS

// Statement gives a statement that Go runs: the text of internal/NAME.sql. A name that is not there is a mistake of the
// program, and panics.
func Statement(name string) string {
	text, err := Files.ReadFile("internal/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	return string(text)
}
