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

// chosenRuns opens a history, looks up the selected runs and closes it again.
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

// chosen gives the ids of the selected runs.
func chosen(ctx context.Context, path, selector string) (ids []string, err error) {
	refs, err := chosenRuns(ctx, path, selector)
	for _, r := range refs {
		ids = append(ids, r.ID)
	}
	return ids, err
}

// withRuns calls f with a path from which the history can be read, even while a run holds it, and with the ids of the selected runs.
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

// bringIn imports runs into the file at path. selector says which runs, "" means all; verb is the command's name for messages.
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
		Short: "Append runs to a lake, which many machines can share",
		Long: `Append runs to a DuckLake: Parquet files in a folder or an object store, and a catalog that lists them.
LAKE is a folder or postgres:CONNECTION. The catalog of a folder is a file, which one process at a time can use. With PostgreSQL
many machines can push at the same time. A lake that does not exist is created.

Each run is appended in one transaction, and none is added twice. A run that was resumed or tagged since then replaces the copy
in the lake. A copy that is older than the one in the lake is not pushed.`,
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
	cmd.Flags().StringVar(&runs, "runs", "all", "`selector` of the runs")
	cmd.Flags().StringVar(&data, "data", "", "`folder` or s3://… for the Parquet files of a new lake whose catalog is in PostgreSQL")
	return cmd
}

// reach checks the lake of --push before a long run. It refuses an invalid name, and only warns of a lake that does not answer.
func (o *runOptions) reach(cmd *cobra.Command, stderr io.Writer) error {
	if !cmd.Flags().Changed("push") || o.list {
		return nil
	}
	lake, err := history.ParseLake(o.push, "")
	if err != nil {
		return plain.Mistake(err)
	}
	if err := history.Reach(cmd.Context(), lake); err != nil && cmd.Context().Err() == nil {
		fmt.Fprintf(stderr, "warning: %v; the run goes on, and is pushed at its end if the lake answers by then\n", err)
	}
	return nil
}

// pushed pushes, after a run with --push, all runs of the file that the lake lacks. ran is the error of the run itself.
func (o *runOptions) pushed(ctx context.Context, ran error, stderr io.Writer) error {
	if o.push == "" || o.list || ctx.Err() != nil {
		return ran
	}
	if _, err := os.Stat(o.db); err != nil { // there was no run, and ran says why
		return ran
	}
	lake, err := history.ParseLake(o.push, "")
	if err == nil {
		err = pushTo(ctx, o.db, lake, nil, stderr)
	}
	if err != nil && ran == nil && plain.Hint(err) == "" {
		return plain.WithHint(err, "the run is safe in "+o.db+"; wb push adds it when the lake answers again")
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
