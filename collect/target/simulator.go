package target

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"wb/collect/serve"
	"wb/collect/sim"
	"wb/data/plain"
)

// simulator is the embedded simulator as a Process that can be restarted.
type simulator struct {
	options sim.Options
	addr    string
	ctx     context.Context

	mu    sync.Mutex
	cur   *sim.Server
	facts serve.Facts
}

// startSimulator starts a simulator at a free port and gives its URL.
func startSimulator(ctx context.Context, o sim.Options) (*simulator, string, error) {
	s := &simulator{options: o, addr: "127.0.0.1:0", ctx: context.WithoutCancel(ctx)}
	if err := s.Start(ctx); err != nil {
		return nil, "", err
	}
	return s, "http://" + s.addr, nil
}

// Start starts a fresh simulator at the address of the last one.
func (s *simulator) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = serve.Facts{Command: []string{"simulator"}}
	mark := func(phase string) {
		s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: phase, At: time.Now()})
	}
	mark(serve.PhaseSpawned)
	srv, err := sim.New(s.options)
	if err != nil {
		return plain.Mistake(err)
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

// Stop ends the simulator. It always gives true, and a second call does nothing.
func (s *simulator) Stop(context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil {
		return true
	}
	s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: serve.PhaseStopping, At: time.Now()})
	_ = s.cur.Close() // this also closes its connections
	s.facts.Phases = append(s.facts.Phases, serve.PhaseTime{Phase: serve.PhaseExited, At: time.Now()})
	s.cur = nil
	return true
}

// Facts gives the facts of the last start.
func (s *simulator) Facts() serve.Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Phases = slices.Clone(f.Phases)
	return f
}

// Err gives nil, because a simulator inside wb ends only when wb stops it.
func (s *simulator) Err(context.Context) error { return nil }
