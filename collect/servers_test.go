package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wb/data"
	"wb/store"
)

// oddServer is an OpenAI-compatible server that is not vLLM, whose parts can be replaced. Tokens are words.
type oddServer struct {
	models, tokenize, metrics http.HandlerFunc
	chat                      func(w http.ResponseWriter, prompt int, messages []data.Message)
}

func (o *oddServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := map[string]http.HandlerFunc{"/v1/models": o.models, "/tokenize": o.tokenize, "/metrics": o.metrics}[r.URL.Path]
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/v1/models":
		fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
	case r.URL.Path == "/v1/chat/completions":
		var body struct{ Messages []data.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		n := 0
		for _, m := range body.Messages {
			n += len(strings.Fields(m.Content))
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if o.chat != nil {
			o.chat(w, n, body.Messages)
			return
		}
		writeReply(w, hellos(), n, 2)
	default:
		http.NotFound(w, r)
	}
}

// writeReply writes events as chunks of their own, and the end.
func writeReply(w http.ResponseWriter, events string, prompt, completion int) {
	flush := w.(http.Flusher).Flush
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d}`, prompt, completion)
	for e := range strings.SplitSeq(events+ended("length")+used(usage), "\r\n") {
		if strings.HasPrefix(e, "data: ") {
			fmt.Fprint(w, e)
			flush()
		}
	}
}

// odd plays a talk of three turns against a server and gives the file of the run.
func (o *oddServer) play(t *testing.T, model string) (db *store.DB, res *Result) {
	t.Helper()
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	start := time.Now()
	c, err := NewClient(srv.URL, "", func() int64 { return int64(time.Since(start)) })
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Probe(t.Context(), model, nil)
	if err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "a.duckdb")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	talk := &data.Conversation{ID: "talk", Title: "Talk", System: "Be brief.", Turns: []data.Turn{{User: "What was done on Monday?"}, {User: "And on Tuesday?"}, {User: "Thank you. Once more, please."}}}
	res, err = Run(t.Context(), db, c, e, Plan{Conversations: []*data.Conversation{talk}, MaxTokens: 8, Repeat: 1, Isolation: IsolationNone, Start: start}, Watch{})
	if err != nil {
		t.Fatal(err)
	}
	return db, res
}

func events(t *testing.T, db *store.DB, like string) string {
	t.Helper()
	return cell(t, db, "SELECT coalesce(string_agg(kind || ' ' || coalesce(turn_id::VARCHAR, '-'), ', ' ORDER BY t_ns), '') FROM raw.event WHERE kind LIKE '"+like+"'")
}

// A reply without an answer is told of, and no empty message goes into the history.
func TestNoAnswer(t *testing.T) {
	prompts := make(chan []data.Message, 3)
	o := &oddServer{chat: func(w http.ResponseWriter, n int, ms []data.Message) {
		prompts <- ms
		writeReply(w, text(`{"reasoning_content":"Let me think"}`, "", "")+text(`{"reasoning_content":" about it"}`, "", ""), n, 8)
	}}
	db, res := o.play(t, "")
	if got := events(t, db, "no_answer"); res.Failed != 0 || got != "no_answer 1, no_answer 2, no_answer 3" {
		t.Errorf("%+v, events %s", res, got)
	}
	if got := cell(t, db, "SELECT message FROM raw.event WHERE kind = 'no_answer' AND turn_id = 1"); got != "turn 1 of talk/system: nothing but reasoning came within 8 completion tokens; --max-tokens allows more; the history goes on without an answer" {
		t.Error(got)
	}
	<-prompts
	<-prompts
	var roles []string
	for _, m := range <-prompts {
		roles = append(roles, m.Role)
		if m.Content == "" {
			t.Errorf("an empty message of %s was sent", m.Role)
		}
	}
	if got := strings.Join(roles, " "); got != "system user user user" {
		t.Errorf("the last prompt has %s", got)
	}
}

// A history that the server cuts is noticed where prompt tokens fall though the text grew.
func TestContextTruncated(t *testing.T) {
	o := &oddServer{chat: func(w http.ResponseWriter, n int, _ []data.Message) {
		if n > 12 {
			n = 8
		}
		writeReply(w, hellos(), n, 2)
	}}
	db, _ := o.play(t, "")
	if got := cell(t, db, "SELECT string_agg(prompt_tokens::VARCHAR, ' ' ORDER BY turn_id) FROM raw.turn") + ": " + events(t, db, "context%"); got != "7 12 8: context_truncated 3" {
		t.Error(got)
	}
	// a longer prompt has more tokens than a shorter one that it holds
	o = &oddServer{chat: func(w http.ResponseWriter, n int, _ []data.Message) { writeReply(w, hellos(), min(n, 12), 2) }}
	db, _ = o.play(t, "")
	if got := events(t, db, "context%"); got != "context_truncated 3" {
		t.Error(got)
	}
	// tokens that the server itself counts in the prompt
	tokens := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tokens":[1,2,3,4,5,6,7,8,9,10,11,12]}`) }
	o = &oddServer{tokenize: tokens, chat: func(w http.ResponseWriter, _ int, _ []data.Message) { writeReply(w, hellos(), 7, 2) }}
	db, _ = o.play(t, "")
	if got := events(t, db, "context%"); got != "context_truncated 1, context_truncated 2, context_truncated 3" {
		t.Error(got)
	}
}

// A usage that cannot be that of the text is told of: fewer tokens than events that brought some, or than the prompt could be put into.
func TestUsageDisagrees(t *testing.T) {
	eight := strings.Repeat(word("seven "), 8)
	letters := strings.Repeat(word("a"), 8)
	for _, c := range []struct {
		name, events       string
		prompt, completion int
		want               string
	}{
		{"as it is", eight, 7, 8, ""},
		{"too few tokens", eight, 7, 1, "usage_disagrees 1"},
		{"a character an event", letters, 7, 2, ""},
		{"too small a prompt", eight, 1, 8, "usage_disagrees 1"},
	} {
		o := &oddServer{chat: func(w http.ResponseWriter, _ int, _ []data.Message) { writeReply(w, c.events, c.prompt, c.completion) }}
		db, _ := o.play(t, "")
		const q = "SELECT coalesce(any_value(kind || ' ' || turn_id), '') FROM raw.event WHERE kind = 'usage_disagrees' AND turn_id = 1"
		if got := cell(t, db, q); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What something on the way holds back and sends at once has no time per token, and is told of.
func TestBuffered(t *testing.T) {
	o := &oddServer{chat: func(w http.ResponseWriter, n int, _ []data.Message) {
		time.Sleep(40 * time.Millisecond)
		for range 4 {
			fmt.Fprintf(w, "data: %s\n\n", delta("a "))
		}
		writeReply(w, "", n, 4)
	}}
	db, _ := o.play(t, "")
	if got := events(t, db, "buffered") + ": " + cell(t, db, "SELECT count(tpot_ms) || ' ' || count(decode_tokens_per_s) || ' ' || count(*) FROM turns"); got != "buffered 1, buffered 2, buffered 3: 0 0 3" {
		t.Error(got)
	}
}

// A server that is loading its model is waited for: no turn is lost, and the wait is in no figure.
func TestLoading(t *testing.T) {
	busy := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`)
	}
	var lists, chats atomic.Int32
	o := &oddServer{
		models: func(w http.ResponseWriter, _ *http.Request) {
			if lists.Add(1) == 1 {
				busy(w)
				return
			}
			fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
		},
		chat: func(w http.ResponseWriter, n int, _ []data.Message) {
			if chats.Add(1) == 1 {
				w.Header().Set("Content-Type", "application/json")
				busy(w)
				return
			}
			writeReply(w, hellos(), n, 2)
		}}
	db, res := o.play(t, "")
	if got := events(t, db, "server_loading"); res.Turns != 3 || res.Failed != 0 || got != "server_loading 1" || lists.Load() < 2 {
		t.Errorf("%+v, events %q, models asked for %d times", res, got, lists.Load())
	}
	if n := count(t, db, "SELECT count(*) FROM turns WHERE ttft_ms > 500 OR status <> 'ok'"); n != 0 {
		t.Errorf("%d turns have the wait in them", n)
	}
}

// Kinds F and G: what a server does not have, or has and does not do right, is found out with a check, costs two seconds at most and is one
// event.
func TestAbsences(t *testing.T) {
	const counters = "# TYPE vllm:prefix_cache_queries_total counter\nvllm:prefix_cache_queries_total{engine=\"0\"} 7.0\nvllm:prefix_cache_hits_total 3.0\nvllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1.0\n"
	page := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	quoted, _ := json.Marshal(counters)
	for _, c := range []struct {
		name   string
		server *oddServer
		model  string
		want   string // events
		kind   string
		series int64 // of a scrape
		ids    bool
	}{
		{"nothing but chat", &oddServer{}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"llama.cpp's tokenize", &oddServer{tokenize: page(`{"tokens":[]}`)}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"a page that has the word", &oddServer{tokenize: page(`<script>x={"tokens":1}</script>`)}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"ids that are texts", &oddServer{tokenize: page(`{"tokens":["a","b"]}`)}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"a count that disagrees", &oddServer{tokenize: page(`{"tokens":[1,2],"count":9}`)}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"tokenize that fails", &oddServer{tokenize: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "crashed", http.StatusInternalServerError) }}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"tokenize that hangs", &oddServer{tokenize: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or nobody would notice that the client hangs up
			<-r.Context().Done()
		}, metrics: page(counters)}, "", "no_tokenize", KindVLLM, 3, false},
		{"tokenize", &oddServer{tokenize: page(`{"tokens":[1,2,3,4,5,6,7],"count":7}`), metrics: page(counters)}, "", "", KindVLLM, 3, true},
		{"one bad line", &oddServer{metrics: page(counters + "slots -nan\nok 1\n")}, "", "metrics_line, no_tokenize", KindVLLM, 4, false},
		{"one JSON text", &oddServer{metrics: page(string(quoted))}, "", "no_tokenize", KindVLLM, 3, false},
		{"carriage returns", &oddServer{metrics: page(strings.ReplaceAll(counters, "\n", "\r\n"))}, "", "no_tokenize", KindVLLM, 3, false},
		{"another's counters", &oddServer{metrics: page("# TYPE llamacpp:x counter\nllamacpp:x 3\nllamacpp:y{a=\"b\"} 4 1790000000000\n")}, "", "no_tokenize", KindOpenAI, 2, false},
		{"no counters", &oddServer{metrics: page(`{"error":"unknown endpoint"}`)}, "", "no_metrics, no_tokenize", KindOpenAI, 0, false},
		{"no list", &oddServer{models: http.NotFound}, "named", "no_metrics, no_models, no_tokenize", KindOpenAI, 0, false},
		{"an empty list", &oddServer{models: page(`{"object":"list","data":null}`)}, "named", "no_metrics, no_models, no_tokenize", KindOpenAI, 0, false},
		{"a list that is none", &oddServer{models: page(`[]`)}, "named", "no_metrics, no_models, no_tokenize", KindOpenAI, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			db, res := c.server.play(t, c.model)
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			if res.Turns != 3 || res.Failed != 0 {
				t.Errorf("%+v", res)
			}
			if got := cell(t, db, "SELECT coalesce(string_agg(kind, ', ' ORDER BY kind), '') FROM raw.event WHERE kind LIKE 'no\\_%' ESCAPE '\\' AND kind NOT IN ('no_gpu') OR kind LIKE 'metrics%'"); got != c.want {
				t.Errorf("events %q, want %q", got, c.want)
			}
			if got := cell(t, db, "SELECT kind || ' ' || has_tokenize || ' ' || has_metrics FROM raw.engine"); got != fmt.Sprint(c.kind, " ", c.ids, " ", c.series > 0) {
				t.Errorf("engine is %s", got)
			}
			if n := count(t, db, "SELECT count(*) FROM raw.engine_metric"); n != 8*c.series {
				t.Errorf("%d values were recorded, want those of 8 readings of %d", n, c.series)
			}
		})
	}
}

// Kind H: what people give as a URL, and what a server does with it.
func TestURLs(t *testing.T) {
	for _, c := range []struct{ given, want, shown string }{
		{"localhost:8001", "http://localhost:8001/v1/models", "http://localhost:8001"},
		{"me:secret@localhost:8001/v1", "http://me:secret@localhost:8001/v1/models", "http://localhost:8001"},
		{"http://h:1/v1/", "http://h:1/v1/models", "http://h:1"},
		{"http://h:1/api/v1/chat/completions", "http://h:1/api/v1/models", "http://h:1/api"},
		{"https://h/v1?api-version=1&key=abcdefghij", "https://h/v1/models?api-version=1&key=abcdefghij", "https://h?redacted"},
		{"http://[::1]:8001/v1", "http://[::1]:8001/v1/models", "http://[::1]:8001"},
		{"[::1]:8001", "http://[::1]:8001/v1/models", "http://[::1]:8001"},
		{"http://me:secret@h/x", "http://me:secret@h/x/v1/models", "http://h/x"},
		{"http://h/a%20b", "http://h/a%20b/v1/models", "http://h/a%20b"},
		{"http://h/a%2Fb/v1", "http://h/a%2Fb/v1/models", "http://h/a%2Fb"},
		{"http://h/api/v3/chat/completions", "http://h/api/v3/models", "http://h/api/v3"},
		{"h:8001/v1?to=http://x/y", "http://h:8001/v1/models?to=http://x/y", "http://h:8001?redacted"},
		{"http://h:99999", "!", ""}, {"http:/h:1", "!", ""},
		{"http://h/v1#part", "http://h/v1/models", "http://h"},
		{"http://::1:8001", "!", ""}, {"ftp://h", "!", ""}, {"http://", "!", ""}, {"", "!", ""}, {"http://h:port", "!", ""},
	} {
		cl, err := NewClient(c.given, "", nil)
		got, shown := "!", ""
		if err == nil {
			got, shown = cl.address("/v1/models"), cl.Base()
		}
		if got != c.want || shown != c.shown {
			t.Errorf("%q is asked at %s and shown as %s (%v), want %s and %s", c.given, got, shown, err, c.want, c.shown)
		}
	}
}

// Kind G: the shapes that lists of models have.
func TestListedModels(t *testing.T) {
	for _, c := range []struct {
		answer, asked, model, err string
		context                   int64
	}{
		{`{"data":[{"id":"m","max_model_len":4096}]}`, "", "m", "", 4096},
		{`{"data":[{"id":"m","max_model_len":"auto"},{"id":"m"}]}`, "", "m", "", 0},
		{`{"data":[{"id":"m","max_model_len":"4096"}]}`, "", "m", "", 4096},
		{"\ufeff" + `[{"id":"m"}]`, "", "m", "", 0},
		{`{"models":[{"name":"m"}]}`, "", "m", "", 0},
		{`{"data":["m"]}`, "", "m", "", 0},
		{`{"data":[{"id":7}]}`, "", "7", "", 0},
		{`{"data":[{"id":"m:latest"},{"id":"n:latest"}]}`, "m", "m:latest", "", 0},
		{`{"data":[{"id":"m"},{"id":"n"}]}`, "", "", "serves m, n; name one with --model", 0},
		{`{"data":[]}`, "", "", "lists no model", 0},
		{`{"data":[{"id":""}]}`, "m", "m", "", 0},
	} {
		o := &oddServer{models: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }}
		srv := httptest.NewServer(o)
		e, err := testClient(t, srv.URL, "").Probe(t.Context(), c.asked, nil)
		srv.Close()
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.answer, err, c.err)
			}
		case err != nil || e.Model != c.model || (e.MaxModelLenTokens == nil) != (c.context == 0) ||
			c.context > 0 && *e.MaxModelLenTokens != c.context:
			t.Errorf("%s: %+v, %v", c.answer, e, err)
		}
	}
}

// Kind G: a server that says why it will not be there is not waited for.
func TestLoadingOrNot(t *testing.T) {
	for said, want := range map[string]bool{
		"Loading model": true, "the model is currently loading": true, "starting up, not ready": true,
		"failed to load model: CUDA out of memory": false, "The server is overloaded or not ready yet.": false, "busy": false,
	} {
		if got := loading(http.StatusServiceUnavailable, said); got != want {
			t.Errorf("%q: loading is %v", said, got)
		}
	}
	if loading(http.StatusInternalServerError, "Loading model") {
		t.Error("500 is waited for")
	}
}

// Kind G: token ids that cannot be those of the text are none.
func TestTokenizeLies(t *testing.T) {
	for answer, want := range map[string]string{
		`{"tokens":[1,2,3]}`: "", `{"tokens":[1,2,3],"count":3}`: "", `{"tokens":[1,2,3],"count":7}`: "counts 7",
		`{"tokens":[]}`: "0 token ids for 13 bytes", `{"tokens":[1,-2,3]}`: "negative", `{"count":3}`: "no token ids",
		`{"tokens":[` + strings.Repeat("1,", 299) + `1]}`: "300 token ids for 13 bytes",
	} {
		o := &oddServer{tokenize: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }}
		srv := httptest.NewServer(o)
		_, err := testClient(t, srv.URL, "").Tokenize(t.Context(), "m", nil, "one two three")
		srv.Close()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", answer, err, want)
		}
	}
}

// Kind F: /metrics that answered before the run and fails in it is told of once.
func TestMetricsLost(t *testing.T) {
	var n atomic.Int32
	o := &oddServer{metrics: func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) > 2 {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "llamacpp:requests_processing 0")
	}}
	db, res := o.play(t, "")
	if got := events(t, db, "no_metrics"); res.Failed != 0 || got != "no_metrics -" {
		t.Errorf("%+v, events %s", res, got)
	}
}

func TestProbeFailures(t *testing.T) {
	status := func(code int, headers map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	plainServer := &oddServer{}
	for _, c := range []struct {
		name       string
		handler    http.Handler
		err, hint  string
		base, kind string
	}{
		{"a prefix", http.StripPrefix("/api", plainServer), "HTTP 404", "base URL", "", ""},
		{"no key", status(401, nil, `{"error":{"message":"wrong key"}}`), "HTTP 401: wrong key", "--api-key-env", "", ""},
		{"forbidden", status(403, nil, ""), "HTTP 403", "--api-key-env", "", ""},
		{"elsewhere", status(302, map[string]string{"Location": "https://login.example/sign-in?next=x"}, ""), "it leads to https://login.example/sign-in", "--url", "", ""},
		{"round and round", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x"+r.URL.Path, http.StatusTemporaryRedirect)
		}), "it leads to", "--url", "", ""},
		{"a page", status(200, map[string]string{"Content-Type": "text/html"}, "<title>Sign in</title>"), "lists no model (Sign in)", "OpenAI-compatible", "", ""},
		{"no end", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for s := strings.Repeat("x", 1<<16); ; {
				if _, err := w.Write([]byte(s)); err != nil {
					return
				}
			}
		}), "longer than", "", "", ""},
		{"same host, another path", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/proxy") {
				http.Redirect(w, r, "/proxy"+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			http.StripPrefix("/proxy", plainServer).ServeHTTP(w, r)
		}), "", "", "/proxy", KindOpenAI},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			cl := testClient(t, srv.URL, "")
			e, err := cl.Probe(t.Context(), "", nil)
			if c.err == "" {
				if err != nil || e.Kind != c.kind || !strings.HasSuffix(cl.Base(), c.base) {
					t.Fatalf("%v, at %s", err, cl.Base())
				}
				return
			}
			var h interface{ Hint() string }
			hint := ""
			if errors.As(err, &h) {
				hint = h.Hint()
			}
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(hint, c.hint) {
				t.Errorf("%v, hint %q; want %q, hint %q", err, hint, c.err, c.hint)
			}
		})
	}
	tls := httptest.NewUnstartedServer(plainServer)
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	var h interface{ Hint() string }
	if _, err := testClient(t, tls.URL, "").Probe(t.Context(), "", nil); !errors.As(err, &h) || !strings.Contains(h.Hint(), "SSL_CERT_FILE") || !errors.Is(err, ErrUnreachable) {
		t.Errorf("an unknown authority: %v", err)
	}
	plain := httptest.NewServer(plainServer)
	defer plain.Close()
	if _, err := testClient(t, strings.Replace(tls.URL, "https:", "http:", 1), "").Probe(t.Context(), "m", nil); err == nil ||
		!errors.As(err, &h) || !strings.Contains(h.Hint(), "https://") {
		t.Errorf("no TLS to a server that speaks it: %v", err)
	}
	if _, err := testClient(t, strings.Replace(plain.URL, "http:", "https:", 1), "").Probe(t.Context(), "", nil); !errors.As(err, &h) || !strings.Contains(h.Hint(), "http://") {
		t.Errorf("TLS to a server without: %v", err)
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	six := &httptest.Server{Listener: l, Config: &http.Server{Handler: plainServer}}
	six.Start()
	defer six.Close()
	if _, err := testClient(t, l.Addr().String(), "").Probe(context.Background(), "", nil); err != nil {
		t.Errorf("over IPv6: %v", err)
	}
}
