package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wb/collect/client"
	"wb/collect/client/clienttest"
	"wb/collect/engine"
	"wb/collect/target"
	"wb/data"
	"wb/store"
	"wb/store/storetest"
)

// playOdd plays a conversation of three turns against a server and gives the file of the run and its result.
func playOdd(t *testing.T, o *clienttest.OddServer, model string) (db *store.DB, res *Result) {
	t.Helper()
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	start := time.Now()
	c, err := client.New(srv.URL, "", func() int64 { return int64(time.Since(start)) })
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Probe(t.Context(), c, model, nil)
	if err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "a.duckdb")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	talk := &data.Conversation{
		ID:     "talk",
		Title:  "Talk",
		System: "Be brief.",
		Turns:  []data.Turn{{User: "What was done on Monday?"}, {User: "And on Tuesday?"}, {User: "Thank you. Once more, please."}},
	}
	job := Job{
		RunSpec:       RunSpec{Load: Load{Isolation: IsolationNone}, Prompting: Prompting{MaxTokens: 8}},
		Conversations: []*data.Conversation{talk},
		Repeats:       1,
		Start:         start,
	}
	res, err = Run(t.Context(), db, &target.Target{Client: c, Server: e}, job, Watch{})
	if err != nil {
		t.Fatal(err)
	}
	return db, res
}

func events(t *testing.T, db *store.DB, like string) string {
	t.Helper()
	return cell(t, db, `SELECT coalesce(string_agg(kind || ' ' || coalesce(turn_id::VARCHAR, '-'), ', ' ORDER BY t_ns), '')
		FROM raw.event WHERE kind LIKE '`+like+`'`)
}

// An event tells of a reply without an answer, and no empty message goes into the history.
func TestNoAnswer(t *testing.T) {
	prompts := make(chan []data.Message, 3)
	o := &clienttest.OddServer{Chat: func(w http.ResponseWriter, n int, ms []data.Message) {
		prompts <- ms
		events := clienttest.Text(`{"reasoning_content":"Let me think"}`, "", "") +
			clienttest.Text(`{"reasoning_content":" about it"}`, "", "")
		clienttest.WriteReply(w, events, n, 8)
	}}
	db, res := playOdd(t, o, "")
	if got := events(t, db, "no_answer"); res.Failed != 0 || got != "no_answer 1, no_answer 2, no_answer 3" {
		t.Errorf("%+v, events %s", res, got)
	}
	const told = "turn 1 of talk/system: nothing but reasoning came within 8 completion tokens; --max-tokens allows more; " +
		"the history goes on without an answer"
	if got := cell(t, db, "SELECT message FROM raw.event WHERE kind = 'no_answer' AND turn_id = 1"); got != told {
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

// wb notices that a server cut the history when prompt tokens fall although the text grew.
func TestContextTruncated(t *testing.T) {
	o := &clienttest.OddServer{Chat: func(w http.ResponseWriter, n int, _ []data.Message) {
		if n > 12 {
			n = 8
		}
		clienttest.WriteReply(w, clienttest.Hellos(), n, 2)
	}}
	db, _ := playOdd(t, o, "")
	got := cell(t, db, "SELECT string_agg(prompt_tokens::VARCHAR, ' ' ORDER BY turn_id) FROM raw.turn") + ": " + events(t, db, "context%")
	if got != "7 12 8: context_truncated 3" {
		t.Error(got)
	}
	// a longer prompt has more tokens than a shorter one that it contains
	o = &clienttest.OddServer{Chat: func(w http.ResponseWriter, n int, _ []data.Message) {
		clienttest.WriteReply(w, clienttest.Hellos(), min(n, 12), 2)
	}}
	db, _ = playOdd(t, o, "")
	if got := events(t, db, "context%"); got != "context_truncated 3" {
		t.Error(got)
	}
	// the usage says fewer tokens than the server's /tokenize
	tokens := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tokens":[1,2,3,4,5,6,7,8,9,10,11,12]}`) }
	o = &clienttest.OddServer{Tokenize: tokens, Chat: func(w http.ResponseWriter, _ int, _ []data.Message) {
		clienttest.WriteReply(w, clienttest.Hellos(), 7, 2)
	}}
	db, _ = playOdd(t, o, "")
	if got := events(t, db, "context%"); got != "context_truncated 1, context_truncated 2, context_truncated 3" {
		t.Error(got)
	}
}

// An event tells of a usage that does not match the text: fewer completion tokens than events with text, or too few tokens for the prompt.
func TestUsageDisagrees(t *testing.T) {
	eight := strings.Repeat(clienttest.Word("seven "), 8)
	letters := strings.Repeat(clienttest.Word("a"), 8)
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
		o := &clienttest.OddServer{Chat: func(w http.ResponseWriter, _ int, _ []data.Message) {
			clienttest.WriteReply(w, c.events, c.prompt, c.completion)
		}}
		db, _ := playOdd(t, o, "")
		const q = "SELECT coalesce(any_value(kind || ' ' || turn_id), '') FROM raw.event WHERE kind = 'usage_disagrees' AND turn_id = 1"
		if got := cell(t, db, q); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// When something on the way holds events back and sends them at once, there is no time per token, and an event tells why.
func TestBuffered(t *testing.T) {
	o := &clienttest.OddServer{Chat: func(w http.ResponseWriter, n int, _ []data.Message) {
		time.Sleep(40 * time.Millisecond)
		for range 4 {
			fmt.Fprintf(w, "data: %s\n\n", clienttest.Delta("a "))
		}
		clienttest.WriteReply(w, "", n, 4)
	}}
	db, _ := playOdd(t, o, "")
	figures := cell(t, db, "SELECT count(tpot_ms) || ' ' || count(decode_tokens_per_s) || ' ' || count(*) FROM turns")
	if got := events(t, db, "buffered") + ": " + figures; got != "buffered 1, buffered 2, buffered 3: 0 0 3" {
		t.Error(got)
	}
}

// wb waits for a server that is loading its model. No turn is lost, and the wait is in no figure.
func TestLoading(t *testing.T) {
	busy := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`)
	}
	var lists, chats atomic.Int32
	o := &clienttest.OddServer{
		Models: func(w http.ResponseWriter, _ *http.Request) {
			if lists.Add(1) == 1 {
				busy(w)
				return
			}
			fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
		},
		Chat: func(w http.ResponseWriter, n int, _ []data.Message) {
			if chats.Add(1) == 1 {
				w.Header().Set("Content-Type", "application/json")
				busy(w)
				return
			}
			clienttest.WriteReply(w, clienttest.Hellos(), n, 2)
		}}
	db, res := playOdd(t, o, "")
	if got := events(t, db, "server_loading"); res.Turns != 3 || res.Failed != 0 || got != "server_loading 1" || lists.Load() < 2 {
		t.Errorf("%+v, events %q, models asked for %d times", res, got, lists.Load())
	}
	if n := count(t, db, "SELECT count(*) FROM turns WHERE ttft_ms > 500 OR status <> 'ok'"); n != 0 {
		t.Errorf("%d turns have the wait in them", n)
	}
}

// absence is a server that lacks something, or does something wrong, and what wb finds.
type absence struct {
	name   string
	server *clienttest.OddServer
	model  string
	want   string // events
	kind   engine.Kind
	series int64 // of a scrape
	ids    bool
}

func absences() []absence {
	const counters = "# TYPE vllm:prefix_cache_queries_total counter\n" +
		"vllm:prefix_cache_queries_total{engine=\"0\"} 7.0\n" +
		"vllm:prefix_cache_hits_total 3.0\n" +
		"vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1.0\n"
	const llamaCounters = "# TYPE llamacpp:x counter\nllamacpp:x 3\nllamacpp:y{a=\"b\"} 4 1790000000000\n"
	page := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	quoted, _ := json.Marshal(counters)
	const neither = "no_metrics, no_tokenize"
	const noList = "no_metrics, no_models, no_tokenize"
	return []absence{
		{"nothing but chat", &clienttest.OddServer{}, "", neither, engine.KindOpenAI, 0, false},
		{"llama.cpp's tokenize", &clienttest.OddServer{
			Tokenize: page(`{"tokens":[]}`),
		}, "", neither, engine.KindOpenAI, 0, false},
		{"a page that has the word", &clienttest.OddServer{
			Tokenize: page(`<script>x={"tokens":1}</script>`),
		}, "", neither, engine.KindOpenAI, 0, false},
		{"ids that are texts", &clienttest.OddServer{
			Tokenize: page(`{"tokens":["a","b"]}`),
		}, "", neither, engine.KindOpenAI, 0, false},
		{"a count that disagrees", &clienttest.OddServer{
			Tokenize: page(`{"tokens":[1,2],"count":9}`),
		}, "", neither, engine.KindOpenAI, 0, false},
		{"tokenize that fails", &clienttest.OddServer{Tokenize: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "crashed", http.StatusInternalServerError)
		}}, "", neither, engine.KindOpenAI, 0, false},
		{"tokenize that hangs", &clienttest.OddServer{Tokenize: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // without this the server does not notice that the client hangs up
			<-r.Context().Done()
		}, Metrics: page(counters)}, "", "no_tokenize", engine.KindVLLM, 3, false},
		{"tokenize", &clienttest.OddServer{
			Tokenize: page(`{"tokens":[1,2,3,4,5,6,7],"count":7}`),
			Metrics:  page(counters),
		}, "", "", engine.KindVLLM, 3, true},
		{"one bad line", &clienttest.OddServer{
			Metrics: page(counters + "slots -nan\nok 1\n"),
		}, "", "metrics_line, no_tokenize", engine.KindVLLM, 4, false},
		{"one JSON text", &clienttest.OddServer{
			Metrics: page(string(quoted)),
		}, "", "no_tokenize", engine.KindVLLM, 3, false},
		{"carriage returns", &clienttest.OddServer{
			Metrics: page(strings.ReplaceAll(counters, "\n", "\r\n")),
		}, "", "no_tokenize", engine.KindVLLM, 3, false},
		{"another's counters", &clienttest.OddServer{
			Metrics: page(llamaCounters),
		}, "", "no_props, no_tokenize", engine.KindLlamaCpp, 2, false},
		{"no counters", &clienttest.OddServer{
			Metrics: page(`{"error":"unknown endpoint"}`),
		}, "", neither, engine.KindOpenAI, 0, false},
		{"no list", &clienttest.OddServer{Models: http.NotFound}, "named", noList, engine.KindOpenAI, 0, false},
		{"an empty list", &clienttest.OddServer{
			Models: page(`{"object":"list","data":null}`),
		}, "named", noList, engine.KindOpenAI, 0, false},
		{"a list of another form", &clienttest.OddServer{Models: page(`[]`)}, "named", noList, engine.KindOpenAI, 0, false},
	}
}

// Kinds F and G: a check finds each thing that a server lacks, or that it has and does wrong. It takes two seconds at most, and makes one
// event.
func TestAbsences(t *testing.T) {
	for _, c := range absences() {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			db, res := playOdd(t, c.server, c.model)
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			if res.Turns != 3 || res.Failed != 0 {
				t.Errorf("%+v", res)
			}
			got := cell(t, db, `SELECT coalesce(string_agg(kind, ', ' ORDER BY kind), '') FROM raw.event
				WHERE kind LIKE 'no\_%' ESCAPE '\' AND kind NOT IN ('no_gpu') OR kind LIKE 'metrics%'`)
			if got != c.want {
				t.Errorf("events %q, want %q", got, c.want)
			}
			got = cell(t, db, "SELECT kind || ' ' || has_tokenize || ' ' || has_metrics FROM raw.engine")
			if got != fmt.Sprint(string(c.kind), " ", c.ids, " ", c.series > 0) {
				t.Errorf("engine is %s", got)
			}
			if n := count(t, db, "SELECT count(*) FROM raw.engine_metric"); n != 8*c.series {
				t.Errorf("%d values were recorded, want those of 8 readings of %d", n, c.series)
			}
		})
	}
}

// Kind F: when /metrics answered before the run and fails during it, one event tells of it.
func TestMetricsLost(t *testing.T) {
	var n atomic.Int32
	o := &clienttest.OddServer{Metrics: func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) > 2 {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "llamacpp:requests_processing 0")
	}}
	db, res := playOdd(t, o, "")
	if got := events(t, db, "no_metrics"); res.Failed != 0 || got != "no_metrics -" {
		t.Errorf("%+v, events %s", res, got)
	}
}

func cell(t *testing.T, db *store.DB, q string) string {
	t.Helper()
	var s string
	if err := storetest.Scan(db, q, &s); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return s
}
