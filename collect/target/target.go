package target

import (
	"context"
	"os"
	"strings"
	"time"
	"unicode"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/machine"
	"wb/collect/serve"
	"wb/data/hub"
	"wb/data/plain"
	"wb/store"
)

// Process is a server that wb starts and stops. It is running when a run begins, and after Stop nothing of it is left.
type Process interface {
	// Start starts it again at the same URL.
	Start(ctx context.Context) error
	// Stop ends it. released is false when its memory stays in use.
	Stop(ctx context.Context) (released bool)
	// Facts gives the facts of the process that was started last.
	Facts() serve.Facts
	// Err explains why the process has ended. It gives nil while the process runs.
	Err(ctx context.Context) error
}

// Target is the server of a run.
type Target struct {
	Client   *client.Client
	Server   *engine.Server
	Process  Process           // nil: the run may not restart it
	Settings map[string]string // flags and environment it was started with, for the record
	Limits   *store.Model      // what a token of its model costs at least; nil: not known

	end func()
}

// Close ends the server if wb started it. A call for nil, and a second call, do nothing.
func (t *Target) Close() {
	if t != nil && t.end != nil {
		t.end()
		t.end = nil
	}
}

// Connection says how a target is connected to.
type Connection struct {
	Key      string       // the server's API key; "": none
	Clock    client.Clock // of the run
	Seed     int64        // of a simulator's replies
	Jitter   int64        // seed of a simulator's jitter; each connection has another one
	Restarts bool         // each session needs a fresh process
	Resets   bool         // the prefix cache is emptied between sessions
	Talk     Talk
}

// Talk receives what a person is told while wb connects to a server.
type Talk struct {
	Say   func(text string)                              // one line that stays
	Start func(l *serve.Launch) (done func())            // sets the functions that a launch reports to; done ends its live line
	Ready func(program, name, url string, f serve.Facts) // a server that wb started answers
	Fail  func(err error)                                // a start failed
	Model func(profile string)                           // a simulator answers
}

// APIKey reads the API key from the environment variable with this name. It gives "" for the name "".
// A variable that is empty, or whose value cannot be a key, is a mistake.
func APIKey(variable string) (string, error) {
	if variable == "" {
		return "", nil
	}
	key := strings.TrimSpace(os.Getenv(variable)) // a key that was read from a file may end in a newline
	switch {
	case key == "":
		return "", plain.Mistakef("flag --api-key-env: the environment has no %s", variable)
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", plain.Mistakef("flag --api-key-env: %s holds a line break or another control character, which a key cannot have", variable)
	}
	return key, nil
}

// Connect connects to the server, or starts it. The caller must close the Target, also after an error.
func (s *Spec) Connect(ctx context.Context, c Connection) (*Target, error) {
	if s.Engine.Managed() {
		return s.startProgram(ctx, c)
	}
	t := &Target{}
	base := s.URL
	if s.Engine == Sim {
		so, err := s.simOptions(c.Seed)
		if err != nil {
			return t, plain.Mistake(err)
		}
		so.JitterSeed = c.Jitter
		srv, url, err := startSimulator(ctx, so)
		if err != nil {
			return t, err
		}
		base, t.end, t.Settings = url, func() { srv.Stop(ctx) }, s.simSettings()
		if c.Restarts {
			t.Process = srv
		}
		c.Talk.Model(s.SimProfile)
	}
	if err := t.probe(ctx, base, s.Model, c); err != nil {
		return t, err
	}
	h, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return t, err
	}
	t.Limits = machine.ServedLimits(t.Client, t.Server, h)
	return t, nil
}

// simSettings gives a simulator's arguments in the form in which those of other servers are recorded.
func (s *Spec) simSettings() map[string]string {
	out := map[string]string{}
	for i, w := range s.Words {
		if name, ok := strings.CutPrefix(w, "--"); ok {
			out["--"+name] = ""
			if i+1 < len(s.Words) && !strings.HasPrefix(s.Words[i+1], "--") {
				out["--"+name] = s.Words[i+1]
			}
		}
	}
	return out
}

// startProgram starts vLLM or llama-server and probes it.
func (s *Spec) startProgram(ctx context.Context, c Connection) (*Target, error) {
	l, err := s.Serve.Launch(s.program(), s.Model, s.Words, time.Now()) // the time makes a separate log for each server
	if err != nil {
		return nil, err
	}
	l.DevMode = c.Resets
	done := c.Talk.Start(l)
	m, err := l.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	t := &Target{Process: m, end: m.Close}
	_, t.Settings = m.Options.Recorded()
	if c.Key == "" {
		c.Key = m.Options.Key()
	}
	err = m.Start(ctx)
	done()
	if err != nil {
		c.Talk.Fail(err)
		return t, err
	}
	c.Talk.Ready(l.Program.Name, m.Options.ServedName, m.Options.URL(), m.Facts())
	if err := t.probe(ctx, m.Options.URL(), m.Options.ServedName, c); err != nil {
		return t, err
	}
	if s.Engine == VLLM {
		_, t.Server.Details = m.Options.Args.Get("enable-prompt-tokens-details")
	}
	t.Limits = machine.ManagedLimits(m)
	return t, nil
}

// probe makes the client for the server at a URL and probes the server.
func (t *Target) probe(ctx context.Context, base, model string, c Connection) (err error) {
	if t.Client, err = client.New(base, c.Key, c.Clock); err != nil {
		return plain.Mistake(err)
	}
	t.Server, err = engine.Probe(ctx, t.Client, model, c.Talk.Say)
	return err
}
