package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/store"
	"wb/store/history"
	"wb/viz/output"
)

// runOptions are what a call of wb run says beside its spec.
type runOptions struct {
	db, push, results   string
	list, quiet, resume bool
	start               time.Time
	words               []string // vLLM's own arguments
	stdout, stderr      io.Writer
}

func newRun(stdout, stderr io.Writer) *cobra.Command {
	o := runOptions{start: time.Now(), stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "run [PLAN.yaml] [-- VLLM-ARGUMENTS]",
		Short: "Run conversations, or a plan, against a server and record what happens",
		Long: `Run conversations turn by turn against a server and record what happens in a DuckDB file.

The server is one that runs already (--url), a vLLM that wb starts with a model and ends again (--engine vllm --model NAME), or the embedded
simulator: no GPU and no model are needed, and every figure is marked simulated.

A plan is a file with settings, which are the flags below, and a matrix of values: each combination becomes a run of its own, and they are taken in
turns, forwards and backwards, so that what drifts on the machine falls on all of them alike. Flags go before what the plan says. --resume goes on
with a plan that was cut short.`,
		Example: `  wb run                                                        # a first run, on the simulator
  wb run --engine vllm --model smollm2-135m                     # wb starts vLLM, a fresh one for each session
  wb run --engine vllm --model phi-3.5-mini --preset optimized --tag graphs=on -- --max-num-seqs 4
  wb run --url http://localhost:8001 --model my-model --tag apc=on
  wb run --url http://localhost:8001 --conversations rag_simulation --repeat 5
  wb run --url http://localhost:8001 --until-ci 2%              # repeat until TTFT is known that well
  wb run plan.yaml                                              # a matrix of settings, taken in turns
  wb run --resume                                               # go on with a plan that was cut short`,
		Args: func(cmd *cobra.Command, a []string) error {
			if d := cmd.ArgsLenAtDash(); len(a) > 1 && d != 0 && d != 1 {
				return usageHint(cmd, "run: wants one plan at most, not %q; vLLM's own arguments come after --", strings.Join(a, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			file := ""
			if d := cmd.ArgsLenAtDash(); len(a) > 0 && d != 0 {
				file, a = a[0], a[1:]
			}
			o.words = a
			return o.run(cmd, func() (*bench.PlanFile, error) { return bench.ReadPlan(file) })
		},
	}
	o.flags(cmd)
	return cmd
}

// flags declares what a run can be told. Those of the spec are read from the command when it runs.
func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	new(bench.RunSpec).Flags(f)
	new(bench.Repetition).Flags(f, compare.MetricNames())
	dbFlag(cmd, &o.db)
	f.StringVar(&o.push, "push", "", "append the file's runs to this `lake` in the end; see wb push")
	f.BoolVar(&o.list, "list-conversations", false, "list the conversations and which would run, and run nothing")
	f.StringVar(&o.results, "results", "", "write the report of the run into this `directory`")
	f.BoolVar(&o.quiet, "quiet", false, "no lines while it runs and no summary")
	f.BoolVar(&o.resume, "resume", false, "go on with a plan that was cut short: finished sessions are not repeated")
}

// rules are what names, labels and metrics must be like for whoever reads a run.
func rules() bench.Rules {
	return bench.Rules{Name: queries.CheckName, Label: queries.CheckLabel, Metrics: compare.MetricNames()}
}

// run plays a plan, or the one run that the flags describe, and brings it to a lake.
func (o *runOptions) run(cmd *cobra.Command, read func() (*bench.PlanFile, error)) error {
	if err := o.reach(cmd, o.stderr); err != nil {
		return err
	}
	plan, err := read()
	if err == nil {
		err = o.execute(cmd, plan)
	}
	return o.pushed(cmd.Context(), err, o.stderr)
}

// execute plays a plan, or the one run that the flags describe.
func (o *runOptions) execute(cmd *cobra.Command, plan *bench.PlanFile) (err error) {
	ctx := cmd.Context()
	s := &session{runOptions: o, progress: newProgress(o.stderr, o.quiet)}
	_, statErr := os.Stat(o.db)
	s.newFile = errors.Is(statErr, fs.ErrNotExist)
	given := bench.GivenBy(cmd.Flags(), o.words)
	var found *bench.Found
	switch {
	case o.resume && o.list:
		return usagef("flag --resume: does not go with --list-conversations")
	case o.resume && statErr != nil:
		return fmt.Errorf("resume plan: open %s: %w", o.db, plain.PathCause(statErr))
	case o.resume:
		if s.file, err = store.Open(ctx, o.db); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.file.Close()) }()
		if found, err = bench.Find(ctx, s.file, o.db, plan, given, rules()); err != nil {
			return err
		}
		s.line("going on with %s", found.Told())
	case plan != nil && o.list:
		return usagef("flag --list-conversations: does not go with a plan")
	}
	var spec *bench.Spec
	if found != nil {
		spec = found.Spec
	} else if spec, err = bench.NewSpec(plan, given, rules()); err != nil {
		return err
	}
	if o.list {
		return listConversations(o.stdout, "table", &spec.Cells[0].Selection)
	}
	if s.Execution, err = bench.NewExecution(spec, s.tools(), s.teller(ctx, spec.Verbose()), o.start); err != nil {
		return err
	}
	return s.begin(ctx, found)
}

// session is an execution, its file, and who watches it.
type session struct {
	*bench.Execution
	*runOptions
	file     *store.DB
	newFile  bool // this call made it
	progress *progress
	window   *history.SnapshotServer // through which others look at the file
}

func (s *session) begin(ctx context.Context, found *bench.Found) (err error) {
	if s.results != "" { // better said before the run than after it
		if err := output.MakeDir(s.results); err != nil {
			return err
		}
	}
	defer s.Close()
	if s.file == nil {
		if err := s.open(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.file.Close()) }()
	}
	s.Ledger = s.file
	s.window = history.Serve(ctx, s.file, history.Serving{})
	defer func() { err = errors.Join(err, s.window.Close()) }()
	if found != nil {
		left, err := s.Adopt(ctx, found)
		if err != nil {
			return err
		}
		if !left {
			s.line("plan %s is complete: nothing is left to do", s.Spec.Plan)
			return nil
		}
	}
	err = s.Play(ctx)
	s.progress.Clear()
	if !s.Recorded() && err != nil {
		return s.forget(err)
	}
	return errors.Join(err, s.summarise(context.WithoutCancel(ctx)))
}

// open opens the file. That and asking the server who it is take about the same time, so they go side by side; but a server that takes a
// minute to start waits until its figures have a place to go.
func (s *session) open(ctx context.Context) error {
	beside := s.Reach
	if s.Cells[0].Target.Engine == target.VLLM || len(s.Cells) > 1 {
		beside = nil
	}
	db, reachErr, err := store.OpenBeside(ctx, s.db, beside)
	if err != nil {
		if s.newFile && errors.Is(err, store.ErrInterrupted) { // nothing is in it
			return errors.Join(err, os.Remove(s.db))
		}
		return err
	}
	s.file = db
	if reachErr != nil {
		return s.forget(errors.Join(reachErr, db.Close()))
	}
	return nil
}

// forget removes a file that this call made and put nothing into.
func (s *session) forget(err error) error {
	if s.newFile {
		return errors.Join(err, os.Remove(s.db))
	}
	return err
}

// tools are what the execution is done with.
func (s *session) tools() bench.Tools {
	return bench.Tools{
		Connect: func(ctx context.Context, spec *target.Spec, c target.Connection) (*target.Target, error) {
			return spec.Connect(ctx, c)
		},
		Play: func(ctx context.Context, at *target.Target, job bench.Job, watch bench.Watch) (*bench.Result, error) {
			return bench.Run(ctx, s.file, at, job, watch)
		},
		Width: func(ctx context.Context, metric string, runs []uuid.UUID) (float64, error) {
			var ids []string
			for _, r := range runs {
				ids = append(ids, r.String())
			}
			width, err := compare.Width(ctx, s.file, metric, ids)
			if errors.Is(err, compare.ErrNoFigures) {
				return math.NaN(), bench.ErrNoFigures
			}
			return width, err
		},
		Now: time.Now, Since: time.Since, Build: build(),
	}
}

// build says which wb plays.
func build() bench.Build {
	return bench.Build{WbVersion: version, WbCommit: plain.Commit(), DuckDBVersion: store.DuckDBVersion(),
		Argv: plain.Quote(target.WithoutSecrets(os.Args)...)}
}

// teller tells a person how the execution gets on.
func (s *session) teller(ctx context.Context, verbose bool) bench.Teller {
	turn := func(t bench.TurnInfo) { s.window.Turn(ctx, t.Done); s.progress.turn(t) }
	return bench.Teller{
		Line: func(text string) { s.line("%s", text) }, Warn: s.progress.warn, Chosen: s.chosen,
		Making: func(c *data.Conversation) {
			s.note(fmt.Sprintf("making %s: %s tokens", c.ID, data.Thousands(int64(c.Generate.Tokens))))
		},
		Talk: talk(s.stderr, s.quiet, verbose),
		Watch: bench.Watch{Turn: turn, Warn: s.progress.warn, Say: s.progress.note, Restart: s.progress.Clear,
			Load: s.progress.load},
		Failure: func(err error) { logTail(s.stderr, verbose, err) },
	}
}

func (s *session) line(format string, a ...any) {
	if !s.quiet {
		s.progress.Say(fmt.Sprintf(format, a...))
	}
}

// chosen tells which conversations do not run.
func (s *session) chosen(all int, chosen []*data.Conversation, left []data.LeftOut, named bool) {
	if !named {
		for _, line := range bench.LeftOutLines(all, len(chosen), left, self()+" run --list-conversations") {
			s.note(line)
		}
	}
}

// note is a line beside the progress.
func (s *session) note(line string) {
	if !s.quiet {
		fmt.Fprintln(s.stderr, line)
	}
}
