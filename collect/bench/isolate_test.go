package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/sim"
	"wb/collect/target"
	"wb/data"
	"wb/store"
)

// recording is a recorded run: its file, its result, and the lines and warnings that a person saw.
type recording struct {
	db           *store.DB
	res          *Result
	said, warned []string
}

// recordRun plays a job against a server and records it in a new file.
func recordRun(t *testing.T, url string, p Job) (r recording, err error) {
	t.Helper()
	p.Start = time.Now()
	r.db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.db.Close() })
	c, err := client.New(url, "", func() int64 { return int64(time.Since(p.Start)) })
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Probe(t.Context(), c, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.res, err = Run(t.Context(), r.db, &target.Target{Client: c, Server: e}, p, Watch{
		Warn: func(s string) { r.warned = append(r.warned, s) },
		Say:  func(s string) { r.said = append(r.said, s) },
	})
	return r, err
}

// runAgainst records a run of two turns against a server, with two repeats unless change says otherwise.
// It gives the file, the result and the warnings.
func runAgainst(t *testing.T, url string, change func(*Job)) (*store.DB, *Result, []string, error) {
	t.Helper()
	conv := &data.Conversation{ID: "two", Title: "Two turns", System: strings.Repeat("Answer in one word. ", 20),
		Turns: []data.Turn{{User: "One?"}, {User: "Two?"}}}
	p := Job{RunSpec: RunSpec{Name: "r", Load: Load{Isolation: IsolationNone}, Prompting: Prompting{MaxTokens: 4}},
		Build:         Build{WbVersion: "x", DuckDBVersion: "x"},
		Conversations: []*data.Conversation{conv},
		Repeats:       2}
	change(&p)
	r, err := recordRun(t, url, p)
	return r.db, r.res, r.warned, err
}

// simBehind starts a simulator behind a handler that may answer instead of it, and gives the URL.
func simBehind(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	s, err := sim.New(sim.Options{Profile: "instant"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	h := httptest.NewServer(wrap(s.Handler()))
	t.Cleanup(func() { h.Close(); stop(); <-done })
	return h.URL
}

func unchanged(h http.Handler) http.Handler { return h }

func TestReset(t *testing.T) {
	db, _, warned, err := runAgainst(t, simBehind(t, unchanged), func(p *Job) { p.Isolation = IsolationReset })
	if err != nil {
		t.Fatal(err)
	}
	got := cell(t, db, "SELECT string_agg(cached_tokens::VARCHAR, ' ' ORDER BY turn_id) || ' ' || any_value(isolation) FROM turns")
	f := strings.Fields(got)
	if !strings.HasPrefix(got, "0 ") || !strings.HasSuffix(got, " reset") || f[2] != "0" || f[1] == "0" {
		t.Errorf("cached tokens are %s", got)
	}
	for _, w := range warned {
		if strings.Contains(w, "isolation") {
			t.Error(w)
		}
	}
	for _, tt := range []struct {
		name string
		wrap func(http.ResponseWriter)
		want string
	}{
		{"it does nothing and answers 200", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, "the cache still holds"},
		{"it is not there", func(w http.ResponseWriter) {
			http.Error(w, `{"detail":"Not Found"}`, http.StatusNotFound)
		}, "the server has no /reset_prefix_cache"},
		{"it refuses", func(w http.ResponseWriter) { fmt.Fprint(w, `{"success": false}`) }, "it was refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := simBehind(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/reset_prefix_cache" {
						tt.wrap(w)
						return
					}
					h.ServeHTTP(w, r)
				})
			})
			db, res, _, err := runAgainst(t, url, func(p *Job) { p.Isolation = IsolationReset })
			var e *engine.ResetError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(e.Hint(), "--isolation salt") {
				t.Errorf("%v", err)
			}
			if res.Status != "failed" {
				t.Errorf("status %s", res.Status)
			}
			if got := cell(t, db, "SELECT count(*)::VARCHAR FROM turns"); got != "0" {
				t.Errorf("%s turns were measured all the same", got)
			}
		})
	}
}

// There is a warning when a server finds cached tokens of an earlier session in spite of the salt.
func TestSaltIsChecked(t *testing.T) {
	url := simBehind(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/chat/completions" { // as a proxy does that drops fields it does not know
				var body map[string]any
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				delete(body, "cache_salt")
				b, err := json.Marshal(body)
				if err != nil {
					t.Error(err)
				}
				r = r.Clone(r.Context())
				r.Body, r.ContentLength = http.NoBody, int64(len(b))
				r.Body = readCloser{strings.NewReader(string(b))}
			}
			h.ServeHTTP(w, r)
		})
	})
	db, _, warned, err := runAgainst(t, url, func(p *Job) { p.Isolation = IsolationSalt })
	if err != nil || !strings.Contains(strings.Join(warned, "\n"), "in spite of --isolation salt") {
		t.Errorf("%v: %q", err, warned)
	}
	if got := cell(t, db, "SELECT count(*)::VARCHAR FROM raw.event WHERE kind = 'not_isolated'"); got != "1" {
		t.Errorf("%s events", got)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// Releases of vLLM up to 0.22 do not report cached tokens when there are none. Their counters show it, when no other client sends requests.
// The answers are recorded ones.
func TestOldReleases(t *testing.T) {
	for _, release := range []string{"vllm-0.17-cpu", "vllm-0.22-cpu"} {
		for _, alone := range []bool{true, false} {
			t.Run(fmt.Sprint(release, " alone ", alone), func(t *testing.T) {
				read := func(name string) string {
					b, err := os.ReadFile(filepath.Join("..", "serve", "testdata", "answers", release, name))
					if err != nil {
						t.Fatal(err)
					}
					return string(b)
				}
				answer := func(w http.ResponseWriter, raw, contentType string) {
					_, body, _ := strings.Cut(raw, "\n\n")
					w.Header().Set("Content-Type", contentType)
					fmt.Fprint(w, body)
				}
				var asked, scraped atomic.Int32
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/version":
						answer(w, read("version.txt"), "application/json")
					case "/v1/models":
						fmt.Fprint(w, `{"data": [{"id": "smollm2-135m", "owned_by": "vllm", "max_model_len": 8192}]}`)
					case "/v1/chat/completions":
						asked.Add(1)
						answer(w, read(fmt.Sprintf("chat%d.raw", asked.Load())), "text/event-stream")
					case "/metrics":
						// as the counters were before and after these requests: each looked up 320 tokens, and the second found 256
						n := int(asked.Load())
						if !alone {
							n += int(scraped.Add(1)) // requests of another client
						}
						_, text, _ := strings.Cut(read("metrics_before.txt"), "\n\n")
						for name, v := range map[string]int{"prefix_cache_queries_total": 320 * n, "prefix_cache_hits_total": 256 * max(0, n-1)} {
							text = replaceSeries(text, "vllm:"+name, v)
						}
						const stopped = `finished_reason="stop",model_name="smollm2-135m"} `
						fmt.Fprint(w, strings.Replace(text, stopped+"0.0", stopped+fmt.Sprint(n), 1))
					default:
						http.NotFound(w, r)
					}
				}))
				defer srv.Close()
				db, _, _, err := runAgainst(t, srv.URL, func(p *Job) { p.Repeats = 1 })
				if err != nil {
					t.Fatal(err)
				}
				want := "0 256"
				if !alone {
					want = "NULL 256"
				}
				if got := cell(t, db, "SELECT string_agg(coalesce(cached_tokens::VARCHAR, 'NULL'), ' ' ORDER BY turn_id) FROM turns"); got != want {
					t.Errorf("cached tokens %s, want %s", got, want)
				}
			})
		}
	}
}

func replaceSeries(text, name string, v int) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, name+"{") {
			lines[i] = l[:strings.LastIndexByte(l, ' ')+1] + fmt.Sprint(v)
		}
	}
	return strings.Join(lines, "\n")
}
