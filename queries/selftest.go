package queries

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	wbsql "wb/sql"
	"wb/store"
)

// SelftestLoad gives the load, tokens a second, up to which wb's own figures were shown to hold on the machine of a run, and the load that
// the run carried; NaN: not known.
func SelftestLoad(ctx context.Context, db *store.DB, run string) (holds, carried float64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	var h, c sql.NullFloat64
	if err := conn.QueryRowContext(ctx, wbsql.Statement("selftest_load"), run).Scan(&h, &c); err != nil {
		return 0, 0, fmt.Errorf("look up self-test: %w", err)
	}
	known := func(x sql.NullFloat64) float64 {
		if !x.Valid {
			return math.NaN()
		}
		return x.Float64
	}
	return known(h), known(c), nil
}
