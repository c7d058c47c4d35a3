// Command wb tells people who run one language model on one machine why a turn was slow and whether a change helped.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/data/plain"
	"wb/queries/compare"
	"wb/store/history"
	"wb/viz"
	"wb/viz/output"
)

// version is set by the Makefile.
var version = "dev"

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitGate        = 3
	exitInterrupted = 130
)

// self is how the person called wb, for hints that can be pasted.
func self() string {
	if strings.ContainsRune(os.Args[0], os.PathSeparator) && len(os.Args[0]) < 40 {
		return plain.Quote(os.Args[0])
	}
	return "wb"
}

// noNumber finds how Go's library says that a flag wants one.
var noNumber = regexp.MustCompile(`^(.*: )strconv\.\w+: parsing "(.*)": invalid syntax$`)

// usagef is a mistake on the command line.
func usagef(format string, a ...any) error { return plain.Mistakef(format, a...) }

// usageHint is a mistake in how a command was called.
func usageHint(cmd *cobra.Command, format string, a ...any) error {
	return plain.WithHint(usagef(format, a...), cmd.CommandPath()+" --help shows how it is used")
}

// flagHint is a mistake in a flag.
func flagHint(cmd *cobra.Command, err error) error {
	return plain.WithHint(plain.Mistake(err), cmd.CommandPath()+" --help shows the flags")
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serve.GuardCommand { // wb as the guard of a server it started
		os.Exit(serve.Guard(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away, as head does, must not end a run
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup says that the terminal may go
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends wb at once
	data := &output.Data{Below: stdout}
	var out io.Writer = data
	if output.IsTerminal(stdout) {
		out = &output.Plain{Below: data}
	}
	stderr = &output.Plain{Below: stderr}
	root := newRoot(out, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if failed := data.Failed(); err == nil && failed != nil {
		err = fmt.Errorf("write to standard output: %w", plain.PathCause(failed))
	}
	if err == nil {
		return 0
	}
	return reportError(stderr, err)
}

// reportError prints an error as one line and a hint, and gives the exit code.
func reportError(stderr io.Writer, err error) int {
	if errors.Is(err, syscall.EPIPE) { // the reader of our output went away, as head does
		return exitFailed
	}
	msg := plain.OneLineByCause(err)
	fmt.Fprintf(stderr, "wb: %s\n", msg)
	if h := hintFor(err); h != "" {
		fmt.Fprintf(stderr, "hint: %s\n", h)
	}
	var gate gateError
	switch {
	case errors.As(err, &gate):
		return exitGate
	case plain.IsMistake(err), strings.HasPrefix(msg, "unknown command"):
		return exitUsage
	case errors.Is(err, bench.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

func hintFor(err error) string {
	if strings.HasPrefix(err.Error(), "unknown command") { // which is cobra's
		return "wb --help shows the commands"
	}
	return plain.Hint(err)
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "wb",
		Short: "Measure a language model server and keep the evidence",
		Long: `wb drives multi-turn conversations against vLLM (or any OpenAI-compatible server, or its own simulator), records every turn, every
streamed chunk, every GPU and host sample and every server counter in one DuckDB file, and answers questions about them with SQL.`,
		Version:       version + commitSuffix(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if m := noNumber.FindStringSubmatch(err.Error()); m != nil {
			err = fmt.Errorf("%s%q is no number", m[1], m[2])
		}
		return flagHint(cmd, err)
	})
	groups(root, []group{
		{"measure", "Measure:", []*cobra.Command{newRun(stdout, stderr), newCalibrate(stdout, stderr), newSelftest(stdout, stderr)}},
		{"ask", "Ask what was measured:", []*cobra.Command{newQuery(stdout, stderr), newCompare(stdout, stderr), newReport(stdout, stderr),
			newRuns(stdout, stderr), newCache(stdout, stderr)}},
		{"prepare", "Prepare and serve:", []*cobra.Command{newDoctor(stdout), newSetup(stdout, stderr), newModels(stdout, stderr),
			newConversations(stdout, stderr), newServe(stdout, stderr), newSim(stderr)}},
		{"history", "Bring histories together:", []*cobra.Command{newExport(stdout, stderr), newImport(stdout, stderr),
			newLakePush(stdout, stderr), newLakePull(stdout, stderr)}},
	})
	extensions := root.PersistentFlags().String("extension-dir", os.Getenv("WB_EXTENSION_DIR"), "`folder` with DuckDB's extensions for lakes (default: DuckDB downloads them; or WB_EXTENSION_DIR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		waiting := func(lake, cause string) { fmt.Fprintf(stderr, "%s: waiting, %s\n", lake, cause) }
		brought := func(to string, n, of int) { fmt.Fprintf(stderr, "%s: %d of %s\n", to, n, plain.Count(of, "run")) }
		cmd.SetContext(history.WithAccess(cmd.Context(), history.Access{Extensions: *extensions, Waiting: waiting, Brought: brought}))
		return checkValues(cmd)
	}
	return root
}

// group is commands that stand together in the help.
type group struct {
	id, title string
	commands  []*cobra.Command
}

func groups(root *cobra.Command, all []group) {
	for _, g := range all {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			completeValues(c)
			root.AddCommand(c)
		}
	}
}

// completeValues lets the shell complete the values of flags that have few.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		values := bench.EnumValues(f.Name)
		switch f.Name {
		case "format":
			values = viz.Formats()
		case "metric", "metrics":
			values = compare.MetricNames()
		case "profile":
			values = bench.EnumValues("sim-profile")
		case "by":
			values = []string{"turn", "context", "conversation"}
		}
		if values == nil {
			return
		}
		complete := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // it fails where one is there already
	})
	for _, c := range cmd.Commands() {
		completeValues(c)
	}
}

// args wraps a check of positional arguments, so that a wrong number of them is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageHint(cmd, "%w", err)
		}
		if i := slices.Index(a, ""); i >= 0 { // such as a shell variable that is not set
			return usageHint(cmd, "%s: argument %d is empty", cmd.Name(), i+1)
		}
		return nil
	}
}

// checkValues tells of a flag that was given no value and took the flag behind it for one: "wb run --results --db x" would play a plan
// named x.
func checkValues(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := strings.Trim(f.Value.String(), "[]") // of a list
		if name, ok := strings.CutPrefix(value, "--"); ok && cmd.Flags().Lookup(name) != nil {
			err = usagef("flag --%s: wants a value, and %s stands in its place", f.Name, value)
			err = flagHint(cmd, err)
		}
		if value == "" && slices.Contains([]string{"runs", "base", "db"}, f.Name) { // such as a shell variable that is not set
			err = flagHint(cmd, fmt.Errorf("flag --%s: wants a value", f.Name))
		}
	})
	return err
}

func commitSuffix() string {
	if c := plain.Commit(); c != "" {
		return " (" + c + ")"
	}
	return ""
}

const defaultDB = "wb.duckdb"

const anyHistory = "history: a DuckDB `file`, a folder of Parquet or a lake"

func historyFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "db", defaultDB, anyHistory)
}

func dbFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "db", defaultDB, "DuckDB file with the history")
}
