package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/collect/target"
	"wb/data/hub"
	"wb/data/plain"
	"wb/viz/output"
)

// talk prints what the user should know of a server that is reached or started. With quiet it prints only warnings.
func talk(stderr io.Writer, quiet, verbose bool) target.Talk {
	say := func(format string, a ...any) {
		if !quiet {
			fmt.Fprintf(stderr, format+"\n", a...)
		}
	}
	told := false
	return target.Talk{
		Say:   func(text string) { fmt.Fprintln(stderr, text) },
		Start: func(l *serve.Launch) func() { return talkOfStart(l, stderr, quiet) },
		Ready: func(name, url string, f serve.Facts) {
			say("vLLM serves %s at %s (pid %d), log %s", name, url, f.PID, f.LogPath)
		},
		Fail: func(err error) { logTail(stderr, verbose, err) },
		Model: func(profile string) {
			if !told {
				say("no --url: the embedded simulator answers (profile %s); every figure is simulated", profile)
			}
			told = true
		},
	}
}

// talkOfStart makes a launch print its progress. done removes the line under way.
func talkOfStart(l *serve.Launch, stderr io.Writer, quiet bool) (done func()) {
	l.Warn = func(s string) { fmt.Fprintf(stderr, "warning: %s\n", s) }
	if quiet {
		l.Say, l.Progress = func(string) {}, func(string, string) {}
		l.Pulling = func(string) func(hub.Progress) { return nil }
		return func() {}
	}
	s := &startProgress{LiveLine: output.NewLiveLine(stderr)}
	l.Say = func(t string) { s.Clear(); fmt.Fprintln(stderr, t) }
	l.Progress = s.phase
	l.Pulling = func(repo string) func(hub.Progress) {
		fmt.Fprintf(stderr, "pulling %s into %s\n", repo, l.Hub.CacheDir)
		return pullProgress(output.NewTransfer(stderr))
	}
	return s.Clear
}

// startProgress shows the progress of a start: one line that changes on a terminal, one line per phase elsewhere.
type startProgress struct {
	*output.LiveLine
	mu    sync.Mutex
	began time.Time
	last  string
}

var phaseText = map[string]string{
	serve.PhaseSpawned: "starting", serve.PhaseImporting: "loading libraries", serve.PhaseEngine: "configuring",
	serve.PhaseLoading: "loading weights", serve.PhaseCompiling: "compiling", serve.PhaseProfiling: "setting up the KV cache",
	serve.PhaseCapturing: "capturing CUDA graphs", serve.PhaseWarming: "warming up", serve.PhaseReady: "ready"}

func (s *startProgress) phase(phase, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() || (phase == serve.PhaseSpawned && s.last == serve.PhaseReady) {
		s.began = time.Now()
	}
	text := "vLLM: " + phaseText[phase]
	if detail != "" {
		text += " " + detail
	}
	text += fmt.Sprintf(", after %.0f s", time.Since(s.began).Seconds())
	switch {
	case s.Live && phase != serve.PhaseReady:
		s.Show(text)
	case phase != s.last:
		s.Say(text)
	}
	s.last = phase
}

// logTail prints the end of the log of a start that failed, if --verbose asks for it.
func logTail(stderr io.Writer, verbose bool, err error) {
	var e *serve.StartError
	if verbose && errors.As(err, &e) && e.Tail != "" {
		fmt.Fprintf(stderr, "the end of %s:\n%s\n", e.LogPath, e.Tail)
	}
}

func newServe(stdout, stderr io.Writer) *cobra.Command {
	var o target.Serve
	cmd := &cobra.Command{
		Use:   "serve MODEL [-- VLLM-ARGUMENTS]",
		Short: "Start vLLM with a model and keep it until Ctrl-C",
		Long: `Find vLLM, download the model if it is missing, check memory and port, start vLLM and wait until it answers. Its URL is
printed on standard output. When wb ends, by Ctrl-C or in any other way, vLLM and everything that it started ends, too.

MODEL is a name that wb models list shows, ORG/NAME[@REVISION] on the hub, or a directory.`,
		Example: `  wb serve smollm2-135m
  wb serve phi-3.5-mini --preset optimized --max-model-len 32K
  wb serve ./my-model --port auto -- --max-num-seqs 4 --dtype half`,
		Args: func(cmd *cobra.Command, a []string) error {
			n := len(a)
			if d := cmd.ArgsLenAtDash(); d >= 0 {
				n = d
			}
			if n != 1 {
				return plain.WithHint(usagef("serve: wants one model, not %d; arguments of vLLM come after --", n), "wb models list shows names")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			ctx := cmd.Context()
			l, err := o.Launch(a[0], a[1:], time.Now())
			if err != nil {
				return err
			}
			// without --host only this machine can reach the server
			l.DevMode = !slices.ContainsFunc(a[1:], func(w string) bool { return strings.HasPrefix(w, "--host") })
			done := talkOfStart(l, stderr, false)
			m, err := l.Prepare(ctx)
			if err != nil {
				return bench.Interrupted(ctx, err)
			}
			defer m.Close()
			err = m.Start(ctx)
			done()
			if err != nil {
				logTail(stderr, o.Verbose, err)
				return bench.Interrupted(ctx, err)
			}
			fmt.Fprintf(stderr, "serving %s with vLLM (pid %d), log %s; stop with Ctrl-C\n", m.Options.ServedName, m.Facts().PID, m.Facts().LogPath)
			fmt.Fprintln(stdout, m.Options.URL())
			select {
			case <-ctx.Done():
				fmt.Fprintln(stderr, "stopping; running requests have 10 s to end")
				if !m.Stop(context.WithoutCancel(ctx)) {
					fmt.Fprintln(stderr, "warning: vLLM has ended, but GPU memory is still in use")
				}
				return nil
			case <-m.Ended():
				err := m.Err(ctx)
				logTail(stderr, o.Verbose, err)
				return err
			}
		},
	}
	o.Flags(cmd.Flags())
	return cmd
}
