//go:build !duckdb_arrow

package store

// DuckDB's Arrow interface is compiled in only with this build tag. All other files of the package need the tag too.
// So a build without it prints only one error, which is about the undefined name below.
var _ = wb_needs_the_build_tag_duckdb_arrow__use_make_build_or_go_build_tags_duckdb_arrow
