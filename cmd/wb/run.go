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

	"wb/cmd/internal/talk"
	"wb/collect/bench"
	"wb/collect/client"
	"wb/collect/machine"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/store"
	"wb/store/history"
	"wb/viz/output"
)

// runOptions are the settings of a call of wb run that do not belong to its spec.
type runOptions struct {
	db, push, results   string
	list, quiet, resume bool
	memory              bool // the bandwidth of this machine's memory is measured
	start               time.Time
	words               []string // arguments of the server, which come after --
	stdout, stderr      io.Writer
}

func newRun(stdout, stderr io.Writer) *cobra.Command {
	o := runOptions{start: time.Now(), stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "run [PLAN.yaml] [-- SERVER-ARGUMENTS]",
		Short: "Play conversations, or a plan, against a server and record what happens",
		Long: `Play conversations turn by turn against a server and record what happens in a DuckDB file.

With --url, the server is one that runs already. With --engine vllm or llamacpp and --model NAME, wb starts vLLM or
llama-server and ends it again. With neither, the embedded simulator answers: it needs no GPU and no model, and every figure is
marked as simulated.

A plan is a YAML or JSON file with settings, which have the names of the flags below, and a matrix of values. Each combination of
values is one run. The runs are interleaved, forwards and then backwards, so that a slow change of the machine affects all of them alike.
A flag overrides the plan. --resume goes on with a plan that was interrupted.`,
		Example: `  wb run                                                        # a first run, on the simulator
  wb run --engine vllm --model smollm2-135m                     # wb starts vLLM, a fresh one for each session
  wb run --engine llamacpp --model ./model.gguf -- -ctk q8_0     # the same with llama-server
  wb run --engine vllm --model phi-3.5-mini --preset optimized --tag graphs=on -- --max-num-seqs 4
  wb run --url http://localhost:8001 --model my-model --tag apc=on
  wb run --url http://localhost:8001 --conversations rag_simulation --repeat 5
  wb run --url http://localhost:8001 --until-ci 2%              # repeat until TTFT is known to 2 %
  wb run plan.yaml                                              # a matrix of settings
  wb run --resume                                               # go on with an interrupted plan`,
		Args: func(cmd *cobra.Command, a []string) error {
			if d := cmd.ArgsLenAtDash(); len(a) > 1 && d != 0 && d != 1 {
				return usageHint(cmd, "run: wants one plan at most, not %q; arguments of the server come after --", strings.Join(a, " "))
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

// flags declares the flags of a run. Those of the spec are read from the command when it runs.
func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	new(bench.RunSpec).Flags(f)
	new(bench.Repetition).Flags(f, compare.MetricNames())
	dbFlag(cmd, &o.db)
	f.StringVar(&o.push, "push", "", "append the runs of the file to this `lake` when the run has ended; see wb push")
	f.BoolVar(&o.list, "list-conversations", false, "list the conversations, say which of them would run, and run nothing")
	f.StringVar(&o.results, "results", "", "write the report of the run into this `directory`")
	f.BoolVar(&o.quiet, "quiet", false, "print no progress and no summary")
	f.BoolVar(&o.resume, "resume", false, "go on with a plan that was interrupted; finished sessions are not repeated")
}

// rules are the rules for names, labels and metrics of a run: what the packages that read runs accept.
func rules() bench.Rules {
	return bench.Rules{Name: queries.CheckName, Label: queries.CheckLabel, Metrics: compare.MetricNames()}
}

// run plays a plan, or the one run that the flags describe, and pushes it to the lake of --push.
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
	s := &invocation{runOptions: o, progress: talk.NewProgress(o.stderr, o.quiet)}
	_, statErr := os.Stat(o.db)
	s.newFile = errors.Is(statErr, fs.ErrNotExist)
	given := bench.GivenBy(cmd.Flags(), o.words)
	var found *bench.Found
	switch {
	case o.resume && o.list:
		return usagef("flag --resume: cannot be used with --list-conversations")
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
		s.line("resuming %s", found.Told())
	case plan != nil && o.list:
		return usagef("flag --list-conversations: cannot be used with a plan")
	}
	var spec *bench.Spec
	if found != nil {
		spec = found.Spec
	} else if spec, err = bench.NewSpec(plan, given, rules()); err != nil {
		return err
	}
	if o.list {
		return listConversations(o.stdout, "table", &spec.Cells[0].RunSpec)
	}
	if s.Execution, err = bench.NewExecution(spec, s.tools(), s.teller(ctx, spec.Verbose()), o.start); err != nil {
		return err
	}
	return s.begin(ctx, found)
}

// invocation is one call of wb run: an execution, its file, and its output.
type invocation struct {
	*bench.Execution
	*runOptions
	file     *store.DB
	newFile  bool // this call created it
	progress *talk.Progress
	window   *history.SnapshotServer // gives other processes snapshots of the file
}

func (s *invocation) begin(ctx context.Context, found *bench.Found) (err error) {
	if s.results != "" { // an error is better reported before the run than after it
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

// open opens the file. This takes about as long as asking the server who it is, so both are done at the same time. A server that takes a
// minute to start is not started before the file is open.
func (s *invocation) open(ctx context.Context) error {
	beside := s.Reach
	if s.Cells[0].Target.Engine.Managed() || len(s.Cells) > 1 {
		beside = nil
	}
	db, reachErr, err := store.OpenBeside(ctx, s.db, beside)
	if err != nil {
		if s.newFile && errors.Is(err, store.ErrInterrupted) { // the file is empty
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

// forget removes the file if this call created it, since nothing was recorded in it.
func (s *invocation) forget(err error) error {
	if s.newFile {
		return errors.Join(err, os.Remove(s.db))
	}
	return err
}

// tools gives the execution what it needs from other packages.
func (s *invocation) tools() bench.Tools {
	t := bench.Tools{
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
		Evidence: bench.Evidence{
			Sessions:  bench.Needed{Least: compare.LeastSessions(1), Usual: compare.LeastSessions(len(compare.Usual()))},
			Processes: bench.Needed{Least: compare.LeastProcesses(1), Usual: compare.LeastProcesses(len(compare.Usual()))},
			Compare:   !s.newFile,
		},
	}
	if s.memory {
		t.Memory = func(ctx context.Context, now client.Clock) (int64, string, error) {
			b, err := machine.MemoryBandwidth(ctx, now)
			return b.BytesPerS, b.String(), err
		}
	}
	return t
}

// build describes the wb that plays the run.
func build() bench.Build {
	return bench.Build{WbVersion: version, WbCommit: plain.Commit(), DuckDBVersion: store.DuckDBVersion(),
		Argv: plain.Quote(target.WithoutSecrets(os.Args)...)}
}

// teller prints the progress of the execution.
func (s *invocation) teller(ctx context.Context, verbose bool) bench.Teller {
	turn := func(t bench.TurnInfo) { s.window.Turn(ctx, t.Done); s.progress.Turn(t) }
	return bench.Teller{
		Line: func(text string) { s.line("%s", text) }, Warn: s.progress.Warn, Chosen: s.chosen,
		Making: func(c *data.Conversation) {
			s.note(fmt.Sprintf("making %s: %s tokens", c.ID, data.Thousands(int64(c.Generate.Tokens))))
		},
		Talk: talk.OfServer(s.stderr, s.quiet, verbose),
		Watch: bench.Watch{Turn: turn, Warn: s.progress.Warn, Say: s.progress.Note, Restart: s.progress.Clear,
			Load: s.progress.Load},
		Failure: func(err error) { talk.LogTail(s.stderr, verbose, err) },
	}
}

func (s *invocation) line(format string, a ...any) {
	if !s.quiet {
		s.progress.Say(fmt.Sprintf(format, a...))
	}
}

// chosen prints which conversations are left out.
func (s *invocation) chosen(all int, chosen []*data.Conversation, left []data.LeftOut, named bool) {
	if !named {
		for _, line := range bench.LeftOutLines(all, len(chosen), left, self()+" run --list-conversations") {
			s.note(line)
		}
	}
}

// note prints a line to standard error, unless --quiet is given.
func (s *invocation) note(line string) {
	if !s.quiet {
		fmt.Fprintln(s.stderr, line)
	}
}
