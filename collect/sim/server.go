// Package sim is a server with the HTTP interface of vLLM and without a model. It is there so that wb can be tried and tested without a
// GPU. It has an exact prefix cache, the scheduling of vLLM, costs fitted to measurements, replies of pseudo-text, and failures on
// request. docs/design/simulator.md says what it models and what it does not.
//
// It must not know wb's runs, client or database: it is a server like any other.
package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Version is the answer of /version. It names the vLLM whose costs and counters are imitated. The shapes of answers are those of 0.32.
const Version = "0.26.0+sim"

const fingerprint = "vllm-" + Version

// Server is one simulated server.
type Server struct {
	o       Options
	cost    Cost
	tok     *tokenizer
	met     *metrics
	eng     *engine
	mux     *http.ServeMux
	started time.Time
	count   atomic.Int64 // completion requests so far

	mu     sync.Mutex
	http   *http.Server
	stop   context.CancelFunc
	closed bool
	done   sync.WaitGroup // the engine, the listener and every request
}

// New makes a server. It answers once Start is called, or Run together with Handler. New fails on an unknown profile and on wrong sizes.
func New(o Options) (*Server, error) {
	cost, err := o.settle()
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, cost: cost, tok: newTokenizer(), started: o.Now(), mux: http.NewServeMux()}
	s.met = newMetrics(o.Model, s.started)
	s.eng = newEngine(o, cost, s.tok, s.met)
	s.routes()
	return s, nil
}

// Start listens on an address such as 127.0.0.1:0 and serves until the context ends or Close is called. It returns the base URL. It fails
// when it cannot listen on the address, and when it is called a second time.
func (s *Server) Start(ctx context.Context, addr string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil || s.closed {
		return "", errors.New("start simulator: it was started or closed before")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	ctx, s.stop = context.WithCancel(ctx)
	h, cancel := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}, s.stop
	s.http = h
	s.done.Go(func() { s.Run(ctx) })
	s.done.Go(func() {
		_ = h.Serve(s.refusing(l)) // it returns after Close, or when the listener fails
		cancel()
	})
	s.done.Go(func() {
		<-ctx.Done()
		_ = h.Close()
	})
	return "http://" + l.Addr().String(), nil
}

// Run runs the engine until the context ends. Then it cuts the requests that are still running. Start calls Run; those who use Handler
// must call it themselves.
func (s *Server) Run(ctx context.Context) { s.eng.loop(ctx) }

// Close cuts every connection, stops serving, and waits until all goroutines of the server have ended. A second call does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	h, stop := s.http, s.stop
	s.closed = true
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	err := h.Close()
	stop()
	s.done.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close simulator: %w", err)
	}
	return nil
}

// refusing returns the listener, or one that refuses every connection if there is a refuse fault.
func (s *Server) refusing(l net.Listener) net.Listener {
	for _, f := range s.o.Faults {
		if f.Kind == "refuse" {
			return refuser{l}
		}
	}
	return l
}

type refuser struct{ net.Listener }

func (r refuser) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err == nil {
		c.Close()
	}
	return c, err
}
