//go:build !duckdb_arrow

package store

// DuckDB's Arrow interface is compiled in only with this tag; every other file of the package needs it too, so that this
// is the one error a build without it prints.
var _ = wb_needs_the_build_tag_duckdb_arrow__use_make_build_or_go_build_tags_duckdb_arrow
