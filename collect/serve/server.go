// Package serve starts, watches, explains and ends a vLLM server that wb owns, and knows how vLLM's releases differ. It
// records nothing: what happens is told as facts with times.
package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what to start. Host, Port and LogPath must be set; NewOptions fills in the rest.
type Options struct {
	Install    *Install
	Model      string // directory, or name on the hub
	ServedName string // name clients use
	Preset     string
	Host       string
	Port       int
	Args       Args
	Env        []string // whole environment of the server
	EnvAdded   []string // of it: what wb added, name=value, in order
	LogPath    string
	Timeout    time.Duration // until /health answers; 0: 15 minutes

	Progress func(phase, detail string)           // called as a start gets on; may be nil
	Used     func() (bytes int64, known bool)     // GPU memory in use, to see it released; may be nil
	Sleep    func(context.Context, time.Duration) // between looks at the server; default really sleeps
}

// NewOptions puts a preset, the user's environment and the user's own arguments together; words are arguments as typed
// after --. It fails on an unknown preset and on words that are no flags.
func NewOptions(in *Install, preset, model string, environ, words []string) (*Options, error) {
	p, err := knownPreset(preset)
	if err != nil {
		return nil, err
	}
	o := &Options{Install: in, Model: model, Preset: preset, Host: "127.0.0.1"}
	o.Args.apply(p)
	add := map[string]string{"VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"}
	for k, v := range p.Env {
		add[k] = v
	}
	o.Env, o.EnvAdded = environment(environ, add)
	if err := o.Args.Merge(words); err != nil {
		return nil, err
	}
	for _, mine := range []string{"host", "port", "model"} {
		if _, ok := o.Args.Get(mine); ok && mine != "host" {
			return nil, fmt.Errorf("read vLLM arguments: --%s is wb's own flag; give it before --", mine)
		}
	}
	if h, ok := o.Args.Get("host"); ok {
		o.Host = h
	}
	o.ServedName = model
	if n, ok := o.Args.Get("served-model-name"); ok {
		o.ServedName, _, _ = strings.Cut(n, "\x00")
	}
	return o, nil
}

// AddEnv sets a variable of the server's environment unless the user's own has it; an empty one counts as none.
func (o *Options) AddEnv(name, value string) {
	if o.Getenv(name) != "" {
		return
	}
	o.Env = append(o.Env, name+"="+value)
	o.EnvAdded = append(o.EnvAdded, name+"="+value)
	slices.Sort(o.EnvAdded)
}

// Getenv reads the server's environment.
func (o *Options) Getenv(name string) string {
	for _, e := range slices.Backward(o.Env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Command is the whole command line.
func (o *Options) Command() []string {
	a := o.Args
	out := append(slices.Clone(o.Install.Command), "serve", o.Model)
	if _, ok := a.Get("served-model-name"); !ok && o.ServedName != o.Model {
		out = append(out, "--served-model-name", o.ServedName)
	}
	if _, ok := a.Get("host"); !ok {
		out = append(out, "--host", o.Host)
	}
	return append(append(out, "--port", strconv.Itoa(o.Port)), a.List()...)
}

// SecretArgs are flags whose values are not for the record.
func SecretArgs() []string { return []string{"api-key", "hf-token", "ssl-keyfile-password"} }

// withoutCredentials takes user and password out of a value that is a URL.
func withoutCredentials(v string) string {
	if !strings.Contains(v, "://") {
		return v
	}
	u, err := url.Parse(v)
	if err != nil || u.User == nil {
		return v
	}
	u.User = nil
	return u.String()
}

// Recorded gives the command line and the settings for the record: every flag and every variable that wb or the user set for vLLM,
// secrets left out.
func (o *Options) Recorded() (command []string, settings map[string]string) {
	c := *o
	c.Args = Args{}
	settings = map[string]string{"model": o.Model, "preset": o.Preset}
	if o.Install.Version != "" {
		settings["vllm_version"] = o.Install.Version
	}
	for _, n := range o.Args.Names() {
		v, _ := o.Args.Get(n)
		if slices.Contains(SecretArgs(), n) {
			v = "(secret)"
		}
		v = withoutCredentials(v)
		c.Args.Set(n, v)
		shown := strings.ReplaceAll(v, "\x00", " ")
		if shown == "" {
			shown = "on"
		}
		settings["--"+n] = shown
	}
	for _, e := range o.Env {
		name, value, _ := strings.Cut(e, "=")
		relevant := strings.HasPrefix(name, "VLLM_") || strings.HasPrefix(name, "CUDA_") || strings.HasPrefix(name, "NCCL_") || strings.HasPrefix(name, "PYTORCH_") ||
			name == "OMP_NUM_THREADS" || name == "HF_HUB_OFFLINE" || slices.Contains(o.EnvAdded, e)
		secret := strings.Contains(name, "KEY") || strings.Contains(name, "TOKEN") || strings.Contains(name, "SECRET") || strings.Contains(name, "PASSWORD")
		if relevant && !secret {
			settings["env "+name] = value
		}
	}
	return c.Command(), settings
}

// URL is where the server answers.
func (o *Options) URL() string {
	host := o.Host
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(o.Port))
}

// PhaseTime is when a phase began.
type PhaseTime struct {
	Phase string
	At    time.Time
}

// Facts are what is known of one server process.
type Facts struct {
	PID     int
	LogPath string
	Command []string // secrets left out
	Phases  []PhaseTime
	Report  Report
}

// StartError is a start that did not succeed, with the log's own cause.
type StartError struct {
	Cause
	LogPath string
	Tail    string // last lines of the log
	Died    bool   // while serving, not while starting
	Facts   Facts
}

func (e *StartError) Error() string {
	verb := "start vLLM: "
	if e.Died {
		verb = "keep vLLM running: "
	}
	return verb + e.Text
}

// Hint says what to do about it.
func (e *StartError) Hint() string {
	log := "its log is " + e.LogPath
	if e.Cause.Hint == "" {
		return log
	}
	return e.Cause.Hint + "; " + log
}

// ErrStopped is returned when a start was called off.
var ErrStopped = errors.New("the start was called off")

// Server is one vLLM process and what it started.
type Server struct {
	o    *Options
	proc *guarded
	log  *os.File

	mu      sync.Mutex
	facts   Facts
	read    *reader
	stopped bool
	base    int64 // GPU memory used before the start
	baseOK  bool
}

const defaultTimeout = 15 * time.Minute

// newLog makes a file for the log of one start, named as path, or with a number where another start has that name: two may fall into one
// second.
func newLog(path string) (*os.File, error) {
	ext := filepath.Ext(path)
	for n := 1; ; n++ {
		name := path
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), n, ext)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
		if !errors.Is(err, fs.ErrExist) || n == 10_000 {
			return f, err
		}
	}
}

// Start starts a server and waits until /health answers. If that fails, or the context ends, nothing of it is left
// running. The error is a *StartError when vLLM itself gave up.
func Start(ctx context.Context, o *Options) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(o.LogPath), 0o755); err != nil {
		return nil, fmt.Errorf("start vLLM: make log directory: %w", err)
	}
	log, err := newLog(o.LogPath)
	if err != nil {
		return nil, fmt.Errorf("start vLLM: open log: %w", err)
	}
	o.LogPath = log.Name()
	s := &Server{o: o, log: log, read: &reader{phase: PhaseSpawned}}
	command, _ := o.Recorded()
	s.facts = Facts{LogPath: o.LogPath, Command: command}
	if o.Used != nil {
		s.base, s.baseOK = o.Used()
	}
	s.mark(PhaseSpawned)
	if s.proc, err = spawn(o.Command(), o.Env, log); err != nil {
		return nil, errors.Join(fmt.Errorf("start vLLM: %w", err), log.Close())
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

// wait watches the log and /health.
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
		if resp, err := h.Get(s.o.URL() + "/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.tail(offset, rest)
				s.mark(PhaseReady)
				if s.o.Progress != nil {
					s.o.Progress(PhaseReady, "")
				}
				return nil
			}
		}
		if time.Since(began) > limit {
			return &StartError{Cause: Cause{fmt.Sprintf("it did not answer within %v (it was %s)", limit, phase), "a large model or a first compilation takes long: --server-timeout"}, LogPath: s.o.LogPath, Tail: s.logTail()}
		}
		s.sleep(ctx, 100*time.Millisecond)
	}
}

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

// tail feeds what the log has grown by to the reader; rest is an unfinished line.
func (s *Server) tail(offset int64, rest []byte) (int64, []byte) {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.log.ReadAt(buf, offset)
		offset += int64(n)
		rest = append(rest, buf[:n]...)
		for {
			i := bytes.IndexAny(rest, "\r\n")
			if i < 0 {
				break
			}
			s.mu.Lock()
			s.read.line(string(rest[:i]))
			s.facts.Report = s.read.Report
			s.mu.Unlock()
			rest = rest[i+1:]
		}
		if err != nil || n == 0 {
			return offset, rest
		}
		if len(rest) > 1<<20 { // no line is that long
			rest = nil
		}
	}
}

func (s *Server) mark(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.facts.Phases, func(p PhaseTime) bool { return p.Phase == phase }) {
		s.facts.Phases = append(s.facts.Phases, PhaseTime{phase, time.Now()})
	}
}

// Facts are what is known of the server so far.
func (s *Server) Facts() Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Phases = slices.Clone(f.Phases)
	return f
}

// URL is where it answers.
func (s *Server) URL() string { return s.o.URL() }

// Ended is closed when the server is gone, for whatever reason.
func (s *Server) Ended() <-chan struct{} { return s.proc.ended }

// Err explains why the server is gone; nil while it runs or when it was told to end. It waits a moment for a server that is dying,
// since the request that its death broke comes back first.
func (s *Server) Err(ctx context.Context) error {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return nil
	}
	t := time.NewTimer(dying)
	defer t.Stop()
	select {
	case <-s.proc.ended:
		return s.explain(true)
	case <-t.C:
		// the engine core may be gone and the API server still there, answering with errors
		if c := Explain(s.logText()); strings.Contains(c.Text, "engine core died") {
			return s.explain(true)
		}
	case <-ctx.Done():
	}
	return nil
}

// dying is how long vLLM's API server may live on after its engine core: 2.3 s were seen.
const dying = 5 * time.Second

func (s *Server) explain(died bool) error {
	text := s.logText()
	c := Explain(text)
	how := ""
	switch exit := s.proc.exitText(); {
	case exit == "signal 9" && c.Text == "":
		how = "it was killed (signal 9)"
		c.Hint = "the kernel's out-of-memory killer does that: see dmesg"
	case strings.HasPrefix(exit, "signal"):
		how = "it ended by " + exit
	case exit != "":
		how = "it ended with " + exit
	}
	switch {
	case c.Text == "" && how == "":
		c.Text = "it stopped answering"
	case c.Text == "":
		c.Text = how
	}
	return &StartError{Cause: c, LogPath: s.o.LogPath, Tail: s.logTail(), Died: died}
}

const maxLogRead = 4 << 20

// logText is the end of the log; causes stand there.
func (s *Server) logText() string {
	st, err := s.log.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), maxLogRead))
	n, err := s.log.ReadAt(b, st.Size()-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(b[:n]), "\r", "\n"), "\ufffd")
}

func (s *Server) logTail() string {
	lines := strings.Split(strings.TrimRight(s.logText(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// Stop ends the server: SIGTERM, and SIGKILL to all of it when that is not enough; then it waits until its GPU memory is
// free again. It gives false when memory stays taken. Once the context is done, it ends without waiting for a good end. A
// second call does nothing.
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
	_ = s.log.Close() // it was read only, and it is over
	return released
}

// How GPU memory counts as released: within this much of what was used before, which other programs move too.
const (
	releaseSlack = 256 << 20
	releaseLimit = 30 * time.Second
)

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
