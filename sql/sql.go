// Package sql holds all SQL text of wb and nothing else.
//
//   - schema/NNNN_*.sql are migrations. Only new ones are added.
//   - gpus.sql (data) and views/*.sql are the views for people. They are applied in the order of their names, and again when they change.
//   - reports/*.sql are the saved queries.
//   - internal/*.sql are the statements that Go runs.
package sql

import "embed"

// Files holds schema/*.sql, gpus.sql, views/*.sql, reports/*.sql and internal/*.sql.
//
//go:embed schema/*.sql gpus.sql views/*.sql reports/*.sql internal/*.sql
var Files embed.FS

// Statement gives a statement that Go runs: the text of internal/NAME.sql. It panics if there is no such file, which is a mistake
// in the program.
func Statement(name string) string {
	text, err := Files.ReadFile("internal/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	return string(text)
}
