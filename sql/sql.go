// Package sql holds all SQL text of wb and nothing else: migrations (schema/NNNN_*.sql, append-only), the views for people
// (views.sql, re-applied whenever it changes) and the saved queries (reports/*.sql).
package sql

import "embed"

// Files holds schema/*.sql, views.sql and reports/*.sql.
//
//go:embed schema/*.sql views.sql reports/*.sql
var Files embed.FS
