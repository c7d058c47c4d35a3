// Package serve starts and ends vLLM or llama-server on this machine, watches the log, and explains why it failed. It finds program and
// model, and checks beforehand that the model fits into memory. It knows nothing about runs and records nothing: it gives what happened as
// facts with times.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"wb/collect/engine"
)

// PhaseTime is when a phase began.
type PhaseTime struct {
	Phase string
	At    time.Time
}

// Facts are what is known about one server process.
type Facts struct {
	PID     int
	LogPath string
	Command []string // without secrets
	Phases  []PhaseTime
	Report  Report
}

// StartError says that a server did not start, or ended while it was in use, with the cause that its log shows.
type StartError struct {
	Cause
	Program string // its name
	LogPath string
	Tail    string // the last lines of the log
	Died    bool   // it ended while serving, not while starting
	Facts   Facts
}

func (e *StartError) Error() string {
	if e.Died {
		return "keep " + e.Program + " running: " + e.Text
	}
	return "start " + e.Program + ": " + e.Text
}

// Hint says what to do about it.
func (e *StartError) Hint() string {
	log := "its log is " + e.LogPath
	if e.Cause.Hint == "" {
		return log
	}
	return e.Cause.Hint + "; " + log
}

// ErrStopped is returned when the context ended during a start.
var ErrStopped = errors.New("the start was cancelled")

// Server is one process of a program and the processes that it started.
type Server struct {
	o    *Options
	proc *guarded
	log  *os.File

	mu      sync.Mutex
	facts   Facts
	read    *reader
	stopped bool
	base    int64 // GPU memory used before the start, bytes
	baseOK  bool  // base is known
}

const defaultTimeout = 15 * time.Minute

// Start starts a server and waits until /health answers. If that fails, or the context ends, nothing is left running. The error is a
// *StartError when the server ended by itself or did not answer in time.
func Start(ctx context.Context, o *Options) (*Server, error) {
	program := o.Install.Program
	if err := os.MkdirAll(filepath.Dir(o.LogPath), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: make log directory: %w", program.Name, err)
	}
	log, err := newLog(o.LogPath)
	if err != nil {
		return nil, fmt.Errorf("start %s: open log: %w", program.Name, err)
	}
	o.LogPath = log.Name()
	s := &Server{o: o, log: log, read: program.newReader()}
	command, _ := o.Recorded()
	s.facts = Facts{LogPath: o.LogPath, Command: command}
	if o.Used != nil {
		s.base, s.baseOK = o.Used()
	}
	s.mark(PhaseSpawned)
	if s.proc, err = spawn(o.Command(), o.Env, log); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program.Name, err), log.Close())
	}
	s.facts.PID = s.proc.pid
	if err := s.wait(ctx); err != nil {
		s.proc.stop(ctx.Err() != nil)
		s.mark(PhaseExited)
		s.released(context.WithoutCancel(ctx))
		var failed *StartError
		if errors.As(err, &failed) {
			failed.Facts = s.Facts()
		}
		return nil, errors.Join(err, log.Close())
	}
	return s, nil
}

// wait follows the log and asks /health until the server answers, ends or takes too long.
func (s *Server) wait(ctx context.Context) error {
	limit := s.o.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	began := time.Now()
	h := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var rest []byte
	var offset int64
	told := PhaseSpawned
	for {
		offset, rest = s.tail(offset, rest)
		s.mu.Lock()
		phase, detail := s.read.phase, s.read.detail
		s.mu.Unlock()
		if now := phase + "|" + detail; now != told {
			told = now
			s.mark(phase)
			if s.o.Progress != nil {
				s.o.Progress(phase, detail)
			}
		}
		select {
		case <-s.proc.ended:
			s.tail(offset, rest)
			return s.explain(false)
		case <-ctx.Done():
			return ErrStopped
		default:
		}
		if s.healthy(ctx, h) && s.answers(ctx) {
			s.tail(offset, rest)
			s.mark(PhaseReady)
			if s.o.Progress != nil {
				s.o.Progress(PhaseReady, "")
			}
			return nil
		}
		if time.Since(began) > limit {
			late := Cause{fmt.Sprintf("it did not answer within %v (it was %s)", limit, phase),
				"a large model or a first compilation takes long; --server-timeout allows more time"}
			return &StartError{Cause: late, Program: s.program().Name, LogPath: s.o.LogPath, Tail: s.logTail()}
		}
		s.sleep(ctx, 100*time.Millisecond)
	}
}

// answers says whether it is this server that listens on its port, and no other program that took the port meanwhile. Where that cannot
// be seen, it is.
func (s *Server) answers(ctx context.Context) bool {
	pid, ok := engine.Listener(ctx, s.o.Port)
	return !ok || descends(ctx, pid, int32(s.proc.pid))
}

// healthy asks /health. llama-server wants its key there, too, when its paths have a prefix.
func (s *Server) healthy(ctx context.Context, h *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.URL()+"/health", nil)
	if err != nil {
		return false
	}
	if key := s.o.Key(); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := h.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// sleep waits, but not longer than the server lives or the context lasts.
func (s *Server) sleep(ctx context.Context, d time.Duration) {
	if s.o.Sleep != nil {
		s.o.Sleep(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.proc.ended:
	case <-t.C:
	}
}

// mark records that a phase begins now, unless it began before.
func (s *Server) mark(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.facts.Phases, func(p PhaseTime) bool { return p.Phase == phase }) {
		s.facts.Phases = append(s.facts.Phases, PhaseTime{phase, time.Now()})
	}
}

// Facts gives what is known about the server so far.
func (s *Server) Facts() Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Phases = slices.Clone(f.Phases)
	return f
}

// program says how the server is started, and what its log means.
func (s *Server) program() *Program { return s.o.Install.Program }

// URL is the server's base URL.
func (s *Server) URL() string { return s.o.URL() }

// Ended is closed when the server is gone, for whatever reason.
func (s *Server) Ended() <-chan struct{} { return s.proc.ended }

// Err explains why the server is gone. It gives nil while the server runs, and when it was told to end. It waits a moment for a server that
// is about to end: the request that failed because of it returns before the process is gone.
func (s *Server) Err(ctx context.Context) error {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return nil
	}
	t := time.NewTimer(s.program().dying)
	defer t.Stop()
	select {
	case <-s.proc.ended:
		return s.explain(true)
	case <-t.C:
		// vLLM's engine core may be gone while the API server is still there and answers with errors.
		half := s.program().halfDead
		if c := s.program().Explain(s.logText()); half != "" && strings.Contains(c.Text, half) {
			return s.explain(true)
		}
	case <-ctx.Done():
	}
	return nil
}

// explain makes the error of a server that is gone, from its log and its exit status. died: it was serving.
func (s *Server) explain(died bool) error {
	text := s.logText()
	exit := s.proc.exitText()
	c := s.program().Explain(text)
	if exit == "signal 9" { // an error that the log names last need not have to do with it
		c = s.program().recognise(text)
	}
	how := ""
	switch {
	case exit == "signal 9" && c.Text == "":
		how = "it was killed (signal 9)"
		c.Hint = "the kernel kills processes when memory runs out: see dmesg"
	case strings.HasPrefix(exit, "signal"):
		how = "it ended by " + exit
	case exit != "":
		how = "it ended with status " + strings.TrimPrefix(exit, "exit ")
	}
	switch {
	case c.Text == "" && how == "":
		c.Text = "it stopped answering"
	case c.Text == "":
		c.Text = how
	}
	return &StartError{Cause: c, Program: s.program().Name, LogPath: s.o.LogPath, Tail: s.logTail(), Died: died}
}

// Stop ends the server with SIGTERM, and with SIGKILL to all of its processes when that is not enough. Then it waits until the GPU memory
// is free again. It gives false when memory stays in use. When the context is done, the processes are killed at once. A second call only
// waits for the first.
func (s *Server) Stop(ctx context.Context) (released bool) {
	s.mu.Lock()
	again := s.stopped
	s.stopped = true
	s.mu.Unlock()
	if again {
		<-s.proc.gone
		return true
	}
	s.mark(PhaseStopping)
	s.proc.stop(ctx.Err() != nil)
	s.mark(PhaseExited)
	released = s.released(context.WithoutCancel(ctx))
	_ = s.log.Close() // nothing more is read from it, and wb wrote nothing to it
	return released
}

// GPU memory counts as released when no more than this is in use beyond what was in use before the start. Other programs change it too.
const (
	releaseSlack = 256 << 20        // bytes
	releaseLimit = 30 * time.Second // how long to wait for it
)

// released waits until the GPU memory is free again, and says whether it is. It gives true where the memory cannot be read.
func (s *Server) released(ctx context.Context) bool {
	if s.o.Used == nil || !s.baseOK {
		return true
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		used, ok := s.o.Used()
		if !ok {
			return true
		}
		if used <= s.base+releaseSlack {
			s.mark(PhaseReleased)
			return true
		}
		if time.Since(began) > releaseLimit || ctx.Err() != nil {
			return false
		}
	}
}
