package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/collect/sim"
	"wb/data/hub"
)

// serverOptions are the flags of a vLLM that wb starts.
type serverOptions struct {
	vllm, preset, port, logDir string
	utilization                float64
	maxModelLen                string
	timeout                    time.Duration
	verbose                    bool
}

func vllmFlag(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVar(at, "vllm", os.Getenv("WB_VLLM"), "where vLLM is: an executable or a virtual environment (default: the active one, .venv, venv, PATH; $WB_VLLM)")
}

func (o *serverOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	vllmFlag(cmd, &o.vllm)
	f.StringVar(&o.preset, "preset", "", "settings to start vLLM with: "+strings.Join(serve.PresetNames(), ", ")+" (default: cpu without a GPU, else single-user)")
	f.StringVar(&o.port, "port", "8001", "port of the server; auto takes a free one when 8001 is taken")
	f.Float64Var(&o.utilization, "gpu-memory-utilization", 0, "share of the GPU's memory that vLLM may use, 0 to 1 (0: vLLM's default)")
	f.StringVar(&o.maxModelLen, "max-model-len", "", "longest context in `tokens`, such as 8192 or 8K (default: the model's own, or what fits)")
	f.DurationVar(&o.timeout, "server-timeout", 15*time.Minute, "give a start up after this long")
	f.StringVar(&o.logDir, "log-dir", defaultLogDir(), "`directory` for the server's logs")
	f.BoolVar(&o.verbose, "verbose", false, "on failure, print the end of the server's log")
}

func defaultLogDir() string {
	d, err := os.UserCacheDir()
	if err != nil {
		d = os.TempDir()
	}
	return filepath.Join(d, "wb", "logs")
}

// serverFlags names them, for messages about flags that do not go together.
var serverFlags = []string{"vllm", "preset", "port", "gpu-memory-utilization", "max-model-len", "server-timeout", "log-dir", "verbose"}

// launch checks the flags and makes them a launch.
func (o *serverOptions) launch(model string, words []string, start time.Time, stderr io.Writer) (*serve.Launch, error) {
	l := &serve.Launch{Model: model, VLLM: o.vllm, Preset: o.preset, Port: 8001, Utilization: o.utilization, Words: words, LogDir: o.logDir, Timeout: o.timeout,
		Environ: os.Environ(), Start: start}
	switch port, err := strconv.Atoi(o.port); {
	case o.port == "auto":
		l.AnyPort = true
	case err != nil || port < 1 || port > 65535:
		return nil, usagef("flag --port: wants a port or auto, not %q", o.port)
	default:
		l.Port = port
	}
	if o.utilization < 0 || o.utilization > 1 {
		return nil, usagef("flag --gpu-memory-utilization: wants 0 to 1, not %v", o.utilization)
	}
	if o.maxModelLen != "" {
		n, ok := serve.ParseCount(o.maxModelLen)
		if !ok {
			return nil, usagef("flag --max-model-len: wants tokens, such as 8192 or 8K, not %q", o.maxModelLen)
		}
		l.MaxModelLen = n
	}
	if o.preset != "" && !slices.Contains(serve.PresetNames(), o.preset) {
		return nil, usagef("flag --preset: wants one of %s, not %q", strings.Join(serve.PresetNames(), ", "), o.preset)
	}
	if o.timeout <= 0 {
		return nil, usagef("flag --server-timeout: %v is no time", o.timeout)
	}
	var probe serve.Args
	if err := probe.Merge(words); err != nil {
		return nil, usageError{err}
	}
	for _, own := range []string{"port", "model"} {
		if _, ok := probe.Get(own); ok {
			return nil, usagef("read vLLM arguments: --%s is wb's own flag; give it before --", own)
		}
	}
	h, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return nil, err
	}
	l.Hub = h
	l.Warn = func(s string) { fmt.Fprintf(stderr, "warning: %s\n", s) }
	return l, nil
}

// talk sets what a launch tells the person; quiet leaves out all but warnings.
func talk(l *serve.Launch, stderr io.Writer, quiet bool) (done func()) {
	if quiet {
		l.Say, l.Progress = func(string) {}, func(string, string) {}
		l.Pulling = func(string) func(hub.Progress) { return nil }
		return func() {}
	}
	s := &startProgress{liveLine: newLiveLine(stderr)}
	l.Say = func(t string) { s.end(); fmt.Fprintln(stderr, t) }
	l.Progress = s.phase
	l.Pulling = func(repo string) func(hub.Progress) {
		fmt.Fprintf(stderr, "pulling %s into %s\n", repo, l.Hub.CacheDir)
		return newPullProgress(stderr).report
	}
	return s.end
}

// startProgress shows how a start gets on: a line that changes on a terminal, a line a phase elsewhere.
type startProgress struct {
	*liveLine
	mu    sync.Mutex
	began time.Time
	last  string
}

var phaseText = map[string]string{serve.PhaseSpawned: "starting", serve.PhaseImporting: "loading libraries", serve.PhaseEngine: "configuring", serve.PhaseLoading: "loading weights",
	serve.PhaseCompiling: "compiling", serve.PhaseProfiling: "setting up the KV cache", serve.PhaseCapturing: "capturing CUDA graphs", serve.PhaseWarming: "warming up", serve.PhaseReady: "ready"}

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
	case s.live && phase != serve.PhaseReady:
		s.show(text)
	case phase != s.last:
		s.say(text)
	}
	s.last = phase
}

func (s *startProgress) end() {
	s.clear()
}

// logTail prints the end of the log of a start that failed, when asked for.
func (o *serverOptions) logTail(stderr io.Writer, err error) {
	var e *serve.StartError
	if o.verbose && errors.As(err, &e) && e.Tail != "" {
		fmt.Fprintf(stderr, "the end of %s:\n%s\n", e.LogPath, e.Tail)
	}
}

// simServer is the embedded simulator as a server that wb can restart.
type simServer struct {
	options sim.Options
	addr    string
	ctx     context.Context

	mu    sync.Mutex
	cur   *sim.Server
	facts serve.Facts
}

// newSimServer starts a simulator at a free port and gives its URL.
func newSimServer(ctx context.Context, o sim.Options) (*simServer, string, error) {
	s := &simServer{options: o, addr: "127.0.0.1:0", ctx: context.WithoutCancel(ctx)}
	if err := s.Start(ctx); err != nil {
		return nil, "", err
	}
	return s, "http://" + s.addr, nil
}

// Start starts a fresh simulator where the last one was.
func (s *simServer) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = serve.Facts{Command: []string{"simulator"}}
	mark := func(phase string) {
		s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: phase, At: time.Now()})
	}
	mark(serve.PhaseSpawned)
	srv, err := sim.New(s.options)
	if err != nil {
		return usageError{err}
	}
	url, err := srv.Start(s.ctx, s.addr)
	if err != nil {
		return err
	}
	if _, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://")); err == nil {
		s.addr = net.JoinHostPort("127.0.0.1", port)
	}
	mark(serve.PhaseReady)
	s.cur = srv
	return nil
}

// Stop ends it; a second call does nothing.
func (s *simServer) Stop(context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil {
		return true
	}
	s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: serve.PhaseStopping, At: time.Now()})
	_ = s.cur.Close() // its connections go with it
	s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: serve.PhaseExited, At: time.Now()})
	s.cur = nil
	return true
}

// Facts are those of the last start.
func (s *simServer) Facts() serve.Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Phases = slices.Clone(f.Phases)
	return f
}

// Err is nil: a simulator inside wb does not die on its own.
func (s *simServer) Err(context.Context) error { return nil }

func newServe(stdout, stderr io.Writer) *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "serve MODEL [-- VLLM-ARGUMENTS]",
		Short: "Start vLLM with a model and keep it until Ctrl-C",
		Long: `Find vLLM, download the model if it is missing, check memory and port, start vLLM and wait until it answers. Its URL is printed on standard
output. Ctrl-C, or the end of wb in any other way, ends vLLM with everything it started.

MODEL is a name of wb models list, ORG/NAME[@REVISION] of the hub, or a directory.`,
		Example: `  wb serve smollm2-135m
  wb serve phi-3.5-mini --preset optimized --max-model-len 32K
  wb serve ./my-model --port auto -- --max-num-seqs 4 --dtype half`,
		Args: func(cmd *cobra.Command, a []string) error {
			n := len(a)
			if d := cmd.ArgsLenAtDash(); d >= 0 {
				n = d
			}
			if n != 1 {
				return hinted{usagef("serve: wants one model, not %d; vLLM's own arguments come after --", n), "wb models list shows names"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			ctx := cmd.Context()
			l, err := o.launch(a[0], a[1:], time.Now(), stderr)
			if err != nil {
				return err
			}
			l.DevMode = !slices.ContainsFunc(a[1:], func(w string) bool { return strings.HasPrefix(w, "--host") }) // for this machine alone
			done := talk(l, stderr, false)
			m, err := l.Prepare(ctx)
			if err != nil {
				return interrupted(ctx, err)
			}
			defer m.Close()
			err = m.Start(ctx)
			done()
			if err != nil {
				o.logTail(stderr, err)
				return interrupted(ctx, err)
			}
			fmt.Fprintf(stderr, "serving %s with vLLM (pid %d), log %s; stop with Ctrl-C\n", m.Options.ServedName, m.Facts().PID, m.Facts().LogPath)
			fmt.Fprintln(stdout, m.Options.URL())
			select {
			case <-ctx.Done():
				fmt.Fprintln(stderr, "stopping; requests under way have 10 s")
				if !m.Stop(context.WithoutCancel(ctx)) {
					fmt.Fprintln(stderr, "warning: vLLM is gone and GPU memory is still taken")
				}
				return nil
			case <-m.Ended():
				err := m.Err(ctx)
				o.logTail(stderr, err)
				return err
			}
		},
	}
	o.flags(cmd)
	return cmd
}

// interrupted is what a person caused by Ctrl-C, whatever came of it first.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return bench.ErrInterrupted
	}
	return err
}
