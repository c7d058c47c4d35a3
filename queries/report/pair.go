package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

// Pair gives the selector and the base of a report that compares the runs of head with the run that base selects. flag is the value of
// --base, which must then be empty. It is an error if base selects several runs, or one of head.
func Pair(ctx context.Context, db *store.DB, base, head, flag string) (selector, first string, err error) {
	if flag != "" {
		return "", "", errors.New("report: with BASE and HEAD, --base has no meaning")
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", "", fmt.Errorf("report: %w", err)
	}
	defer conn.Close()
	var found [2][]table.RunRef
	for i, s := range []string{base, head} {
		if found[i], err = queries.Select(ctx, conn, s); err != nil {
			return "", "", err
		}
	}
	if n := len(found[0]); n != 1 {
		return "", "", fmt.Errorf("report: BASE %q selects %d runs, and one is needed: wb compare compares groups of runs", base, n)
	}
	one := found[0][0]
	if slices.Contains(found[1], one) {
		return "", "", fmt.Errorf("report: run %s is both in BASE and in HEAD", one.Name)
	}
	ids := []string{one.ID}
	for _, r := range found[1] {
		ids = append(ids, r.ID)
	}
	return strings.Join(ids, ","), one.ID, nil
}
