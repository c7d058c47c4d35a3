//go:build duckdb_arrow

// Command prepare makes the file that new databases are copied from. The build embeds it. Usage: prepare DIRECTORY
package main

import (
	"context"
	"fmt"
	"os"

	"wb/store"
)

func main() {
	if err := store.Prepare(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}
