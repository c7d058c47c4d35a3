package serve

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStartAndStop(t *testing.T) {
	needLinux(t)
	for _, tt := range []struct {
		name  string
		words []string
		least time.Duration
	}{{"willing", nil, 0}, {"stubborn", []string{"--stubborn"}, stopGrace}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := fakeOptions(t, tt.words...)
			var phases []string
			o.Progress = func(p, d string) {
				if len(phases) == 0 || phases[len(phases)-1] != p {
					phases = append(phases, p)
				}
			}
			used := int64(1 << 30)
			o.Used = func() (int64, bool) { used -= 100 << 20; return used, true } // memory that comes back bit by bit
			s, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			child := childOf(t, o)
			f := s.Facts()
			if phases[len(phases)-1] != PhaseReady || !slices.Contains(phases, PhaseLoading) || !alive(f.PID) || !alive(child) ||
				f.Report.KVCacheTokens == nil || *f.Report.KVCacheTokens != 46592 {
				t.Errorf("phases %v, facts %+v", phases, f)
			}
			began := time.Now()
			used = 3 << 30
			if !s.Stop(t.Context()) {
				t.Error("memory was not released")
			}
			if d := time.Since(began); d < tt.least || d >= tt.least+stopGrace { // it does not wait longer than it has to
				t.Errorf("stopping took %v", d)
			}
			if alive(f.PID) || alive(child) {
				t.Error("something is left")
			}
			got := map[string]bool{}
			last := time.Time{}
			for _, p := range s.Facts().Phases {
				got[p.Phase] = true
				if p.At.Before(last) {
					t.Errorf("%s came before what it follows", p.Phase)
				}
				last = p.At
			}
			for _, p := range []string{PhaseSpawned, PhaseReady, PhaseStopping, PhaseExited, PhaseReleased} {
				if !got[p] {
					t.Errorf("no phase %s: %v", p, got)
				}
			}
			if err := s.Err(t.Context()); err != nil {
				t.Errorf("it was told to end: %v", err)
			}
			s.Stop(t.Context())
		})
	}
}

func TestStartFails(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t, "--log", "vllm-0.32-cpu-kv_cache_too_small.log", "--fail", "1")
	_, err := Start(t.Context(), o)
	var e *StartError
	if !errors.As(err, &e) || !strings.HasPrefix(err.Error(),
		"start vLLM: a context of 8192 tokens needs 0.18 GiB of KV cache and 0.04 GiB are there") ||
		!strings.Contains(e.Hint(), "--max-model-len 1920") || !strings.Contains(e.Hint(), o.LogPath) {
		t.Errorf("%v", err)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
	o = fakeOptions(t, "--log", "vllm-0.32-cpu-ready.log", "--fail", "7")
	if _, err = Start(t.Context(), o); err == nil || err.Error() != "start vLLM: it ended with status 7" {
		t.Errorf("%v", err)
	}
	o = fakeOptions(t, "--hang")
	o.Timeout = 5 * time.Second // a busy machine takes a second to begin
	if _, err = Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it did not answer within 5s (it was warming)") {
		t.Errorf("%v", err)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
	o = fakeOptions(t)
	o.Install.Command = []string{"/no/such/vllm"}
	if _, err = Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t, "--hang")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { childOf(t, o); cancel() }()
	began := time.Now()
	if _, err := Start(ctx, o); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
}

func TestServerDies(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t)
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(s.URL() + "/die"); err == nil {
		resp.Body.Close()
	}
	var e *StartError
	if err := s.Err(t.Context()); !errors.As(err, &e) || err.Error() != "keep vLLM running: vLLM's engine core died" {
		t.Errorf("%v", err)
	}
	<-s.Ended()
	s.Stop(t.Context())
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
}

// Each start writes a new log, also when two starts happen in the same second.
func TestNewLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vllm-20261129-120000-8001-1.log")
	var names []string
	for range 3 {
		f, err := newLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(f.Name()); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name())
		f.Close()
	}
	for i, n := range names {
		if b, err := os.ReadFile(n); err != nil || string(b) != n || slices.Index(names, n) != i {
			t.Errorf("%s holds %q, %v", n, b, err)
		}
	}
}
