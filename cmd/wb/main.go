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
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect"
	"wb/collect/vllm"
	"wb/data/plain"
	"wb/queries"
	"wb/store/history"
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

// usageError is a mistake on the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// self is how the person called wb, for hints that can be pasted.
func self() string {
	if strings.ContainsRune(os.Args[0], os.PathSeparator) && len(os.Args[0]) < 40 {
		return collect.ShellQuote(os.Args[0])
	}
	return "wb"
}

// noNumber finds how Go's library says that a flag wants one.
var noNumber = regexp.MustCompile(`^(.*: )strconv\.\w+: parsing "(.*)": invalid syntax$`)

// plural says how many there are.
func plural(n int, one string) string { return plain.Count(n, one) }

// hinted adds what to do about an error.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

func main() {
	if len(os.Args) > 1 && os.Args[1] == vllm.GuardCommand { // wb as the guard of a server it started
		os.Exit(vllm.Guard(os.Args[2:]))
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
	data := &dataWriter{below: stdout}
	var out io.Writer = data
	if isTerminal(stdout) {
		out = &plainWriter{below: data}
	}
	stderr = &plainWriter{below: stderr}
	root := newRoot(out, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if failed := data.failed(); err == nil && failed != nil {
		err = fmt.Errorf("write to standard output: %w", plainPathError(failed))
	}
	if err == nil {
		return 0
	}
	return report(stderr, err)
}

// report prints an error as one line and a hint, and gives the exit code.
func report(stderr io.Writer, err error) int {
	if errors.Is(err, syscall.EPIPE) { // the reader of our output went away, as head does
		return exitFailed
	}
	msg := plain.OneLineByCause(err)
	fmt.Fprintf(stderr, "wb: %s\n", msg)
	if h := hintFor(err); h != "" {
		fmt.Fprintf(stderr, "hint: %s\n", h)
	}
	var usage usageError
	var gate gateError
	switch {
	case errors.As(err, &gate):
		return exitGate
	case errors.As(err, &usage), strings.HasPrefix(msg, "unknown command"):
		return exitUsage
	case errors.Is(err, collect.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

func hintFor(err error) string {
	var he *queries.HeaderError
	switch hint := plain.Hint(err); {
	case hint != "":
		return hint
	case errors.Is(err, queries.ErrUnknownQuery):
		return "wb query --list shows the saved queries"
	case errors.Is(err, queries.ErrNoRuns):
		return "wb runs shows the runs of the file; wb run records one"
	case errors.Is(err, queries.ErrNothingMeasured):
		return "wb query failed_turns --runs all says what became of its turns"
	case errors.As(err, &he):
		return "docs/queries.md describes the header"
	case strings.HasPrefix(err.Error(), "unknown command"):
		return "wb --help shows the commands"
	case errors.Is(err, collect.ErrUnreachable):
		return "is the server up? try: wb doctor --url URL"
	}
	return ""
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
		return hinted{usageError{err}, cmd.CommandPath() + " --help shows the flags"}
	})
	root.AddCommand(newRun(stdout, stderr), newQuery(stdout, stderr), newReport(stdout, stderr), newRuns(stdout, stderr), newDoctor(stdout), newSim(stderr),
		newServe(stdout, stderr), newModels(stdout, stderr), newSetup(stdout, stderr), newConversations(stdout, stderr), newCache(stdout, stderr), newCompare(stdout, stderr), newCalibrate(stdout, stderr), newSelftest(stdout, stderr),
		newExport(stdout, stderr), newImport(stdout, stderr), newLakePush(stdout, stderr), newLakePull(stdout, stderr))
	extensions := root.PersistentFlags().String("extension-dir", os.Getenv("WB_EXTENSION_DIR"), "`folder` with DuckDB's extensions for lakes (default: DuckDB downloads them; or WB_EXTENSION_DIR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		waiting := func(lake, cause string) { fmt.Fprintf(stderr, "%s: waiting, %s\n", lake, cause) }
		brought := func(to string, n, of int) { fmt.Fprintf(stderr, "%s: %d of %s\n", to, n, plain.Count(of, "run")) }
		cmd.SetContext(history.WithAccess(cmd.Context(), history.Access{Extensions: *extensions, Waiting: waiting, Brought: brought}))
		return checkValues(cmd)
	}
	return root
}

// args wraps a check of positional arguments, so that a wrong number of them is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return hinted{usageError{err}, cmd.CommandPath() + " --help shows how it is used"}
		}
		if i := slices.Index(a, ""); i >= 0 { // such as a shell variable that is not set
			return hinted{usagef("%s: argument %d is empty", cmd.Name(), i+1), cmd.CommandPath() + " --help shows how it is used"}
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
			err = hinted{err, cmd.CommandPath() + " --help shows the flags"}
		}
		if value == "" && slices.Contains([]string{"runs", "base", "db"}, f.Name) { // such as a shell variable that is not set
			err = hinted{usagef("flag --%s: wants a value", f.Name), cmd.CommandPath() + " --help shows the flags"}
		}
	})
	return err
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if len(rev) > 12 {
		rev = rev[:12]
	}
	return rev + dirty
}

func commitSuffix() string {
	if c := commit(); c != "" {
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
