// Command wb measures a language model server on one machine: why a turn was slow, and whether a change helped.
// This package declares commands and flags, and connects the packages that do the work. It must not know how anything is measured,
// stored or computed.
package main

import (
	"cmp"
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

	"wb/cmd/internal/complete"
	"wb/collect/bench"
	"wb/collect/serve"
	"wb/data/plain"
	"wb/store"
	"wb/store/history"
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

// self gives the name by which the user called wb, for hints that can be pasted into a shell.
func self() string {
	if strings.ContainsRune(os.Args[0], os.PathSeparator) && len(os.Args[0]) < 40 {
		return plain.Quote(os.Args[0])
	}
	return "wb"
}

// noNumber matches the error of Go's library for the value of a flag that is not a number.
var noNumber = regexp.MustCompile(`^(.*: )strconv\.\w+: parsing "(.*)": invalid syntax$`)

// usagef makes an error for a mistake on the command line; wb exits with 2.
func usagef(format string, a ...any) error { return plain.Mistakef(format, a...) }

// usageHint makes an error for a command that was called wrongly, with a hint at its help.
func usageHint(cmd *cobra.Command, format string, a ...any) error {
	return plain.WithHint(usagef(format, a...), cmd.CommandPath()+" --help shows how it is used")
}

// flagHint makes an error for a mistake in a flag, with a hint at the command's flags.
func flagHint(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help shows the flags"
	if strings.Contains(cmd.Use, "SERVER-ARGUMENTS") {
		hint += "; the server's arguments come after --"
	}
	return plain.WithHint(plain.Mistake(err), hint)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serve.GuardCommand { // this process is the guard of a server that wb started
		os.Exit(serve.Guard(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // a reader that ends early, such as head, must not end a run
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup the terminal may be closed
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

// reportError prints an error as one line, and its hint if it has one. It returns the exit code.
func reportError(stderr io.Writer, err error) int {
	if errors.Is(err, syscall.EPIPE) { // the reader of our output has ended, such as head
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
	if strings.HasPrefix(err.Error(), "unknown command") { // cobra made this error
		return "wb --help shows the commands"
	}
	return plain.Hint(err)
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "wb",
		Short: "Measure a language model server and keep the evidence",
		Long: `wb plays multi-turn conversations against vLLM, against any other OpenAI-compatible server, or against a simulator that
it brings along. It records every turn, every streamed chunk, every GPU and host sample and every server counter in one DuckDB
file. Saved queries, comparisons and SQL answer questions about what was recorded.`,
		Version:       version + commitSuffix(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, a []string) error {
			err := cobra.NoArgs(cmd, a)
			if err == nil {
				return nil
			}
			var known []string
			for _, c := range cmd.Commands() {
				known = append(known, c.Name())
			}
			return fmt.Errorf("%w%s", err, plain.DidYouMean(a[0], known))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --"); unknown {
			var known []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
			if near := plain.Nearest(name, known); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean --%s?", err, near[0])
			}
		}
		if m := noNumber.FindStringSubmatch(err.Error()); m != nil {
			err = fmt.Errorf("%s%q is not a number", m[1], m[2])
		}
		return flagHint(cmd, err)
	})
	groups(root, []group{
		{"measure", "Measure:", []*cobra.Command{newRun(stdout, stderr), newCalibrate(stdout, stderr), newSelftest(stdout, stderr)}},
		{"ask", "Ask what was measured:", []*cobra.Command{newQuery(stdout, stderr), newCompare(stdout, stderr), newReport(stdout, stderr),
			newRuns(stdout, stderr), newCache(stdout, stderr)}},
		{"prepare", "Prepare and serve:", []*cobra.Command{newDoctor(stdout), newSetup(stdout, stderr), newModels(stdout, stderr),
			newConversations(stdout, stderr), newServe(stdout, stderr), newSim(stderr), newVersion(stdout)}},
		{"history", "Bring histories together:", []*cobra.Command{newExport(stdout, stderr), newImport(stdout, stderr),
			newLakePush(stdout, stderr), newLakePull(stdout, stderr)}},
	})
	root.SetCompletionCommandGroupID("prepare")
	complete.All(root)
	extensions := root.PersistentFlags().String("extension-dir", os.Getenv("WB_EXTENSION_DIR"),
		"`folder` with DuckDB's extensions for lakes (or WB_EXTENSION_DIR; without it DuckDB downloads them)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		waiting := func(lake, cause string) { fmt.Fprintf(stderr, "%s: waiting, %s\n", lake, cause) }
		brought := func(to string, n, of int) { fmt.Fprintf(stderr, "%s: %d of %s\n", to, n, plain.Count(of, "run")) }
		cmd.SetContext(history.WithAccess(cmd.Context(), history.Access{Extensions: *extensions, Waiting: waiting, Brought: brought}))
		return checkValues(cmd)
	}
	return root
}

// group is a set of commands that the help lists under one title.
type group struct {
	id, title string
	commands  []*cobra.Command
}

func groups(root *cobra.Command, all []group) {
	for _, g := range all {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
}

// args wraps a check of positional arguments: a wrong number of them, or an empty one, is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			if _, wants, named := strings.Cut(cmd.Use, " "); named {
				err = fmt.Errorf("%s: wants %s, not %s", cmd.Name(), wants, plain.Count(len(a), "argument"))
			}
			return usageHint(cmd, "%w", err)
		}
		if i := slices.Index(a, ""); i >= 0 { // such as an unset variable of the shell
			return usageHint(cmd, "%s: argument %d is empty", cmd.Name(), i+1)
		}
		return nil
	}
}

// checkValues refuses a flag that took the next flag as its value: "wb run --results --db x" would play a plan named x.
func checkValues(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := strings.Trim(f.Value.String(), "[]") // the brackets are those of a list
		if name, ok := strings.CutPrefix(value, "--"); ok && f.Changed && cmd.Flags().Lookup(name) != nil {
			err = usagef("flag --%s: wants a value, but %s follows it", f.Name, value)
			err = flagHint(cmd, err)
		}
		if value == "" && f.Changed && slices.Contains([]string{"runs", "base", "db"}, f.Name) { // such as an unset variable of the shell
			err = flagHint(cmd, fmt.Errorf("flag --%s: wants a value", f.Name))
		}
	})
	return err
}

func newVersion(stdout io.Writer) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Show the version of wb and of what it contains", Args: args(cobra.NoArgs),
		Long: "Show the version of wb, its commit, DuckDB, Go and the platform. wb asks no server for newer versions, here or elsewhere.",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(stdout, plain.Build(version, store.DuckDBVersion()))
			return err
		}}
}

func commitSuffix() string {
	if c := plain.Commit(); c != "" {
		return " (" + c + ")"
	}
	return ""
}

// defaultDB gives the history that is used without --db.
func defaultDB() string { return cmp.Or(os.Getenv("WB_DB"), "wb.duckdb") }

const anyHistory = "history to read: a DuckDB `file`, a folder of Parquet files or a lake (or $WB_DB)"

func historyFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "db", defaultDB(), anyHistory)
}

func dbFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "db", defaultDB(), "DuckDB `file` with the history (or $WB_DB)")
}
