package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/data/plain"
	"wb/queries"
	wbsql "wb/sql"
	"wb/store"
	"wb/store/history"
	"wb/viz"
	"wb/viz/output"
)

func newRuns(stdout, stderr io.Writer) *cobra.Command {
	var db, format string
	watch := false
	list := func(cmd *cobra.Command, _ []string) error {
		if watch {
			if cmd.Flags().Changed("format") {
				return usagef("flag --watch: prints lines, in no other --format")
			}
			return watchRun(cmd.Context(), stdout, db)
		}
		err := showRuns(cmd.Context(), stdout, stderr, db, format, "all", "run_overview")
		if errors.Is(err, queries.ErrNoRuns) {
			fmt.Fprintln(stderr, "no runs yet; wb run records one")
			return nil
		}
		return err
	}
	cmd := &cobra.Command{Use: "runs", Short: "List, show, tag and remove recorded runs", Args: args(cobra.NoArgs), RunE: list}
	cmd.PersistentFlags().StringVar(&db, "db", defaultDB, anyHistory+"; runs are tagged in a file only")
	cmd.PersistentFlags().StringVar(&format, "format", "table",
		"output format: "+strings.Join(viz.Formats(), ", ")+" (csv and ndjson for lists only)")

	cmd.Flags().BoolVar(&watch, "watch", false, "follow the run that holds the file until it ends, a line whenever turns have ended")
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the runs of the file", Args: args(cobra.NoArgs), RunE: list},
		&cobra.Command{Use: "show SELECTOR", Short: "Show a run: figures, settings, failures and events", Args: args(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, a []string) error {
				return showRuns(cmd.Context(), stdout, stderr, db, format, a[0], "run_overview", "conversation_summary", "failed_turns",
					"run_events", "run_settings")
			}},
		&cobra.Command{Use: "tag SELECTOR KEY=VALUE…", Short: "Set tags of runs; KEY= takes one away", Args: args(cobra.MinimumNArgs(2)),
			RunE: func(cmd *cobra.Command, a []string) error { return tagRuns(cmd.Context(), stderr, db, a[0], a[1:]) }},
		removeRuns(stderr, &db),
	)
	return cmd
}

// showRuns runs saved queries over the selected runs and prints those that have something to say.
func showRuns(ctx context.Context, stdout, stderr io.Writer, path, format, selector string, names ...string) error {
	if !slices.Contains(viz.Formats(), format) {
		return usagef("flag --format: unknown format %q; known are %s", format, strings.Join(viz.Formats(), ", "))
	}
	if len(names) > 1 && (format == "csv" || format == "ndjson") {
		return usagef("flag --format: %s holds one table, and these are several; json and html hold all", format)
	}
	db, err := openRead(ctx, path, stderr)
	if err != nil {
		return err
	}
	page := viz.Page{Title: "Runs", Version: version}
	for _, name := range names {
		q, ferr := queries.Builtin(name)
		if ferr != nil {
			return errors.Join(ferr, db.Close())
		}
		t, rerr := q.Run(ctx, db, queries.Options{Runs: selector})
		if rerr != nil {
			return errors.Join(rerr, db.Close())
		}
		if len(t.Rows) > 0 || len(names) == 1 {
			if len(page.Tables) > 0 || len(names) == 1 {
				t.Notes = nil // said once, above; a list shows each run's status itself
			}
			page.Tables = append(page.Tables, t)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	return output.Render(stdout, format, page)
}

// watchRun follows the run that was begun last.
func watchRun(ctx context.Context, stdout io.Writer, path string) error {
	before := ""
	for {
		db, err := openRead(ctx, path, io.Discard)
		if err != nil {
			return err
		}
		t, err := queries.AdHoc(wbsql.Statement("watch_run")).Run(ctx, db, queries.Options{})
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		if len(t.Rows) == 0 {
			return fmt.Errorf("watch run: %w", queries.ErrNoRuns)
		}
		r := t.Rows[0]
		line := fmt.Sprintf("%v: %v, %v turns, %v failed", r[0], r[1], r[2], r[3])
		if r[4] != nil {
			line += fmt.Sprintf("; last %v, TTFT %v ms", r[4], r[5])
			if r[6] != nil {
				line += fmt.Sprintf(", hit ratio %v", r[6])
			}
		}
		if line != before {
			fmt.Fprintln(stdout, line)
			before = line
		}
		if r[1] != "running" {
			return nil
		}
		select {
		case <-ctx.Done():
			return bench.ErrInterrupted
		case <-time.After(2 * time.Second):
		}
	}
}

func tagRuns(ctx context.Context, stderr io.Writer, path, selector string, tags []string) (err error) {
	for _, t := range tags {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" {
			return usagef("tag %q: wants KEY=VALUE", t)
		}
		why := queries.CheckLabel(k)
		if v != "" {
			why = cmp.Or(why, queries.CheckLabel(v))
		}
		if why != "" {
			return usagef("tag %q: it %s", t, why)
		}
	}
	refs, err := chosenRuns(ctx, path, selector) // a selector that finds nothing must not create or change a file
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, r := range refs {
		for _, t := range tags {
			k, v, _ := strings.Cut(t, "=")
			if err := db.TagRun(ctx, r.ID, k, v); err != nil {
				return err
			}
		}
		fmt.Fprintf(stderr, "tagged %s\n", r.Name)
	}
	return nil
}

func removeRuns(stderr io.Writer, db *string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "rm SELECTOR", Short: "Remove runs and everything recorded of them", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			refs, err := chosenRuns(cmd.Context(), *db, a[0])
			if err != nil {
				return err
			}
			var ids, names []string
			for _, r := range refs {
				ids, names = append(ids, r.ID), append(names, r.Name)
			}
			if !yes {
				return plain.WithHint(usagef("remove %s: not without --yes", strings.Join(names, ", ")),
					"nothing was removed; removal cannot be undone")
			}
			if err := history.Remove(cmd.Context(), *db, ids); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "removed %s\n", strings.Join(names, ", "))
			return nil
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "really remove them")
	return cmd
}
