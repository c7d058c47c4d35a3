//go:build duckdb_arrow

// Package storetest helps tests to read files. Only tests may import it.
package storetest

import (
	"context"
	"errors"

	"wb/store"
)

// Scan reads the only row of a query into variables.
func Scan(db *store.DB, q string, into ...any) (err error) {
	c, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return c.QueryRowContext(context.Background(), q).Scan(into...)
}
