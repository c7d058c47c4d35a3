package sim

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wb/data/prefix"
)

// numbered gives n token ids of their own per stream.
func numbered(stream, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(1_000_000*(stream+1) + i)
	}
	return ids
}

func tokens(ids []int32, n int, more ...any) object {
	b := object{"prompt": ids, "max_tokens": n, "ignore_eos": true}
	for i := 0; i < len(more); i += 2 {
		b[more[i].(string)] = more[i+1]
	}
	return b
}

// Conversations hit exactly what the blocks of everything sent before allow: plain turns all of the turn before but its last
// token, a document that comes and goes only what precedes it, another salt nothing. Counters say the same as the usage.
func TestHitsAreExact(t *testing.T) {
	const document = " The quick brown fox jumps over the lazy dog near the riverbank while seven wizards brew potions."
	for _, c := range []struct {
		name       string
		block      int
		with       []int // turns whose system prompt holds the document
		salt       string
		replaced   bool // every turn is preceded by a conversation of another salt
		off        bool
		wantSecond int // how many tokens short of the turn before the second turn's hit may fall; -1 = nothing hits
	}{
		{"plain", 16, nil, "", false, false, 16},
		{"plain, large blocks", 128, nil, "", false, false, 128},
		{"document at turn 3", 32, []int{3}, "", false, false, 32},
		{"document at turns 2 to 4", 32, []int{2, 3, 4}, "", false, false, math.MaxInt},
		{"salted", 16, nil, "s", true, false, 16},
		{"caching off", 16, nil, "", false, true, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Options{BlockSize: c.block, DisablePrefixCaching: c.off, Model: "m"})
			var history []object
			var seen [][]int32
			last := answered{}
			for turn := 1; turn <= 7; turn++ {
				system := "You are a helpful assistant. Answer briefly and to the point, without saying more than what was asked for."
				if slices.Contains(c.with, turn) {
					system += strings.Repeat(document, 12)
				}
				history = append(history, object{"role": "user", "content": strings.Repeat("And what follows from that? ", turn)})
				body := object{"messages": append([]object{{"role": "system", "content": system}}, history...), "max_tokens": 60}
				if c.salt != "" {
					if c.replaced {
						body["cache_salt"] = "other"
						s.complete(body)
					}
					body["cache_salt"] = c.salt
				}
				before := s.counters()
				r := s.complete(body)
				after := s.counters()
				lcp := 0
				for _, ids := range seen {
					lcp = max(lcp, prefix.LCP(ids, r.prompt))
				}
				want, queries := prefix.IdealHit(lcp, len(r.prompt), c.block), len(r.prompt)
				if c.off {
					want, queries = 0, 0
				}
				if r.cached != want {
					t.Errorf("turn %d: cached %d of %d, the blocks allow %d", turn, r.cached, len(r.prompt), want)
				}
				if !c.off && r.created != len(r.prompt)/c.block*c.block-r.cached {
					t.Errorf("turn %d: created %d", turn, r.created)
				}
				if len(c.with) == 0 && turn > 1 && !c.off { // all of the turn before, its last token excepted
					if all := (len(last.prompt) + last.tokens - 1) / c.block * c.block; r.cached != all {
						t.Errorf("turn %d: cached %d, of the turn before %d were reusable", turn, r.cached, all)
					}
				}
				for name, d := range map[string]int{"prefix_cache_hits_total": want, "prefix_cache_queries_total": queries, "prompt_tokens_total": len(r.prompt), "generation_tokens_total": r.tokens,
					"request_prompt_tokens_sum": len(r.prompt), "request_generation_tokens_sum": r.tokens, `request_success_total{finished_reason="` + r.finish + `"}`: 1,
					"iteration_tokens_total_sum": len(r.prompt) - want + r.tokens, "iteration_tokens_total_count": r.tokens, "time_to_first_token_seconds_count": 1, "inter_token_latency_seconds_count": r.tokens - 1} {
					if _, ok := after["vllm:"+name]; !ok || after["vllm:"+name]-before["vllm:"+name] != float64(d) {
						t.Errorf("turn %d: %s grew by %v, want %d", turn, name, after["vllm:"+name]-before["vllm:"+name], d)
					}
				}
				if turn == 2 {
					reusable := prefix.Reusable(len(last.prompt), last.tokens)
					if short := reusable - r.cached; (c.wantSecond >= 0 && short > c.wantSecond) || (c.wantSecond < 0 && r.cached != 0) {
						t.Errorf("turn 2 hit %d of %d reusable", r.cached, reusable)
					}
				}
				seen = append(seen, slices.Concat(r.prompt, r.ids)[:prefix.Reusable(len(r.prompt), r.tokens)])
				history = append(history, object{"role": "assistant", "content": r.text})
				last = r
			}
		})
	}
}

// vLLM 0.32 with block 32 and a pool of 10,240 tokens; the prompts' lengths and hits are its.
func TestEvictionAsCaptured(t *testing.T) {
	s := start(t, Options{BlockSize: 32, CapacityTokens: 10_240})
	for i, c := range []struct{ conv, n, want int }{
		{0, 3000, 0}, {1, 3000, 0}, {2, 3000, 0}, {3, 3000, 0},
		{3, 3010, 2976}, {2, 3010, 2976}, {1, 3010, 2976}, {0, 3010, 1152},
		{0, 3010, 3008}, {1, 3010, 3008}, {2, 3010, 3008}, {3, 3010, 1152},
	} {
		if r := s.complete(tokens(numbered(c.conv, c.n), 4)); r.cached != c.want {
			t.Errorf("request %d, conversation %d: hit %d, vLLM %d", i+1, c.conv, r.cached, c.want)
		}
	}
	m := s.counters()
	if m["vllm:num_preemptions_total"] != 0 || m["vllm:kv_cache_usage_perc"] != 0 || m["vllm:num_requests_running"] != 0 {
		t.Errorf("an idle server counts %v preemptions, usage %v", m["vllm:num_preemptions_total"], m["vllm:kv_cache_usage_perc"])
	}
}

// all runs requests that are all queued before the engine starts, and gives their replies in order.
func all(t *testing.T, o Options, bodies ...object) ([]completion, *Server) {
	t.Helper()
	if o.Now == nil {
		c := newClock()
		o.Profile, o.Now, o.Sleep = "instant", c.now, c.sleep
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	out := make([]completion, len(bodies))
	for i, b := range bodies {
		wg.Go(func() {
			b["return_token_ids"] = true
			text, _ := json.Marshal(b)
			w := newRecorder(s, "/v1/completions", string(text))
			if err := json.Unmarshal(w.Body.Bytes(), &out[i]); err != nil || w.Code != http.StatusOK {
				t.Errorf("request %d: %d %s", i+1, w.Code, w.Body)
			}
		})
		until(t, "queued", func() bool { _, waiting, _ := s.eng.load(); return waiting == i+1 })
	}
	var engine sync.WaitGroup
	engine.Go(func() { s.Run(ctx) })
	wg.Wait()
	cancel()
	engine.Wait()
	return out, s
}

// Three equal prompts at once hit 0, 1,984 and 1,984 tokens, as in vLLM 0.32 with block 32: blocks can be hit as soon as they are
// scheduled, even in the same step.
func TestEqualPromptsAtOnce(t *testing.T) {
	for _, batch := range []int{512, 2048, 8192} {
		p := numbered(1, 2000)
		got, _ := all(t, Options{BlockSize: 32, MaxNumBatchedTokens: batch}, tokens(p, 20), tokens(p, 20), tokens(p, 20))
		want := [3]int{0, 1984, 1984}
		for i, c := range got {
			if c.Usage.Details.Cached != want[i] {
				t.Errorf("steps of %d tokens, request %d: cached %d, want %d", batch, i+1, c.Usage.Details.Cached, want[i])
			}
		}
	}
}

// Two requests whose replies outgrow the pool: one is preempted and computed again. Neither its reply nor its cache query is
// counted twice.
func TestPreemption(t *testing.T) {
	a, b := tokens(numbered(1, 1000), 900), tokens(numbered(2, 1000), 900)
	free, s := all(t, Options{}, a, b)
	if s.met.preemptions != 0 {
		t.Errorf("%v preemptions in a large pool", s.met.preemptions)
	}
	short, s := all(t, Options{CapacityTokens: 2800}, a, b)
	if s.met.preemptions < 1 || s.met.preemptions > 3 {
		t.Errorf("%v preemptions in a pool of 2,800 tokens, which needs 3,800", s.met.preemptions)
	}
	if s.met.queries != 2000 || s.met.hits != 0 || s.met.generated != 1800 || s.met.success["length"] != 2 || s.met.promptTokens != 2000 {
		t.Errorf("counted %v queries, %v hits, %v generated, %v prompt tokens, %v", s.met.queries, s.met.hits, s.met.generated, s.met.promptTokens, s.met.success)
	}
	for i := range free {
		if len(short[i].Choices[0].TokenIDs) != 900 || !slices.Equal(free[i].Choices[0].TokenIDs, short[i].Choices[0].TokenIDs) {
			t.Errorf("request %d: preemption changed its reply", i+1)
		}
	}
	if s.eng.cache.InUse() != 0 {
		t.Errorf("%d blocks still held", s.eng.cache.InUse())
	}
}

// A request that must wait for room evicts nothing while it waits, and is not admitted for its first chunk only.
func TestWaitingEvictsNothing(t *testing.T) {
	s, err := New(Options{Profile: "instant", CapacityTokens: 126 * 16, MaxNumBatchedTokens: 100})
	if err != nil {
		t.Fatal(err)
	}
	submit := func(stream, prompt, n int) {
		s.eng.submit(s.request(t.Context(), &body{IgnoreEOS: true, MaxTokens: &n}, numbered(stream, prompt), time.Now()))
	}
	steps := func(n int) {
		for range n {
			s.eng.finish(s.eng.plan())
		}
	}
	submit(0, 800, 1)
	steps(8)
	submit(1, 900, 100) // 57 blocks of 125; the 68 others still hold the first prompt's 50
	steps(9)
	submit(2, 1200, 1) // 75 blocks
	steps(5)
	if len(s.eng.running) != 1 || len(s.eng.waiting) != 1 || s.met.preemptions != 0 {
		t.Errorf("%d running, %d waiting, %v preemptions", len(s.eng.running), len(s.eng.waiting), s.met.preemptions)
	}
	seq := s.eng.cache.Open(numbered(0, 800), "")
	if seq.Hit != 784 {
		t.Errorf("of the first prompt %d tokens are left", seq.Hit)
	}
	seq.Close()
	steps(200)
	if len(s.eng.running)+len(s.eng.waiting) != 0 || s.met.success["length"] != 3 || s.met.preemptions != 0 {
		t.Errorf("%d running, %d waiting, %v finished, %v preemptions", len(s.eng.running), len(s.eng.waiting), s.met.success, s.met.preemptions)
	}
}

// With one sequence at a time the second request waits, and its wait is booked. Meanwhile the cache cannot be reset.
func TestQueueing(t *testing.T) {
	g := newGate()
	s := start(t, Options{MaxNumSeqs: 1, Now: time.Now, Sleep: g.sleep})
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { s.complete(tokens(numbered(i, 64), 4)) })
	}
	until(t, "one runs, one waits", func() bool {
		m := s.counters()
		return m["vllm:num_requests_running"] == 1 && m["vllm:num_requests_waiting"] == 1 && m["vllm:kv_cache_usage_perc"] > 0
	})
	if _, text := s.post("/reset_prefix_cache", nil); string(text) != `{"success":false}` {
		t.Errorf("reset while a request runs: %s", text)
	}
	time.Sleep(20 * time.Millisecond)
	close(g.open)
	wg.Wait()
	m := s.counters()
	if q := m["vllm:request_queue_time_seconds_sum"]; q < 0.02 || m["vllm:request_queue_time_seconds_count"] != 2 {
		t.Errorf("queue time %v s", q)
	}
	for _, name := range []string{"request_prefill_time_seconds_sum", "request_decode_time_seconds_sum", "e2e_request_latency_seconds_sum", "time_to_first_token_seconds_sum"} {
		if m["vllm:"+name] <= 0 {
			t.Errorf("%s is %v", name, m["vllm:"+name])
		}
	}
	if hit := s.complete(tokens(numbered(0, 64), 4)).cached; hit != 48 {
		t.Errorf("before the reset: hit %d", hit)
	}
	if _, text := s.post("/reset_prefix_cache", nil); string(text) != `{"success":true}` {
		t.Errorf("reset of an idle server: %s", text)
	}
	if hit := s.complete(tokens(numbered(0, 64), 4)).cached; hit != 0 {
		t.Errorf("after the reset: hit %d", hit)
	}
}

// A client that hangs up is no success, and its blocks are free again.
func TestHangUp(t *testing.T) {
	for _, stream := range []bool{true, false} {
		g := newGate()
		s := start(t, Options{Now: time.Now, Sleep: g.sleep})
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

// TTFT and the server's own split are the model's, to the nanosecond, when the clock has no jitter.
func TestTimesAreTheModels(t *testing.T) {
	for _, name := range []string{"eager", "graphs"} {
		c := newClock()
		s := start(t, Options{Profile: name, JitterRatio: -1, Now: c.now, Sleep: c.sleep})
		cost, err := Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []struct{ prompt, cached int }{{5000, 0}, {5000, 4992}, {7071, 4992}, {20, 0}} {
			ids := numbered(0, r.prompt)
			switch r.prompt {
			case 7071: // goes on after the prompt of 5,000 and is new from there
				ids = slices.Concat(numbered(0, 5000), numbered(3, 2071))
			case 20:
				ids = numbered(9, 20)
			}
			before := s.counters()
			got := s.complete(tokens(ids, 4))
			after := s.counters()
			if got.cached != r.cached {
				t.Fatalf("%s: %d of %d cached, want %d", name, got.cached, r.prompt, r.cached)
			}
			decode := 0.0
			for i := range 3 {
				decode += cost.Step(nil, []int{r.prompt + i + 1}).Seconds()
			}
			ttft, queued := cost.TTFT(r.prompt, r.cached).Seconds(), cost.Before(r.prompt).Seconds()
			for metric, want := range map[string]float64{"time_to_first_token": ttft, "request_prefill_time": ttft - queued, "request_decode_time": decode,
				"inter_token_latency": decode, "request_queue_time": 0, "e2e_request_latency": ttft + decode, "request_time_per_output_token": decode / 3, "request_inference_time": ttft - queued + decode} {
				metric = "vllm:" + metric + "_seconds_sum"
				if d := after[metric] - before[metric]; math.Abs(d-want) > 1e-8 {
					t.Errorf("%s, %d tokens of which %d cached: %s %.9f, model %.9f", name, r.prompt, r.cached, metric, d, want)
				}
			}
		}
		if cold, warm := cost.TTFT(5000, 0), cost.TTFT(5000, 4992); warm >= cold {
			t.Errorf("%s: cached %v, cold %v", name, warm, cold)
		}
	}
}

// A step that ended late is made up for by shorter ones, but never at the cost of a request that came meanwhile.
func TestLateStepsShortenNoRequest(t *testing.T) {
	const late = 90 * time.Millisecond
	c := newClock()
	_, s := all(t, Options{Profile: "eager", JitterRatio: -1, Now: c.now, Sleep: func(ctx context.Context, d time.Duration) {
		if d > 50*time.Millisecond { // tokenizing
			return
		}
		c.sleep(ctx, d+late)
	}}, tokens(numbered(0, 512), 2), tokens(numbered(1, 511), 1))
	first := s.cost.Step([]chunk{{512, 0}}, nil) + late
	second := s.cost.Step([]chunk{{511, 0}}, []int{513})
	if got := s.met.prefill.sum - first.Seconds(); got < second.Seconds() {
		t.Errorf("the second prompt took %.4f s, its step takes %v", got, second)
	}
}

// In real time a request takes the model's time at least.
func TestRealTime(t *testing.T) {
	s := start(t, Options{Profile: "eager", JitterRatio: -1, Now: time.Now, Sleep: sleep})
	cost := s.cost
	began := time.Now()
	s.complete(tokens(numbered(0, 1500), 3))
	took := time.Since(began)
	want := cost.TTFT(1500, 0) + 2*cost.Step(nil, []int{1500})
	if took < want || took > want+3*time.Second {
		t.Errorf("took %v, the model says %v", took, want)
	}
}

func TestSeeds(t *testing.T) {
	said := func(o Options, body object) string { return start(t, o).complete(body).text }
	base := said(Options{Seed: 1}, chatBody("hi", "seed", 7))
	for _, c := range []struct {
		name string
		o    Options
		body object
		same bool
	}{
		{"again", Options{Seed: 1}, chatBody("hi", "seed", 7), true},
		{"another profile, block size and jitter", Options{Seed: 1, Profile: "graphs", BlockSize: 64, JitterRatio: 0.3}, chatBody("hi", "seed", 7), true},
		{"another server seed", Options{Seed: 2}, chatBody("hi", "seed", 7), false},
		{"another request seed", Options{Seed: 1}, chatBody("hi", "seed", 8), false},
		{"no request seed", Options{Seed: 1}, chatBody("hi"), false},
		{"another prompt", Options{Seed: 1}, chatBody("ho", "seed", 7), false},
	} {
		if got := said(c.o, c.body); (got == base) != c.same {
			t.Errorf("%s: same reply %t, want %t", c.name, got == base, c.same)
		}
	}
	took := func(seed int64, jitter float64) float64 {
		s := start(t, Options{Profile: "eager", Seed: seed, JitterRatio: jitter})
		s.complete(tokens(numbered(0, 2000), 20))
		return s.counters()["vllm:e2e_request_latency_seconds_sum"]
	}
	exact := took(1, -1)
	if took(1, 0.05) != took(1, 0.05) || took(1, 0.05) == took(2, 0.05) || took(2, -1) != exact {
		t.Error("jitter does not come from the seed alone")
	}
	if off := took(1, 0)/exact - 1; off == 0 || math.Abs(off) > 0.02 {
		t.Errorf("the default jitter of 1 %% moves a request by %.3f %%", 100*off)
	}
}

// Close ends what waits in a fault, in the queue and in the middle of a stream; so does the context of Start.
func TestCloseLeavesNothing(t *testing.T) {
	for _, how := range []string{"Close", "context"} {
		before := runtime.NumGoroutine()
		g := newGate()
		s, err := New(Options{Profile: "instant", MaxNumSeqs: 1, Faults: []Fault{{Kind: "hang", Request: 1}}, Sleep: g.sleep})
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
		{"profile", Options{Profile: "nope"}}, {"block", Options{BlockSize: -1}}, {"pool", Options{BlockSize: 16, CapacityTokens: 31}}, {"step", Options{MaxNumBatchedTokens: -1}},
		{"sequences", Options{MaxNumSeqs: -1}}, {"context", Options{MaxModelLen: 1}}, {"jitter", Options{JitterRatio: math.NaN()}}, {"jitter", Options{JitterRatio: 1}},
	} {
		if _, err := New(c.o); err == nil || (!strings.HasPrefix(err.Error(), "set up simulator: ") && !strings.HasPrefix(err.Error(), "choose simulator profile ")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s := start(t, Options{BlockSize: 16, CapacityTokens: 163, MaxModelLen: 4096})
	if s.o.MaxModelLen != 144 { // ten blocks, one of them vLLM's own
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
	if _, err := other.Start(t.Context(), taken); err == nil || !strings.HasPrefix(err.Error(), "listen on "+taken+": ") || strings.Count(err.Error(), taken) != 1 {
		t.Errorf("an address in use: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}
