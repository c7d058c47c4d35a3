package sim

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A request whose client hangs up does not count as a success, and its blocks are released.
func TestHangUp(t *testing.T) {
	for _, stream := range []bool{true, false} {
		g := newGate()
		s := start(t, Options{Clock: Clock{time.Now, g.sleep}})
		ctx, hangUp := context.WithCancel(t.Context())
		text, _ := json.Marshal(tokens(numbered(0, 200), 50_000, "stream", stream))
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, err := s.do(ctx, http.MethodPost, "/v1/completions", "application/json", string(text))
			if err == nil {
				_, err = events(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("hanging up gives %v", err)
			}
		})
		until(t, "running", func() bool { return s.counters()["vllm:kv_cache_usage_perc"] > 0 })
		hangUp()
		wg.Wait()
		until(t, "noticed", func() bool {
			s.eng.mu.Lock()
			defer s.eng.mu.Unlock()
			return s.eng.running[0].gone.Err() != nil
		})
		close(g.open)
		until(t, "freed", func() bool {
			m := s.counters()
			return m["vllm:kv_cache_usage_perc"] == 0 && m["vllm:num_requests_running"] == 0
		})
		for name, v := range s.counters() {
			if (strings.HasPrefix(name, "vllm:request_success") || name == "vllm:e2e_request_latency_seconds_count") && v != 0 {
				t.Errorf("stream %t: %s is %v after a hang-up", stream, name, v)
			}
		}
		if r := s.complete(tokens(numbered(5, 20), 2)); r.tokens != 2 {
			t.Errorf("the next request got %d tokens", r.tokens)
		}
	}
}

// Close ends requests that hang in a fault, wait in the queue, or stream. The end of the context of Start does the same.
func TestCloseLeavesNothing(t *testing.T) {
	for _, how := range []string{"Close", "context"} {
		before := runtime.NumGoroutine()
		g := newGate()
		s, err := New(Options{Profile: "instant", MaxNumSeqs: 1, Faults: []Fault{{Kind: "hang", Request: 1}}, Clock: Clock{Sleep: g.sleep}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		base, err := s.Start(ctx, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Start(ctx, "127.0.0.1:0"); err == nil || !strings.HasPrefix(err.Error(), "start simulator: ") {
			t.Errorf("a second Start: %v", err)
		}
		tr := &http.Transport{}
		client := &server{s, t, base, &http.Client{Transport: tr}}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if _, data, err := client.stream("/v1/completions", tokens(numbered(i, 30), 1000)); err == nil {
					t.Errorf("a request survived: %q", data)
				}
			})
		}
		until(t, "hung, running and queued", func() bool {
			running, waiting, _ := s.eng.load()
			return running == 1 && waiting == 2
		})
		if how == "Close" {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		} else {
			cancel()
			wg.Wait()
			if resp, err := client.do(t.Context(), http.MethodGet, "/health", "", ""); err == nil {
				resp.Body.Close()
				t.Error("it serves although its context ended")
			}
		}
		wg.Wait()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		cancel()
		tr.CloseIdleConnections()
		until(t, how+": as few goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
		if w := newRecorder(s, "/tokenize", `{"prompt":"a"}`); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: %d", w.Code)
		}
		late := &request{tokens: make(chan int32)}
		s.eng.submit(late)
		if _, open := <-late.tokens; open {
			t.Error("a request after the end got a token")
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"profile", Options{Profile: "nope"}},
		{"block", Options{BlockSize: -1}},
		{"pool", Options{BlockSize: 16, CapacityTokens: 31}},
		{"step", Options{MaxNumBatchedTokens: -1}},
		{"sequences", Options{MaxNumSeqs: -1}},
		{"context", Options{MaxModelLen: 1}},
		{"jitter", Options{Deviation: Deviation{JitterRatio: math.NaN()}}},
		{"jitter", Options{Deviation: Deviation{JitterRatio: 1}}},
	} {
		if _, err := New(c.o); err == nil || (!strings.HasPrefix(err.Error(), "set up simulator: ") &&
			!strings.HasPrefix(err.Error(), "choose simulator profile ")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s := start(t, Options{BlockSize: 16, CapacityTokens: 163, MaxModelLen: 4096})
	if s.o.MaxModelLen != 144 { // ten blocks, one of which vLLM keeps for itself
		t.Errorf("a pool of 163 tokens offers a context of %d", s.o.MaxModelLen)
	}
	if r := s.complete(tokens(numbered(0, 100), 44)); r.tokens != 44 {
		t.Errorf("%d tokens in a full context", r.tokens)
	}
	taken := strings.TrimPrefix(s.base, "http://")
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Start(t.Context(), taken); err == nil || !strings.HasPrefix(err.Error(), "listen on "+taken+": ") ||
		strings.Count(err.Error(), taken) != 1 {
		t.Errorf("an address in use: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}
