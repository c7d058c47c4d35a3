package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/collect/client/clienttest"
	"wb/data"
	"wb/store"
)

// caching is a server that is not vLLM. It has a prefix cache, in which each word is a token, and reports cached tokens.
type caching struct {
	mu   sync.Mutex
	sent [][]string
}

func (c *caching) chat(w http.ResponseWriter, prompt int, messages []data.Message) {
	var words []string
	for _, m := range messages {
		words = append(append(words, m.Role), strings.Fields(m.Content)...)
	}
	c.mu.Lock()
	cached := 0
	for _, s := range c.sent {
		n := 0
		for n < min(len(s), len(words)) && s[n] == words[n] {
			n++
		}
		cached = max(cached, n)
	}
	c.sent = append(c.sent, words)
	c.mu.Unlock()
	fmt.Fprint(w, clienttest.Hellos()+clienttest.Ended("length")+usedCached(len(words), min(cached, len(words)-1)))
}

// usedCached gives the usage of a reply of two tokens.
func usedCached(prompt, cached int) string {
	const usage = `{"prompt_tokens":%d,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":%d}}`
	return clienttest.Used(fmt.Sprintf(usage, prompt, cached))
}

// playing plays two conversations against a server, three times unless change says otherwise.
func playing(t *testing.T, server http.Handler, change func(*Job)) (db *store.DB, said, warned []string) {
	t.Helper()
	srv := httptest.NewServer(server)
	t.Cleanup(srv.Close)
	p := Job{RunSpec: RunSpec{Prompting: Prompting{MaxTokens: 8}},
		Repeats: 3}
	for i, id := range []string{"talk", "bare"} {
		asked := "What was done on Monday? " + strings.Repeat("Tell me more. ", 30)
		talk := &data.Conversation{ID: id, Title: id, Turns: []data.Turn{{User: asked}, {User: "And on Tuesday?"}}}
		if i == 0 {
			talk.System = "Be brief. " + strings.Repeat("Say no more than is needed. ", 20)
		}
		p.Conversations = append(p.Conversations, talk)
	}
	change(&p)
	r, err := recordRun(t, srv.URL, p)
	if err != nil {
		t.Fatal(err)
	}
	return r.db, r.said, r.warned
}

const firstTurns = `SELECT string_agg(concat_ws(' ', conversation, repeat, isolation, began_warm, first_cached_tokens < 12), ', '
	ORDER BY session_id) FROM sessions WHERE NOT warmup`

// When a server takes no salt, a line at the head of the prompts keeps sessions apart. All lines have the same length.
// Repeats are as cold as the first pass, and the isolation is recorded.
func TestIsolationByLine(t *testing.T) {
	server := &clienttest.OddServer{Chat: (&caching{}).chat}
	db, said, warned := playing(t, server, func(p *Job) { p.Warmup = 1 })
	if got := cell(t, db, firstTurns); got != "talk 1 line false true, bare 1 line false true, talk 2 line false true, "+
		"bare 2 line false true, talk 3 line false true, bare 3 line false true" {
		t.Error(got) // all sessions share the role and the line's first two words, and by chance sometimes one more word
	}
	if got := cell(t, db, "SELECT value FROM raw.setting WHERE source = 'plan' AND name = 'isolation'"); got != "line" {
		t.Errorf("recorded: %s", got)
	}
	if got := cell(t, db, `SELECT string_agg(DISTINCT x, ', ' ORDER BY x)
		FROM (SELECT concat_ws(' ', conversation, turn, prompt_tokens, request_bytes) AS x FROM measured_turns)`); strings.Count(got, ",") != 3 {
		t.Errorf("lines differ in length: %s", got)
	}
	if got := cell(t, db, "SELECT count(*)::VARCHAR FROM measured_turns WHERE turn = 2 AND hit_ratio < 0.5"); got != "0" {
		t.Errorf("%s second turns found little of the first", got)
	}
	if got := cell(t, db, `SELECT count(DISTINCT split_part(content, chr(10), 1))::VARCHAR
		FROM prompts JOIN turns USING (run_id, turn_id) WHERE position = 1 AND turns.turn = 1`); got != "7" {
		t.Errorf("%s lines of 7 sessions", got)
	}
	if len(warned) != 0 || len(said) != 1 || !strings.Contains(said[0], "a line at the head of each session's prompts") {
		t.Errorf("said %q, warned of %q", said, warned)
	}
	// asking for a salt gives a warning; without isolation repeats begin warm, and the view sessions says so
	_, _, warned = playing(t, server, func(p *Job) { p.Isolation = IsolationSalt })
	if len(warned) != 1 || !strings.Contains(warned[0], "takes no cache_salt") {
		t.Errorf("warned of %q", warned)
	}
	db, _, warned = playing(t, &clienttest.OddServer{Chat: (&caching{}).chat}, func(p *Job) { p.Isolation = IsolationNone })
	got := cell(t, db, "SELECT string_agg(began_warm::VARCHAR, ' ' ORDER BY session_id) FROM sessions")
	if got != "false false true true true true" || len(warned) != 0 {
		t.Errorf("%s, warned of %q", got, warned)
	}
	// there is a warning when even the line does not keep sessions apart
	warm := &clienttest.OddServer{Chat: func(w http.ResponseWriter, prompt int, _ []data.Message) {
		fmt.Fprint(w, clienttest.Hellos()+clienttest.Ended("length")+usedCached(prompt, prompt-1))
	}}
	if _, _, warned = playing(t, warm, func(*Job) {}); len(warned) != 6 || !strings.Contains(warned[0], "in spite of --isolation line") {
		t.Errorf("warned of %q", warned)
	}
}

func TestIsolationLine(t *testing.T) {
	seen := map[string]bool{}
	run := uuid.New()
	first := isolationLine(run, 1)
	for i := range int32(1000) {
		line := isolationLine(run, i)
		if seen[line] || len(line) != len(first) || len(strings.Fields(line)) != 14 {
			t.Fatalf("%q", line)
		}
		seen[line] = true
	}
	// Neighbours differ at the first word, so that a server which caches by the token finds equally much at each.
	for i := range int32(300) {
		word := strings.Fields(isolationLine(run, i))[2]
		for j := i + 1; j < i+int32(len(lineWords)); j++ {
			if strings.Fields(isolationLine(run, j))[2] == word {
				t.Fatalf("sessions %d and %d both begin with %q", i, j, word)
			}
		}
	}
	for _, w := range lineWords {
		if len(w) != 4 {
			t.Errorf("%q does not have four letters", w)
		}
	}
}

// Warm-ups go on until three in a row are steady, but at most ten. The run says how many it took, or that the server did not get steady.
func TestWarmups(t *testing.T) {
	for _, c := range []struct {
		took []float64
		want bool
	}{
		{nil, false}, {[]float64{40, 40}, false}, {[]float64{61, 43, 38}, false}, {[]float64{61, 43, 38, 41}, false},
		{[]float64{61, 40, 41, 39}, true},
		{[]float64{40, 40, 40, 80}, false}, {[]float64{100, 95, 105}, true}, {[]float64{100, 94.9, 100}, false}, {[]float64{0, 0, 0}, true},
	} {
		if got := steady(c.took); got != c.want {
			t.Errorf("%v: %v", c.took, got)
		}
	}
	var sent atomic.Int32
	server := &clienttest.OddServer{Chat: func(w http.ResponseWriter, prompt int, _ []data.Message) {
		if n := sent.Add(1); n%2 == 0 && n <= 12 { // longer than a busy machine takes for the others
			time.Sleep(300 * time.Millisecond)
		}
		clienttest.WriteReply(w, clienttest.Hellos(), prompt, 2)
	}}
	warmedUp := "SELECT count(*)::VARCHAR FROM turns WHERE warmup AND conversation = 'talk' AND turn = 1"
	db, said, warned := playing(t, server, func(p *Job) { p.Warmup = WarmupAuto; p.Isolation = IsolationNone })
	const unsteady = "the server did not get steady: no 3 warm-ups in a row lie within 5 % of their median (TTFT of 10 warm-ups: "
	if got := cell(t, db, warmedUp); got != "10" || len(said) != 0 || len(warned) != 1 || !strings.HasPrefix(warned[0], unsteady) {
		t.Errorf("%s warm-ups, said %q, warned of %q", got, said, warned)
	}
	if got := cell(t, db, "SELECT value FROM raw.setting WHERE name = 'warmup'"); got != "auto" {
		t.Errorf("recorded: %s", got)
	}
	even := &clienttest.OddServer{Chat: func(w http.ResponseWriter, prompt int, _ []data.Message) {
		time.Sleep(60 * time.Millisecond) // three of ten lie within 3 ms
		clienttest.WriteReply(w, clienttest.Hellos(), prompt, 2)
	}}
	db, said, warned = playing(t, even, func(p *Job) { p.Warmup = WarmupAuto; p.Isolation = IsolationNone; p.MaxTurns = 1 })
	if got := cell(t, db, warmedUp); len(said) != 1 || said[0] != "the server is steady after "+got+" warm-ups" || len(warned) != 0 {
		t.Errorf("%s warm-ups, said %q, warned of %q", got, said, warned)
	}
	// a failed warm-up ends the warm-ups
	failing := &clienttest.OddServer{Chat: func(w http.ResponseWriter, prompt int, messages []data.Message) {
		if strings.HasPrefix(messages[0].Content, "Session name: ") {
			http.Error(w, `{"error": "not yet"}`, http.StatusBadRequest)
			return
		}
		clienttest.WriteReply(w, clienttest.Hellos(), prompt, 2)
	}}
	db, _, _ = playing(t, failing, func(p *Job) { p.Warmup = WarmupAuto; p.Isolation = IsolationNone })
	if got := cell(t, db, "SELECT message FROM raw.event WHERE kind = 'warmup'"); got != "a warm-up failed (http_error), so no more are sent" {
		t.Error(got)
	}
}

// ignore_eos is sent only to servers that are known to understand it. For other servers the run has a warning.
func TestIgnoreEOS(t *testing.T) {
	for owner, want := range map[string]bool{"me": false, "llamacpp": true} {
		var sent atomic.Int32
		o := &clienttest.OddServer{Models: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"data":[{"id":"m","owned_by":%q}]}`, owner)
		}}
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/chat/completions" {
				o.ServeHTTP(w, r)
				return
			}
			var body struct {
				IgnoreEOS bool `json:"ignore_eos"`
				Stream    bool
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !body.Stream {
				t.Error(err)
			}
			if body.IgnoreEOS {
				sent.Add(1)
			}
			clienttest.WriteReply(w, clienttest.Hellos(), 9, 2)
		})
		_, _, warned := playing(t, server, func(p *Job) { p.IgnoreEOS = true; p.Isolation = IsolationNone })
		told := len(warned) == 1 && strings.HasPrefix(warned[0], "--ignore-eos is not sent")
		if (sent.Load() == 12) != want || told == want {
			t.Errorf("%s: sent %d times, warned of %q", owner, sent.Load(), warned)
		}
	}
}
