// Package sql holds all SQL text of wb and nothing else: migrations (schema/NNNN_*.sql, append-only), the views for people
// (gpus.sql, which is data, and views.sql, both re-applied whenever they change) and the saved queries (reports/*.sql).
package sql

import "embed"

// Files holds schema/*.sql, gpus.sql, views.sql and reports/*.sql.
//
//go:embed schema/*.sql gpus.sql views.sql reports/*.sql
var Files embed.FS
