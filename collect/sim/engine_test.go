package sim

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wb/data/prefix"
)

// numbered returns n token ids that no other stream has.
func numbered(stream, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(1_000_000*(stream+1) + i)
	}
	return ids
}

// tokens returns the body of a completion request for these prompt ids and n tokens.
func tokens(ids []int32, n int, more ...any) object {
	b := object{"prompt": ids, "max_tokens": n, "ignore_eos": true}
	for i := 0; i < len(more); i += 2 {
		b[more[i].(string)] = more[i+1]
	}
	return b
}

// systemPrompt returns a system prompt, with or without a document.
func systemPrompt(withDocument bool) string {
	text := "You are a helpful assistant. Answer briefly and to the point, without saying more than what was asked for."
	if withDocument {
		text += strings.Repeat(" The quick brown fox jumps over the lazy dog near the riverbank while seven wizards brew potions.", 12)
	}
	return text
}

// Conversations hit exactly what the blocks of everything sent before allow. A plain turn hits all of the previous turn except its last
// token. With a document that comes and goes it hits only what precedes the document. Another salt hits nothing. The counters agree
// with the usage.
func TestHitsAreExact(t *testing.T) {
	for _, c := range []struct {
		name       string
		block      int
		with       []int // turns whose system prompt holds the document
		salt       string
		replaced   bool // before every turn the same turn is sent with another salt
		off        bool
		wantSecond int // how many reusable tokens the second turn may miss; -1 means that nothing hits
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
				system := systemPrompt(slices.Contains(c.with, turn))
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
				if len(c.with) == 0 && turn > 1 && !c.off { // all of the previous turn except its last token
					if all := (len(last.prompt) + last.tokens - 1) / c.block * c.block; r.cached != all {
						t.Errorf("turn %d: cached %d, but %d tokens of the previous turn were reusable", turn, r.cached, all)
					}
				}
				checkGrowth(t, turn, before, after, map[string]int{
					"prefix_cache_hits_total": want, "prefix_cache_queries_total": queries,
					"prompt_tokens_total": len(r.prompt), "request_prompt_tokens_sum": len(r.prompt),
					"generation_tokens_total": r.tokens, "request_generation_tokens_sum": r.tokens,
					"iteration_tokens_total_sum": len(r.prompt) - want + r.tokens, "iteration_tokens_total_count": r.tokens,
					"time_to_first_token_seconds_count": 1, "inter_token_latency_seconds_count": r.tokens - 1,

					`request_success_total{finished_reason="` + r.finish + `"}`: 1,
				})
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

// checkGrowth compares the growth of counters during a turn with the wanted growth.
func checkGrowth(t *testing.T, turn int, before, after map[string]float64, want map[string]int) {
	t.Helper()
	for name, d := range want {
		grew := after["vllm:"+name] - before["vllm:"+name]
		if _, ok := after["vllm:"+name]; !ok || grew != float64(d) {
			t.Errorf("turn %d: %s grew by %v, want %d", turn, name, grew, d)
		}
	}
}

// The lengths and hits of the prompts are those of vLLM 0.32 with block size 32 and a pool of 10,240 tokens.
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

// all queues all requests, then starts the engine, and returns the replies in order.
func all(t *testing.T, o Options, bodies ...object) ([]completion, *Server) {
	t.Helper()
	if o.Now == nil {
		c := newClock()
		o.Profile, o.Now, o.Sleep = "instant", c.Now, c.sleep
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

// Three equal prompts at once hit 0, 1,984 and 1,984 tokens, as in vLLM 0.32 with block size 32. Blocks can be hit as soon as they are
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

// The replies of two requests outgrow the pool. One of them is preempted and computed again. Neither its reply nor its cache query is
// counted twice.
func TestPreemption(t *testing.T) {
	a, b := tokens(numbered(1, 1000), 900), tokens(numbered(2, 1000), 900)
	free, s := all(t, Options{}, a, b)
	if s.met.preemptions != 0 {
		t.Errorf("%v preemptions in a large pool", s.met.preemptions)
	}
	short, s := all(t, Options{CapacityTokens: 2800}, a, b)
	if s.met.preemptions < 1 || s.met.preemptions > 3 {
		t.Errorf("%v preemptions in a pool of 2,800 tokens, where 3,800 are needed", s.met.preemptions)
	}
	if s.met.queries != 2000 || s.met.hits != 0 || s.met.generated != 1800 || s.met.success["length"] != 2 || s.met.promptTokens != 2000 {
		t.Errorf("counted %v queries, %v hits, %v generated, %v prompt tokens, %v", s.met.queries, s.met.hits, s.met.generated,
			s.met.promptTokens, s.met.success)
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

// A request that waits for room evicts nothing. It is not admitted when only its first chunk fits.
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
	submit(1, 900, 100) // 57 blocks of 125; the other 68 still hold the 50 blocks of the first prompt
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

// With one sequence at a time the second request waits, and its wait is counted. Meanwhile the cache cannot be reset.
func TestQueueing(t *testing.T) {
	g := newGate()
	s := start(t, Options{MaxNumSeqs: 1, Clock: Clock{time.Now, g.sleep}})
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
	for _, name := range []string{"request_prefill_time_seconds_sum", "request_decode_time_seconds_sum",
		"e2e_request_latency_seconds_sum", "time_to_first_token_seconds_sum"} {
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
