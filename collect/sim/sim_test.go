package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wb/data/plain/clocktest"
)

// clock is a clock that moves only when somebody sleeps. A test with it never waits and sees exact times.
type clock struct {
	*clocktest.Clock
	mu    sync.Mutex
	slept []time.Duration
}

func newClock() *clock { return &clock{Clock: clocktest.New(time.Unix(1_800_000_000, 0))} }

func (c *clock) sleep(ctx context.Context, d time.Duration) {
	if ctx.Err() != nil {
		return
	}
	c.Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept = append(c.slept, d)
}

func (c *clock) sleptFor(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.slept, d)
}

// server is a running simulator and a client for it.
type server struct {
	*Server
	t    testing.TB
	base string
	http *http.Client
}

// start starts a simulator. Unless o sets them, it has the instant profile and a clock that never waits.
func start(t testing.TB, o Options) *server {
	t.Helper()
	if o.Profile == "" {
		o.Profile = "instant"
	}
	if o.Sleep == nil && o.Now == nil {
		c := newClock()
		o.Now, o.Sleep = c.Now, c.sleep
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	base, err := s.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		tr.CloseIdleConnections()
	})
	return &server{s, t, base, &http.Client{Transport: tr, Timeout: 20 * time.Second}}
}

// object is a JSON object, such as a request body.
type object = map[string]any

func (s *server) do(ctx context.Context, method, path, kind, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return s.http.Do(req)
}

// post sends an object and returns the status and the body of the answer.
func (s *server) post(path string, body object) (int, []byte) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.do(s.t.Context(), http.MethodPost, path, "application/json", string(text))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, out
}

// answered holds those parts of a completion that tests check.
type answered struct {
	prompt, ids    []int32
	text, finish   string
	cached, tokens int
	total, created int
}

type completion struct {
	Choices []struct {
		Text    string `json:"text"`
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
		FinishReason   string  `json:"finish_reason"`
		TokenIDs       []int32 `json:"token_ids"`
		PromptTokenIDs []int32 `json:"prompt_token_ids"`
	} `json:"choices"`
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
		Details    struct {
			Cached  int `json:"cached_tokens"`
			Created int `json:"created_cache_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	PromptTokenIDs []int32 `json:"prompt_token_ids"`
}

// complete sends a completion request, without streaming and with token ids. The request must succeed.
func (s *server) complete(body object) answered {
	s.t.Helper()
	path := "/v1/completions"
	if body["messages"] != nil {
		path = "/v1/chat/completions"
	}
	b := object{"return_token_ids": true}
	for k, v := range body {
		b[k] = v
	}
	status, text := s.post(path, b)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, text)
	}
	var c completion
	if err := json.Unmarshal(text, &c); err != nil {
		s.t.Fatalf("%s: %v: %s", path, err, text)
	}
	ch := c.Choices[0]
	r := answered{c.PromptTokenIDs, ch.TokenIDs, ch.Text + ch.Message.Content, ch.FinishReason, c.Usage.Details.Cached,
		c.Usage.Completion, c.Usage.Total, c.Usage.Details.Created}
	if r.prompt == nil {
		r.prompt = ch.PromptTokenIDs
	}
	if len(r.ids) != r.tokens || len(r.prompt) != c.Usage.Prompt || r.total != r.tokens+len(r.prompt) {
		s.t.Fatalf("usage %+v, but %d prompt and %d generated ids", c.Usage, len(r.prompt), len(r.ids))
	}
	return r
}

// counters reads /metrics. A sample is found by its name, followed by its labels as {k="v"}, without engine and model.
func (s *server) counters() map[string]float64 {
	s.t.Helper()
	resp, err := s.do(s.t.Context(), http.MethodGet, "/metrics", "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return parseMetrics(s.t, string(text))
}

func parseMetrics(t testing.TB, text string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("metrics line %q: %v", line, err)
		}
		name, labels, _ := strings.Cut(line[:at], "{")
		if !strings.HasSuffix(name, "_info") {
			var keep []string
			for l := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
				if l != "" && !strings.HasPrefix(l, "engine=") && !strings.HasPrefix(l, "model_name=") {
					keep = append(keep, l)
				}
			}
			if len(keep) > 0 {
				name += "{" + strings.Join(keep, ",") + "}"
			}
		}
		out[name] = v
	}
	return out
}

// events returns the data of the events of a stream in order. err is nil when the body is complete.
func events(body io.Reader) (data []string, err error) {
	r := bufio.NewReader(body)
	for {
		line, err := r.ReadString('\n')
		if d, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok {
			data = append(data, d)
		}
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return data, err
		}
	}
}

// stream sends a streaming request and returns its events.
func (s *server) stream(path string, body object) (status int, data []string, err error) {
	s.t.Helper()
	b := object{"stream": true}
	for k, v := range body {
		b[k] = v
	}
	text, err := json.Marshal(b)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.do(s.t.Context(), http.MethodPost, path, "application/json", string(text))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err = events(resp.Body)
	return resp.StatusCode, data, err
}

func chatBody(content string, more ...any) object {
	b := object{"messages": []object{{"role": "user", "content": content}}}
	for i := 0; i < len(more); i += 2 {
		b[more[i].(string)] = more[i+1]
	}
	return b
}

// captured reads a recorded answer of vLLM 0.32.
func captured(t testing.TB, name string) (*http.Response, []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".raw"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return resp, body
}

// shape lists the paths in a JSON value, each with the kind of its value. All elements of a list have the same path.
func shape(t testing.TB, text []byte) map[string]bool {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch x := v.(type) {
		case map[string]any:
			out[path+" object"] = true
			for k, e := range x {
				walk(path+"."+k, e)
			}
		case []any:
			out[path+" list"] = true
			for _, e := range x {
				walk(path+"[]", e)
			}
		default:
			out[fmt.Sprintf("%s %T", path, v)] = true
		}
	}
	walk("", v)
	return out
}

// sameShape compares the shapes of two JSON texts. got may have the paths in extra in addition.
func sameShape(t testing.TB, what string, got, want []byte, extra ...string) {
	t.Helper()
	g, w := shape(t, got), shape(t, want)
	for k := range w {
		if !g[k] {
			t.Errorf("%s: lacks%s", what, k)
		}
	}
	for _, k := range extra {
		delete(g, k)
	}
	for k := range g {
		if !w[k] {
			t.Errorf("%s: has%s, which vLLM does not have", what, k)
		}
	}
}

// until waits until ok returns true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// gate is a clock whose sleepers wait until the gate opens. With it a test can look at an engine in the middle of a step.
type gate struct{ open chan struct{} }

func newGate() *gate { return &gate{make(chan struct{})} }

func (g *gate) sleep(ctx context.Context, _ time.Duration) {
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

// FuzzRequest sends bodies of all kinds. There must be no panic and no 5xx, and the answer must be JSON or a stream of JSON events.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `"x"`, `{"messages":[]}`, `{"messages":null}`, `{"messages":[null]}`, `{"prompt":""}`,
		`{"prompt":[1,2,3],"max_tokens":2}`,
		`{"messages":[{"role":"user","content":"hello there"}],"max_tokens":3}`, `{"prompt":"a<|end|>b","stream":true,"max_tokens":3}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]}`,
		`{"messages":[{"role":"user","content":"hi"}],"max_tokens":3,"stream":true,` +
			`"stream_options":{"include_usage":true,"continuous_usage_stats":true},"return_token_ids":true}`,
		`{"messages":[{"role":"user","content":"hi"}],"max_tokens":-1}`,
		`{"messages":[{"role":"user","content":"hi"}],"min_tokens":9223372036854775807}`,
		`{"messages":[{"role":"user","content":"hi"}],"cache_salt":"","seed":-5,"temperature":-0.1}`, `{"prompt":["a","b"]}`,
		`{"prompt":[99999999999]}`,
		`{"prompt":[-1,0],"ignore_eos":true}`, "{\"prompt\":\"\xff\xfe  7\\u0000\"}",
		`{"messages":[{"role":"user","content":"hi"}],"max_completion_tokens":1e400}`,
	} {
		f.Add([]byte(seed))
	}
	c := newClock()
	s, err := New(Options{Profile: "instant", MaxModelLen: 200, CapacityTokens: 400,
		Clock: Clock{c.Now, func(context.Context, time.Duration) {}}})
	if err != nil {
		f.Fatal(err)
	}
	go s.Run(f.Context())
	h := s.Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // without an answer the test fails and shows the body
		defer cancel()
		for _, path := range []string{"/v1/chat/completions", "/tokenize", "/v1/completions", "/detokenize"} {
			req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != 200 && w.Code != 400 && w.Code != 404 {
				t.Fatalf("%s answered %d to %q", path, w.Code, body)
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
				if !json.Valid(w.Body.Bytes()) {
					t.Fatalf("%s did not answer %q with JSON: %s", path, body, w.Body)
				}
				continue
			}
			data, err := events(w.Body)
			if err != nil || len(data) < 2 || data[len(data)-1] != "[DONE]" {
				t.Fatalf("%s: stream to %q ended as %q", path, body, data)
			}
			for _, d := range data[:len(data)-1] {
				if !json.Valid([]byte(d)) {
					t.Fatalf("%s: event %q", path, d)
				}
			}
		}
	})
}

// newRecorder posts a body to the handler, without a network, and returns the recorded answer.
func newRecorder(s *Server, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}
