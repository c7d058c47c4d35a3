package bench

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wb/collect/client"
	"wb/collect/sim"
	"wb/collect/target"
	"wb/data"
)

// slowTokenizer starts a simulator behind a handler that delays /tokenize and counts its requests.
func slowTokenizer(t *testing.T, late time.Duration, asked *atomic.Int32) string {
	t.Helper()
	return simBehind(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/tokenize" {
				if asked.Add(1) > 2 { // the first two requests are those of the probe
					time.Sleep(late)
				}
			}
			h.ServeHTTP(w, r)
		})
	})
}

const pauses = `SELECT round(max(pause))::INTEGER::VARCHAR FROM (
	SELECT (submit_ns - lag(done_ns) OVER (PARTITION BY client_user ORDER BY submit_ns)) / 1e6 AS pause FROM measured_turns)`

// Token ids are asked for while users play, so a slow /tokenize delays no turn. In the end every turn has its ids and causes.
func TestUsersDoNotWaitForTokenIDs(t *testing.T) {
	var asked atomic.Int32
	url := slowTokenizer(t, 300*time.Millisecond, &asked)
	db, res, warned, err := runAgainst(t, url, func(p *Job) { p.Users = 4; p.Repeats = 1; p.Isolation = IsolationSalt })
	if err != nil || res.Turns != 8 || len(warned) != 0 {
		t.Fatalf("%+v %q (%v)", res, warned, err)
	}
	if got := cell(t, db, pauses); len(got) > 2 { // ms
		t.Errorf("a turn waited %s ms for the one before", got)
	}
	for q, want := range map[string]int64{
		"SELECT count(DISTINCT turn_id) FROM raw.turn_token WHERE kind = 'prompt'": 8,
		"SELECT count(*) FROM cache_turns WHERE as_predicted":                      8,
		`SELECT count(*) FROM turns t WHERE prompt_tokens - cached_tokens <>
			(SELECT sum(tokens) FROM raw.cache_miss m WHERE m.run_id = t.run_id AND m.turn_id = t.turn_id)`: 0,
		"SELECT count(*) FROM sessions WHERE status = 'ok' AND ended_ns IS NOT NULL": 4,
	} {
		if got := count(t, db, q); got != want {
			t.Errorf("%s gives %d, want %d", q, got, want)
		}
	}
	if n := asked.Load(); n != 2+8*2 { // prompts and replies
		t.Errorf("/tokenize was asked %d times", n)
	}
}

// /tokenize is not asked when no token ids are wanted, nor when the stream brings them.
func TestTokenIDs(t *testing.T) {
	for ids, want := range map[string]string{TokenIDsNone: "2 0 0 none", TokenIDsPrompt: "10 4 4 prompt", TokenIDsAll: "2 8 4 all"} {
		var asked atomic.Int32
		db, _, _, err := runAgainst(t, slowTokenizer(t, 0, &asked), func(p *Job) { p.TokenIDs = ids; p.Isolation = IsolationSalt })
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(asked.Load(), " ", cell(t, db, `SELECT concat_ws(' ',
			(SELECT count(DISTINCT (turn_id, kind)) FROM raw.turn_token), (SELECT count(*) FROM cache_turns WHERE as_predicted),
			(SELECT value FROM raw.setting WHERE name = 'token_ids'))`))
		if got != want {
			t.Errorf("%s: %s, want %s", ids, got, want)
		}
	}
}

// A prompt that does not fit into the context is not sent. Only when a prompt might not fit is the server asked for its token ids first.
func TestOverflowIsFoundBefore(t *testing.T) {
	for _, c := range []struct {
		limit, maxTokens int64
		want             string
	}{
		{100_000, 4, "ok 4, ok 4"},
		{120, 4, "ok 4, overflow 4"},
		{124, 50, "ok 11, overflow 50"}, // max_tokens is reduced to what is left
	} {
		url := simBehind(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/models" {
					fmt.Fprintf(w, `{"data": [{"id": "simulated", "owned_by": "vllm", "max_model_len": %d}]}`, c.limit)
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		db, _, _, err := runAgainst(t, url, func(p *Job) {
			p.MaxTokens, p.Repeats, p.IgnoreEOS, p.Isolation = int(c.maxTokens), 1, true, IsolationSalt
		})
		if err != nil {
			t.Fatal(err)
		}
		got := cell(t, db, `SELECT string_agg(concat_ws(' ', status, max_tokens), ', ' ORDER BY turn_id)
			|| ' of ' || string_agg(prompt_tokens::VARCHAR, ', ' ORDER BY turn_id) FROM turns`)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("context of %d: %s, want %s", c.limit, got, c.want)
		}
	}
}

// Each repeat has the same causes of misses as the first, whichever user plays it. A repeat is not traffic to another repeat.
func TestRepeatsHaveTheSameCauses(t *testing.T) {
	talk := &data.Conversation{ID: "rag", Title: "rag", System: strings.Repeat("Answer from the document. ", 30),
		Documents: []data.Document{{ID: "d", Text: strings.Repeat("The pump was opened on Monday. ", 40)}},
		Turns: []data.Turn{{User: "One?", Assistant: "First."},
			{User: "Two?", Inject: []string{"d"}, Assistant: "Second. " + strings.Repeat("More of it. ", 20)},
			{User: "Three?", Remove: []string{"d"}, Assistant: "Third."},
			{User: "You said: " + strings.Repeat("More of it. ", 20), Assistant: "Fourth."}}}
	other := &data.Conversation{ID: "other", Title: "other", System: talk.System,
		Turns: []data.Turn{{User: "Something else?", Assistant: "Yes."}}}
	const causes = `SELECT count(DISTINCT causes)::VARCHAR || ' ' || count(*)::VARCHAR || ' ' || any_value(causes) FROM (
		SELECT repeat, string_agg(concat_ws(' ', conversation, turn, cause, tokens), ', ' ORDER BY conversation, turn, cause) AS causes
		FROM cache_misses WHERE NOT warmup GROUP BY repeat)`
	whole := ""
	for _, c := range []struct {
		users, repeat int
		isolation     Isolation
	}{{1, 1, IsolationSalt}, {1, 6, IsolationSalt}, {3, 2, IsolationSalt}, {1, 3, IsolationReset}} {
		url := simBehind(t, unchanged)
		db, _, warned, err := runAgainst(t, url, func(p *Job) {
			p.Conversations, p.Users, p.Repeats, p.Isolation = []*data.Conversation{talk, other}, c.users, c.repeat, c.isolation
			p.Replies, p.Warmup, p.IgnoreEOS = RepliesScripted, 1, true
		})
		if err != nil || len(warned) != 0 {
			t.Fatalf("%q (%v)", warned, err)
		}
		got, _, _ := strings.Cut(cell(t, db, causes), "\n")
		distinct, rest, _ := strings.Cut(got, " ")
		n, what, _ := strings.Cut(rest, " ")
		if whole == "" {
			whole = what
			for _, part := range []string{"rag 1 new_text", "rag 2 changed_text", "rag 2 new_text", "rag 3 changed_text", "other 1 isolation"} {
				if !strings.Contains(what, part) {
					t.Errorf("no %s in %s", part, what)
				}
			}
			for _, part := range []string{"rag 1 isolation", "rag 4 changed_text"} {
				if strings.Contains(what, part) {
					t.Errorf("%s in %s", part, what)
				}
			}
		}
		if c.users == 1 && (distinct != "1" || n != fmt.Sprint(c.repeat) || what != whole) {
			t.Errorf("%+v: %s different ones of %s\n%s\n%s", c, distinct, n, what, whole)
		}
		// each user begins with another conversation, so first turns differ in what was sent before them
		got = cell(t, db, strings.Replace(causes, "WHERE NOT warmup", "WHERE NOT warmup AND turn > 1", 1))
		if c.users > 1 && !strings.HasPrefix(got, "1 6 ") {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// A full backlog makes users wait until there is room. After an error nothing is accepted.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := 0
		b := newBacklog(func() { full++ })
		big := func() finished {
			return finished{turn: &finishedTurn{re: &client.Reply{RequestBytes: backlogBytes/2 + 1}}}
		}
		if err := errors.Join(b.push(finished{end: nil}), b.push(big())); err != nil {
			t.Fatal(err)
		}
		pushed := make(chan error, 2)
		go func() { pushed <- b.push(big()) }()
		synctest.Wait()
		if len(pushed) != 0 || full != 1 || b.waiting() != 2 {
			t.Fatalf("a full backlog accepts more: full %d, waiting %d", full, b.waiting())
		}
		<-b.order
		b.done(<-b.order, nil)
		synctest.Wait()
		if err := <-pushed; err != nil || b.waiting() != 2 {
			t.Fatalf("%v, waiting %d", err, b.waiting())
		}
		go func() { pushed <- b.push(big()) }()
		synctest.Wait()
		broken := errors.New("the disk is full")
		b.done(<-b.order, broken)
		if err := <-pushed; !errors.Is(err, broken) || full != 1 {
			t.Errorf("%v, full %d", err, full)
		}
		if err := b.push(finished{}); !errors.Is(err, broken) {
			t.Error(err)
		}
		b.close()
	})
}

// The rate shown for several users counts tokens when they come, not when their turns end.
func TestTokensAreCountedAsTheyCome(t *testing.T) {
	_, db, c, e, start := against(t, sim.Options{Profile: "eager", MaxNumSeqs: 64})
	talk := &data.Conversation{ID: "a", Title: "a", Turns: []data.Turn{{User: "x"}}}
	var during, after float64
	last := LoadInfo{}
	plan := Job{RunSpec: RunSpec{Load: Load{Users: 2, Isolation: IsolationSalt}, Prompting: Prompting{MaxTokens: 200, IgnoreEOS: true}},
		Repeats:       1,
		Start:         start,
		Conversations: []*data.Conversation{talk}}
	_, err := Run(t.Context(), db, &target.Target{Client: c, Server: e}, plan, Watch{Load: func(c LoadInfo) {
		if c.Turns == 0 {
			during = c.TokensPerS
		}
		after = max(after, c.TokensPerS)
		last = c
	}})
	if err != nil || during < 50 || after > 1000 || last.Turns != 2 || last.Sessions != 2 {
		t.Errorf("%.0f tokens/s during the turns, at most %.0f, last %+v (%v)", during, after, last, err)
	}
}
