package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wb/data/plain"
	"wb/queries"
	"wb/queries/table"
	"wb/store/history"
)

// chosenRuns opens a history for a moment and looks up runs.
func chosenRuns(ctx context.Context, path, selector string) (refs []table.RunRef, err error) {
	db, err := history.OpenRead(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return queries.Select(ctx, conn, selector)
}

// chosen gives the ids of runs.
func chosen(ctx context.Context, path, selector string) (ids []string, err error) {
	refs, err := chosenRuns(ctx, path, selector)
	for _, r := range refs {
		ids = append(ids, r.ID)
	}
	return ids, err
}

// withRuns gives f a history to read, which others may hold, and the ids of the runs that were selected.
func withRuns(ctx context.Context, path, selector string, stderr io.Writer, f func(from string, ids []string) error) error {
	from, release, err := readable(ctx, path, stderr)
	if err != nil {
		return err
	}
	defer release()
	ids, err := chosen(ctx, from, selector)
	if err != nil {
		return err
	}
	return f(from, ids)
}

// bringIn imports into a file. selector says which runs, "" all of them; verb is what the user called it.
func bringIn(ctx context.Context, verb, path string, from []string, selector string, stderr io.Writer) error {
	b := history.Bringing{Verb: verb, Into: path, From: from, Reader: history.Reader{Told: stderr}}
	if selector != "" {
		b.Choose = func(ctx context.Context, path string) ([]string, error) { return chosen(ctx, path, selector) }
	}
	b.Done = func(from string, did history.Moved) { fmt.Fprintf(stderr, "%s: %s\n", from, did.Says("here")) }
	return asInterrupted(ctx, history.Bring(ctx, b))
}

func newLakePush(_, stderr io.Writer) *cobra.Command {
	var path, runs, data string
	cmd := &cobra.Command{
		Use:   "push LAKE",
		Short: "Append runs to a lake that many machines share",
		Long: "Append runs to a DuckLake: Parquet files in a folder or an object store, and a catalog that says which of them " +
			"count. LAKE is a folder, whose catalog is a file\n" +
			"that one process at a time may hold, or postgres:CONNECTION, where many machines push at once. Each run is " +
			"appended in one transaction, and none twice; a\n" +
			"run that was resumed or labelled since takes the place of what is there, and an older copy is left out. The lake " +
			"is made when it is missing.",
		Example: `  wb push /mnt/team/lake
  wb push 'postgres:host=db.example dbname=wb' --data /mnt/team/wb/
  wb query fleet_overview --db 'postgres:host=db.example dbname=wb' --runs all`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, lake []string) error {
			to, err := history.ParseLake(lake[0], data)
			if err != nil {
				return plain.Mistake(err)
			}
			return withRuns(cmd.Context(), path, runs, stderr, func(from string, ids []string) error {
				return pushTo(cmd.Context(), from, to, ids, stderr)
			})
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&runs, "runs", "all", "which runs")
	cmd.Flags().StringVar(&data, "data", "", "`folder` or s3://… for the Parquet files of a new lake whose catalog is in PostgreSQL")
	return cmd
}

// reach looks at the lake of --push before hours are spent on a run: a name that is none is refused, and one that is away is told of.
func (o *runOptions) reach(cmd *cobra.Command, stderr io.Writer) error {
	if !cmd.Flags().Changed("push") || o.list {
		return nil
	}
	lake, err := history.ParseLake(o.push, "")
	if err != nil {
		return plain.Mistake(err)
	}
	if err := history.Reach(cmd.Context(), lake); err != nil && cmd.Context().Err() == nil {
		fmt.Fprintf(stderr, "warning: %v; the run goes on, and is pushed at its end if that is mended by then\n", err)
	}
	return nil
}

// pushed is --push after a run: whatever the lake lacks of the file's runs, also what an earlier push could not bring. ran is how the run
// itself went.
func (o *runOptions) pushed(ctx context.Context, ran error, stderr io.Writer) error {
	if o.push == "" || o.list || ctx.Err() != nil {
		return ran
	}
	if _, err := os.Stat(o.db); err != nil { // no run came to be, and ran says why
		return ran
	}
	lake, err := history.ParseLake(o.push, "")
	if err == nil {
		err = pushTo(ctx, o.db, lake, nil, stderr)
	}
	if err != nil && ran == nil && plain.Hint(err) == "" {
		return plain.WithHint(err, "the run is safe in "+o.db+"; wb push brings it when the lake is back")
	}
	return errors.Join(ran, err)
}

func pushTo(ctx context.Context, path string, lake history.Lake, ids []string, stderr io.Writer) error {
	out, err := history.Push(ctx, path, lake, ids)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s: %s\n", lake.Name, out.Says("there"))
	return nil
}
