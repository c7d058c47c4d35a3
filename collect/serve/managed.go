package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"wb/collect/gpu"
)

// Managed is a server that wb starts and stops, also several times in a run.
type Managed struct {
	Options *Options
	Model   *ResolvedModel
	Fit     Fit      // of vLLM
	Llama   LlamaFit // of llama-server

	gpus  *gpu.GPUs
	mu    sync.Mutex
	cur   *Server
	facts Facts
	n     int    // starts so far
	log   string // path of the logs, without the number of the start
}

// GPUName is the name of the first GPU that the server sees. It is nil for a MIG slice, and without a GPU.
func (m *Managed) GPUName() *string {
	if m.gpus == nil {
		return nil
	}
	return m.gpus.Product(m.Options.Getenv("CUDA_VISIBLE_DEVICES"))
}

// Start starts the server and waits until it answers. A failure leaves nothing running. Each start writes a new log.
func (m *Managed) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	m.Options.LogPath = fmt.Sprintf("%s-%d.log", m.log, m.n)
	m.facts = Facts{LogPath: m.Options.LogPath}
	if err := CheckPort(ctx, m.Options.Host, m.Options.Port); err != nil {
		return err
	}
	s, err := Start(ctx, m.Options)
	m.facts.LogPath = m.Options.LogPath
	if err != nil {
		var failed *StartError
		if errors.As(err, &failed) {
			m.facts = failed.Facts // a failed start is recorded too
		}
		return err
	}
	m.cur = s
	return nil
}

// Stop ends the server; see Server.Stop.
func (m *Managed) Stop(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur == nil {
		return true
	}
	released := m.cur.Stop(ctx)
	m.facts = m.cur.Facts()
	m.cur = nil
	return released
}

// Facts gives the facts of the process that was started last.
func (m *Managed) Facts() Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur != nil {
		return m.cur.Facts()
	}
	return m.facts
}

// Err explains why the server is gone; nil while it runs.
func (m *Managed) Err(ctx context.Context) error {
	m.mu.Lock()
	s := m.cur
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Err(ctx)
}

// Ended is closed when the process started last is gone.
func (m *Managed) Ended() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cur.Ended()
}

// Close stops the server if it runs, and closes the GPUs.
func (m *Managed) Close() {
	m.Stop(context.Background())
	if m.gpus != nil {
		m.gpus.Close()
		m.gpus = nil
	}
}
