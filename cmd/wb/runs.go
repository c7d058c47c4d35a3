package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/data/plain"
	"wb/queries"
	"wb/store"
	"wb/store/history"
	"wb/viz"
	"wb/viz/output"
)

func newRuns(stdout, stderr io.Writer) *cobra.Command {
	var db, format string
	watch, wide := false, false
	list := func(cmd *cobra.Command, _ []string) error {
		if watch {
			if cmd.Flags().Changed("format") {
				return usagef("flag --watch: cannot be used with --format")
			}
			return watchRun(cmd.Context(), stdout, db)
		}
		err := showRuns(cmd.Context(), stdout, stderr, db, format, wide, "all", "run_overview")
		if errors.Is(err, queries.ErrNoRuns) {
			fmt.Fprintln(stderr, "no runs yet; wb run records one")
			return nil
		}
		return err
	}
	cmd := &cobra.Command{Use: "runs", Short: "List, show, tag and remove recorded runs", Args: args(cobra.NoArgs), RunE: list}
	cmd.PersistentFlags().StringVar(&db, "db", defaultDB(), anyHistory+"; runs can be tagged only in a file")
	cmd.PersistentFlags().StringVar(&format, "format", "table",
		"output format: "+strings.Join(viz.Formats(), ", ")+" (csv and ndjson for lists only)")
	cmd.PersistentFlags().BoolVar(&wide, "wide", false, "show all columns and whole texts, even if they are wider than the terminal")
	cmd.Flags().BoolVar(&watch, "watch", false, "follow the run that holds the file until it ends, and print a line when turns have ended")
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List the runs of the file", Args: args(cobra.NoArgs), RunE: list},
		&cobra.Command{Use: "show SELECTOR", Short: "Show a run: figures, settings, failures and events", Args: args(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, a []string) error {
				return showRuns(cmd.Context(), stdout, stderr, db, format, wide, a[0], "run_overview", "conversation_summary", "failed_turns",
					"run_events", "run_settings")
			}},
		&cobra.Command{Use: "tag SELECTOR KEY=VALUE…", Short: "Set tags of runs; KEY= removes a tag", Args: args(cobra.MinimumNArgs(2)),
			RunE: func(cmd *cobra.Command, a []string) error { return tagRuns(cmd.Context(), stderr, db, a[0], a[1:]) }},
		removeRuns(stderr, &db),
	)
	return cmd
}

// showRuns runs saved queries over the selected runs and prints those that have rows.
func showRuns(ctx context.Context, stdout, stderr io.Writer, path, format string, wide bool, selector string, names ...string) error {
	if !slices.Contains(viz.Formats(), format) {
		return usagef("flag --format: unknown format %q; known are %s", format, strings.Join(viz.Formats(), ", "))
	}
	if len(names) > 1 && (format == "csv" || format == "ndjson") {
		return usagef("flag --format: %s holds only one table, and there are several; json and html hold all", format)
	}
	db, err := openRead(ctx, path, stderr)
	if err != nil {
		return err
	}
	tables, err := queries.Several(ctx, db, selector, names...)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	for i, t := range tables {
		if i > 0 || len(names) == 1 {
			t.Notes = nil // the first table has the notes; a list shows the status of each run anyway
		}
	}
	page := viz.Page{Title: "Runs", Version: version, Tables: tables, Wide: wide}
	return output.Render(stdout, format, page)
}

func tagRuns(ctx context.Context, stderr io.Writer, path, selector string, tags []string) (err error) {
	if err := queries.CheckTags(tags); err != nil {
		return plain.Mistake(err)
	}
	refs, err := chosenRuns(ctx, path, selector) // a selector that finds no run must not create or change a file
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
	cmd := &cobra.Command{Use: "rm SELECTOR", Short: "Remove runs and everything that was recorded of them", Args: args(cobra.ExactArgs(1)),
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
				return plain.WithHint(usagef("remove %s: needs --yes", strings.Join(names, ", ")),
					"nothing was removed; a removal cannot be undone")
			}
			if err := history.Remove(cmd.Context(), *db, ids); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "removed %s\n", strings.Join(names, ", "))
			return nil
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm the removal")
	return cmd
}

// watchRun follows the run that began last.
func watchRun(ctx context.Context, stdout io.Writer, path string) error {
	open := func() (*store.DB, error) { return openRead(ctx, path, io.Discard) }
	err := queries.Follow(ctx, open, 2*time.Second, func(line string) { fmt.Fprintln(stdout, line) })
	return asInterrupted(ctx, err)
}
