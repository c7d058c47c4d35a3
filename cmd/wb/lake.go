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

func newExport(_, stderr io.Writer) *cobra.Command {
	var path, dir, runs string
	cmd := &cobra.Command{
		Use:   "export --parquet DIR",
		Short: "Write runs as Parquet that other engines read",
		Long: "Write runs into a folder of Parquet files, Hive-partitioned: DIR/TABLE/day=…/run_id=…/*.parquet, with " +
			"dictionary.csv, which says what each column is.\n" +
			"An export of the same runs again takes the place of the first, unless the folder has a newer copy of a run. wb " +
			"query, compare and report take the folder as --db, and wb import reads it.",
		Example: `  wb export --parquet history
  wb query ttft_by_turn --db history --runs all`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("flag --parquet: name the folder to write into")
			}
			from, release, err := readable(cmd.Context(), path, stderr)
			if err != nil {
				return err
			}
			defer release()
			ids, err := chosen(cmd.Context(), from, runs)
			if err != nil {
				return err
			}
			out, err := history.Export(cmd.Context(), from, dir, ids)
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "%s written to %s, %s of Parquet%s\n", plain.Count(out.Added+out.Renewed+out.Present, "run"), dir,
				plain.BytesIn(out.Bytes, plain.MB, 1), out.Rest("there"))
			return nil
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&dir, "parquet", "", "`folder` to write into")
	cmd.Flags().StringVar(&runs, "runs", "all", "which runs")
	return cmd
}

func newImport(_, stderr io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "import FILE.duckdb|DIR...",
		Short: "Add the runs of other histories to this one",
		Long: "Add the runs that this file lacks, from DuckDB files of wb (older ones are put in order first), folders of wb " +
			"export --parquet, or lakes. Runs are\n" +
			"known by their ids: nothing comes twice, and a run that was resumed or labelled there since takes the place of " +
			"what is here.",
		Example: `  wb import box7.duckdb box8.duckdb
  wb import history --db all.duckdb`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, from []string) error {
			return bringIn(cmd.Context(), "import", path, from, "", stderr)
		},
	}
	dbFlag(cmd, &path)
	return cmd
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
			from, release, err := readable(cmd.Context(), path, stderr)
			if err != nil {
				return err
			}
			defer release()
			ids, err := chosen(cmd.Context(), from, runs)
			if err != nil {
				return err
			}
			return pushTo(cmd.Context(), from, to, ids, stderr)
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

func newLakePull(_, stderr io.Writer) *cobra.Command {
	var path, runs string
	cmd := &cobra.Command{
		Use:   "pull LAKE",
		Short: "Bring runs of a lake into the local file",
		Long: "Add the runs of a lake that the local file lacks, and renew those that were resumed or labelled since. --runs " +
			"selects by name, label or time, as everywhere.",
		Example: `  wb pull /mnt/team/lake --runs tag:gpu=h200`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, lake []string) error {
			return bringIn(cmd.Context(), "pull", path, lake, runs, stderr)
		},
	}
	dbFlag(cmd, &path)
	cmd.Flags().StringVar(&runs, "runs", "all", "which runs")
	return cmd
}
