//go:build !duckdb_arrow

package history

// Without this file, a build without the tag says that the package has no files. With it, the build gets as far as package store,
// whose one error says what is missing.
import _ "wb/store"
