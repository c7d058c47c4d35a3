// Package sim is a server that speaks vLLM's HTTP interface without a model: an exact prefix cache, vLLM's scheduling, costs
// fitted to measurements, replies of pseudo-text, and failures on request. docs/simulator.md says what it models and what not.
package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"wb/data/prefix"
)

// Options set a server up; zero values mean the default. Sizes are in tokens, or blocks where it says so.
type Options struct {
	Model                string      // name it serves; default "simulated"
	Profile              string      // cost model of profiles.yaml; default "eager"
	BlockSize            int         // tokens in a KV block; default 16
	CapacityTokens       int         // tokens the KV cache holds, of which vLLM keeps one block for itself; default the profile's
	MaxNumBatchedTokens  int         // tokens of one step; default the profile's
	MaxNumSeqs           int         // requests that run at once; default the profile's
	MaxModelLen          int         // longest context, tokens; default 131072
	DisablePrefixCaching bool        // every prompt misses
	Seed                 int64       // of replies and jitter
	JitterSeed           int64       // of jitter alone, so that two servers with equal replies differ in it
	JitterRatio          float64     // standard deviation of step times over their mean; default 0.01, negative for none
	Pace                 float64     // tokens a second of every stream, however many there are, after a tenth of a second; 0: the profile's costs
	Truth                func(Truth) // told of each streamed request when it is over; nil: nobody
	PrefillFactor        float64     // time of prefill over what was measured, to plant a difference; default 1
	Faults               []Fault
	Now                  func() time.Time                     // clock; default time.Now
	Sleep                func(context.Context, time.Duration) // waits with that clock; default really sleeps
}

// Truth is when a request really came and its events were really sent: just before each was handed to the socket.
type Truth struct {
	ID       string
	Began    time.Time     // zero of its times
	Received time.Duration // since then, on the monotonic clock
	Sent     []TruthEvent
}

// TruthEvent is one event of a stream.
type TruthEvent struct {
	At     time.Duration
	Tokens int // it carried; 0 for the role, usage and the end
}

// Version is what /version answers: the vLLM whose costs and counters are imitated. The shapes of answers are those of 0.32.
const Version = "0.26.0+sim"

const fingerprint = "vllm-" + Version

// Limits on what a client may send.
const maxBodyBytes = 64 << 20

// Server is one simulated server.
type Server struct {
	o       Options
	cost    Cost
	tok     *tokenizer
	met     *metrics
	eng     *engine
	mux     *http.ServeMux
	started time.Time
	count   atomic.Int64

	mu     sync.Mutex
	http   *http.Server
	stop   context.CancelFunc
	closed bool
	done   sync.WaitGroup // the engine, the listener and every request
}

// New makes a server; Start or Handler with Run makes it answer. It fails on an unknown profile or sizes that make no sense.
func New(o Options) (*Server, error) {
	set := func(to *int, v int) {
		if *to == 0 {
			*to = v
		}
	}
	if o.Profile == "" {
		o.Profile = "eager"
	}
	cost, err := Profile(o.Profile)
	if err != nil {
		return nil, err
	}
	if !(o.Pace >= 0 && o.Pace <= 1e6) {
		return nil, fmt.Errorf("make simulator: a pace of %v tokens a second: wants up to 1,000,000", o.Pace)
	}
	if o.Pace > 0 {
		cost = paced(o.Pace, cost.KVTokens)
	}
	if o.Model == "" {
		o.Model = "simulated"
	}
	set(&o.BlockSize, 16)
	set(&o.CapacityTokens, cost.KVTokens)
	set(&o.MaxNumBatchedTokens, cost.MaxNumBatchedTokens)
	set(&o.MaxNumSeqs, cost.MaxNumSeqs)
	set(&o.MaxModelLen, 131072)
	if o.JitterRatio == 0 {
		o.JitterRatio = 0.01
	}
	if o.PrefillFactor == 0 {
		o.PrefillFactor = 1
	}
	if !(o.PrefillFactor > 0 && o.PrefillFactor <= 100) {
		return nil, errors.New("set up simulator: the prefill factor must be above 0 and at most 100")
	}
	cost.PrefillFactor = o.PrefillFactor
	if o.BlockSize < 1 || o.MaxNumBatchedTokens < 1 || o.MaxNumSeqs < 1 || o.MaxModelLen < 2 || o.CapacityTokens < 2*o.BlockSize || !(o.JitterRatio < 1) {
		return nil, errors.New("set up simulator: sizes must be positive, the context at least 2 tokens, the KV cache at least two blocks, the jitter below 1")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	cost.MaxNumBatchedTokens = o.MaxNumBatchedTokens
	blocks := o.CapacityTokens/o.BlockSize - 1 // less vLLM's null block
	// a context that the cache cannot hold is not offered: vLLM would not start
	o.MaxModelLen = min(o.MaxModelLen, blocks*o.BlockSize)
	s := &Server{o: o, cost: cost, tok: newTokenizer(), started: o.Now(), mux: http.NewServeMux()}
	s.met = newMetrics(o.Model, s.started)
	s.eng = &engine{cost: cost, seqs: o.MaxNumSeqs, block: o.BlockSize, uncached: o.DisablePrefixCaching, steady: o.Pace > 0, jitter: o.JitterRatio, tok: s.tok, met: s.met, now: o.Now, sleep: o.Sleep,
		wake: make(chan struct{}, 1), cache: prefix.NewCache(o.BlockSize, blocks), rng: rand.New(rand.NewPCG(uint64(o.Seed), 0x5eed+uint64(o.JitterSeed)))}
	if o.DisablePrefixCaching {
		s.eng.cache.Disable()
	}
	s.routes()
	return s, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Start listens on an address such as 127.0.0.1:0 and serves until the context ends or Close; it gives the base URL. A server
// starts once. It fails when the address cannot be listened on.
func (s *Server) Start(ctx context.Context, addr string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil || s.closed {
		return "", errors.New("start simulator: it was started before")
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
		_ = h.Serve(s.refusing(l)) // it ends by Close, or the listener broke
		cancel()
	})
	s.done.Go(func() {
		<-ctx.Done()
		_ = h.Close()
	})
	return "http://" + l.Addr().String(), nil
}

// Run runs the engine until the context ends; requests still in it are cut then. Start calls it; who uses Handler calls it.
func (s *Server) Run(ctx context.Context) { s.eng.loop(ctx) }

// Close cuts every connection, stops serving and waits until nothing of it runs. A second call does nothing.
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

// refusing applies the refuse fault.
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

// Handler answers HTTP requests; completions need Run beside it. After Close it answers 503.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "wb-sim")
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"detail": "Service Unavailable"})
			return
		}
		s.done.Add(1)
		s.mu.Unlock()
		defer s.done.Done()
		h, pattern := s.mux.Handler(r)
		if pattern == "" {
			status, text := http.StatusNotFound, "Not Found"
			for _, m := range []string{http.MethodGet, http.MethodPost} {
				other := r.Clone(r.Context())
				other.Method = m
				if _, p := s.mux.Handler(other); p != "" && m != r.Method {
					status, text = http.StatusMethodNotAllowed, "Method Not Allowed"
					w.Header().Set("Allow", m)
				}
			}
			writeJSON(w, status, map[string]string{"detail": text})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) routes() {
	empty := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	s.mux.HandleFunc("GET /health", empty)
	s.mux.HandleFunc("GET /ping", empty)
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"version": Version, "simulated": true, "imitates": map[string]string{"model": s.cost.Model, "gpu": s.cost.GPU}})
	})
	s.mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]any{"id": s.o.Model, "object": "model", "created": s.started.Unix(),
			"owned_by": "vllm", "root": "simulator:" + s.o.Profile, "parent": nil, "max_model_len": s.o.MaxModelLen, "permission": []any{map[string]any{"id": "modelperm-simulated", "object": "model_permission",
				"created": s.started.Unix(), "allow_create_engine": false, "allow_sampling": true, "allow_logprobs": false, "allow_search_indices": false, "allow_view": true,
				"allow_fine_tuning": false, "organization": "*", "group": nil, "is_blocking": false}}}}})
	})
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
		running, waiting, used := s.eng.load()
		s.met.write(w, running, waiting, used, s.config())
	})
	s.mux.HandleFunc("POST /reset_prefix_cache", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"success": s.eng.reset()})
	})
	s.mux.HandleFunc("POST /tokenize", s.tokenize)
	s.mux.HandleFunc("POST /detokenize", s.detokenize)
	s.mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, true) })
	s.mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, false) })
}

// config is the labels of vllm:cache_config_info.
func (s *Server) config() []string {
	python := map[bool]string{true: "True", false: "False"}
	blocks := s.o.CapacityTokens / s.o.BlockSize
	return []string{fmt.Sprintf(`block_size="%d"`, s.o.BlockSize), `cache_dtype="auto"`, fmt.Sprintf(`enable_prefix_caching="%s"`, python[!s.o.DisablePrefixCaching]),
		`engine="0"`, `gpu_memory_utilization="0.92"`, fmt.Sprintf(`kv_cache_size_tokens="%d"`, blocks*s.o.BlockSize), `num_cpu_blocks="None"`,
		fmt.Sprintf(`num_gpu_blocks="%d"`, blocks), `prefix_caching_hash_algo="sha256"`, `sliding_window="None"`}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"detail":"Internal Server Error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that left is no problem of ours
}

func writeError(w http.ResponseWriter, e *apiError) {
	writeJSON(w, e.Code, map[string]*apiError{"error": e})
}

// read decodes a request body, or answers why not.
func (s *Server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		e := badRequest("", "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed")
		e.Type = "Bad Request"
		writeError(w, e)
		return false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		writeError(w, badRequest("", "the request body could not be read"))
		return false
	}
	if e := decode(text, into); e != nil {
		writeError(w, e)
		return false
	}
	return true
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) {
	var b struct {
		body
		AddGenerationPrompt *bool `json:"add_generation_prompt"`
		ReturnTokenStrs     bool  `json:"return_token_strs"`
	}
	if !s.read(w, r, &b) {
		return
	}
	ids, e := s.prompt(&b.body, b.Messages != nil, b.AddGenerationPrompt == nil || *b.AddGenerationPrompt)
	if e != nil {
		writeError(w, e)
		return
	}
	var strs []string
	if b.ReturnTokenStrs {
		strs = s.tok.pieces(ids)
	}
	writeJSON(w, http.StatusOK, map[string]any{"count": len(ids), "max_model_len": s.o.MaxModelLen, "tokens": ids, "token_strs": strs})
}

// prompt gives the token ids of a body's messages or prompt.
func (s *Server) prompt(b *body, chat, generate bool) ([]int32, *apiError) {
	if e := b.known(s.o.Model); e != nil {
		return nil, e
	}
	switch {
	case chat && b.Messages == nil:
		return nil, invalid("body.messages", "missing", "Field required", "None")
	case chat && len(b.Messages) == 0:
		return nil, badRequest("", "Cannot apply chat template to an empty conversation. Provide at least one message.")
	case chat:
		return s.tok.encode(render(b.Messages, generate)), nil
	case !b.Prompt.given:
		return nil, invalid("body.prompt", "missing", "Field required", "None")
	case b.Prompt.ids != nil:
		return b.Prompt.ids, nil
	}
	return s.tok.encode(b.Prompt.text), nil
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) {
	var b struct {
		Tokens []int32 `json:"tokens"`
	}
	if s.read(w, r, &b) {
		writeJSON(w, http.StatusOK, map[string]string{"prompt": strings.Join(s.tok.pieces(b.Tokens), "")})
	}
}

// complete answers chat and plain completions.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, chat bool) {
	arrived := s.o.Now()
	nth := int(s.count.Add(1))
	var b body
	if !s.read(w, r, &b) {
		return
	}
	faults := s.faults(nth)
	for _, f := range faults {
		switch f.Kind {
		case "500":
			writeError(w, &apiError{Message: "Internal server error (simulated)", Type: "InternalServerError", Code: http.StatusInternalServerError})
			return
		case "429":
			w.Header().Set("Retry-After", "1")
			writeError(w, &apiError{Message: "Too many requests (simulated)", Type: "TooManyRequestsError", Code: http.StatusTooManyRequests})
			return
		case "hang":
			<-r.Context().Done()
			return
		}
	}
	ids, e := s.prompt(&b, chat, true)
	if e == nil {
		e = b.check()
	}
	if e == nil && len(ids) == 0 {
		e = badRequest("prompt", "The decoder prompt cannot be empty")
	}
	if e == nil {
		e = b.fits(len(ids), s.o.MaxModelLen)
	}
	if e != nil {
		writeError(w, e)
		return
	}
	ctx, leave := context.WithCancel(r.Context()) // whoever stops answering, the engine stops computing
	defer leave()
	req := s.request(ctx, &b, ids, arrived)
	a := answer{s: s, w: w, req: req, chat: chat, body: &b, faults: faults, created: arrived.Unix(), id: "cmpl-"}
	if chat {
		a.id = "chatcmpl-"
	}
	a.id += strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	if b.Stream { // like vLLM, headers go out before the prompt is tokenized, let alone prefilled
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		a.flush()
	}
	if before := s.cost.Before(len(ids)) - s.o.Now().Sub(arrived); before > 0 {
		s.o.Sleep(ctx, before)
	}
	if ctx.Err() != nil {
		return
	}
	s.eng.submit(req)
	if b.Stream {
		a.stream()
		if s.o.Truth != nil {
			s.o.Truth(Truth{a.id, s.started, arrived.Sub(s.started), a.truth})
		}
	} else {
		a.whole()
	}
}

func (s *Server) faults(nth int) []Fault {
	var on []Fault
	for _, f := range s.o.Faults {
		if f.Kind != "refuse" && f.on(nth) {
			on = append(on, f)
		}
	}
	return on
}

// request turns a body into work. Replies end by themselves after about 150 tokens (median; log-normal), unless a limit
// comes first; equal prompts and seeds give equal replies.
func (s *Server) request(ctx context.Context, b *body, ids []int32, arrived time.Time) *request {
	h := fnv.New64a()
	for _, t := range ids {
		_, _ = h.Write([]byte{byte(t), byte(t >> 8), byte(t >> 16), byte(t >> 24)})
	}
	seed := uint64(s.o.Seed)
	if b.Seed != nil {
		seed = seed*31 + uint64(*b.Seed)
	}
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	room := s.o.MaxModelLen - len(ids)
	if l := b.limit(); l != nil {
		room = min(room, *l)
	} else if b.Messages == nil {
		room = min(room, 16) // the default of /v1/completions
	}
	natural := max(int(150*math.Exp(0.5*rng.NormFloat64())), 8, b.MinTokens+1) // with <|end|>
	r := &request{prompt: ids, length: room, reply: reply{rng: rng}, arrived: arrived, gone: ctx}
	if !b.IgnoreEOS && natural <= room {
		r.length, r.ends = natural, true
	}
	if b.CacheSalt != nil {
		r.salt = *b.CacheSalt
	}
	r.tokens = make(chan int32, r.length)
	return r
}

// answer writes one completion.
type answer struct {
	s       *Server
	w       http.ResponseWriter
	req     *request
	chat    bool
	body    *body
	faults  []Fault
	id      string
	created int64
	events  int
	dead    bool
	carries int // tokens of the event that is being sent
	truth   []TruthEvent
}

func (a *answer) flush() {
	if f, ok := a.w.(http.Flusher); ok {
		f.Flush()
	}
}

// kill ends the connection in the middle of the response.
func (a *answer) kill() {
	a.dead = true
	if a.req.gone.Err() != nil { // nobody is there to see it
		return
	}
	if h, ok := a.w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// event sends one event, unless a fault has its turn.
func (a *answer) event(v any) {
	if a.dead {
		return
	}
	a.events++
	text, err := json.Marshal(v)
	if err != nil {
		a.kill()
		return
	}
	cut := false
	for _, f := range a.faults {
		if a.events != f.Chunk {
			continue
		}
		switch f.Kind {
		case "cut":
			cut = true
		case "stall":
			a.s.o.Sleep(a.req.gone, f.Pause)
		case "damage":
			text = text[:len(text)/2]
		case "error":
			text = []byte(`{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}`)
			a.send(text)
			a.send([]byte("[DONE]"))
			a.dead = true
			return
		}
	}
	a.send(text)
	if cut {
		a.kill()
	}
}

func (a *answer) send(text []byte) {
	if a.s.o.Truth != nil {
		a.truth = append(a.truth, TruthEvent{a.s.o.Now().Sub(a.s.started), a.carries})
		a.carries = 0
	}
	if _, err := fmt.Fprintf(a.w, "data: %s\n\n", text); err != nil {
		a.dead = true
		return
	}
	a.flush()
}

// ids gives token ids where the client asked for them, else null.
func (a *answer) ids(tokens []int32) any {
	if a.body.ReturnTokenIDs {
		return tokens
	}
	return null
}

func (a *answer) stream() {
	opt := a.body.StreamOptions
	usages := opt != nil && opt.IncludeUsage
	running := usages && opt.ContinuousUsage
	prompt := len(a.req.prompt)
	e := event{ID: a.id, Object: "text_completion", Created: a.created, Model: a.s.o.Model, Choices: make([]choice, 1)}
	if a.chat {
		e.Object = "chat.completion.chunk"
	}
	used := func(n int) *usage {
		if !running {
			return nil
		}
		u := &usage{PromptTokens: prompt, CompletionTokens: n, TotalTokens: prompt + n}
		if a.chat {
			u.CompletionDetails = null
		}
		return u
	}
	n := 0
	for id := range a.req.tokens {
		if n++; n == 1 && a.chat {
			first := e
			first.Choices = []choice{{Delta: &delta{Role: "assistant", Content: new(string)}}}
			first.Usage, first.PromptTokenIDs, first.PromptText = used(0), a.ids(a.req.prompt), null
			a.event(first)
		}
		text := ""
		if id != endToken {
			text = a.s.tok.pieces([]int32{id})[0]
		}
		c := choice{TokenIDs: a.ids([]int32{id})}
		if a.chat {
			c.Delta = &delta{Content: &text}
		} else {
			c.Text, c.StopReason, c.PromptTokenIDs = &text, null, null
			if n == 1 {
				c.PromptTokenIDs = a.ids(a.req.prompt)
			}
		}
		if n == a.req.length {
			reason := a.req.reason()
			c.FinishReason, c.StopReason = &reason, null
			if !usages {
				e.Fingerprint = fingerprint
			}
		}
		e.Choices[0], e.Usage, a.carries = c, used(n), 1
		a.event(e)
		if a.dead { // leaving ends the request
			return
		}
	}
	switch {
	case n < a.req.length: // the engine stopped, or the client is gone
		a.kill()
		return
	case usages:
		e.Choices, e.Usage, e.Fingerprint = []choice{}, a.total(n), fingerprint
		if slices.ContainsFunc(a.faults, func(f Fault) bool { return f.Kind == "usage" }) {
			e.Usage = a.total(2 * n)
		}
		a.event(e)
	}
	if !a.dead {
		a.send([]byte("[DONE]"))
	}
}

// total is the closing usage after n tokens.
func (a *answer) total(n int) *usage {
	prompt, size := len(a.req.prompt), a.s.o.BlockSize
	d := &promptDetails{CachedTokens: a.req.cached}
	if a.chat {
		created := 0
		if !a.s.o.DisablePrefixCaching {
			created = prompt/size*size - a.req.cached
		}
		d.CreatedTokens = &created
	}
	return &usage{PromptTokens: prompt, CompletionTokens: n, TotalTokens: prompt + n, PromptDetails: d}
}

func (a *answer) whole() {
	var ids []int32
	for id := range a.req.tokens {
		ids = append(ids, id)
	}
	if len(ids) < a.req.length {
		a.kill()
		return
	}
	text := ids
	if a.req.ends {
		text = ids[:len(ids)-1]
	}
	out := strings.Join(a.s.tok.pieces(text), "")
	use := a.total(len(ids))
	use.PromptDetails.Multimodal, use.CompletionDetails = null, null
	c := map[string]any{"index": 0, "logprobs": nil, "finish_reason": a.req.reason(), "stop_reason": nil, "token_ids": a.ids(ids), "routed_experts": nil}
	reply := map[string]any{"id": a.id, "object": "text_completion", "created": a.created, "model": a.s.o.Model, "choices": []any{c}, "usage": use,
		"service_tier": nil, "system_fingerprint": fingerprint, "kv_transfer_params": nil, "ec_transfer_params": nil, "metrics": nil}
	if a.chat {
		reply["object"], reply["prompt_token_ids"], reply["prompt_text"], reply["prompt_logprobs"] = "chat.completion", a.ids(a.req.prompt), nil, nil
		c["message"] = map[string]any{"role": "assistant", "content": out, "refusal": nil, "annotations": nil, "audio": nil, "function_call": nil, "reasoning": nil}
	} else {
		c["text"], c["prompt_token_ids"], c["prompt_logprobs"] = out, a.ids(a.req.prompt), nil
	}
	writeJSON(a.w, http.StatusOK, reply)
}
