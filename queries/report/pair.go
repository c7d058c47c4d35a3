package report

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

// Choose gives the selector of a report's runs and the run that is its base, "" for the first. args are those of the command line: none for
// the latest run, a selector, or BASE and HEAD. base is the value of --base, which must be empty with BASE and HEAD.
func Choose(ctx context.Context, db *store.DB, args []string, base string) (selector, first string, err error) {
	switch len(args) {
	case 0:
		return "latest", base, nil
	case 1:
		return args[0], base, nil
	}
	return pair(ctx, db, args[0], args[1], base)
}

// pair gives the selector and the base of a report that compares the runs of head with the run that base selects. It is an error if base
// selects several runs, or one of head.
func pair(ctx context.Context, db *store.DB, base, head, flag string) (selector, first string, err error) {
	if flag != "" {
		return "", "", plain.Mistakef("report: with BASE and HEAD, --base has no meaning")
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
		return "", "", plain.Mistakef("report: BASE %q selects %d runs, and one is needed: wb compare compares groups of runs", base, n)
	}
	one := found[0][0]
	if slices.Contains(found[1], one) {
		return "", "", plain.Mistakef("report: run %s is both in BASE and in HEAD", one.Name)
	}
	ids := []string{one.ID}
	for _, r := range found[1] {
		ids = append(ids, r.ID)
	}
	return strings.Join(ids, ","), one.ID, nil
}
