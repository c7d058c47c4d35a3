package client

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"wb/collect/client/clienttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The archives hold every stream that was recorded of three builds of llama.cpp's server, byte for byte. The golden files hold the rows
// that are recorded of them.
func TestLlamaCppStreams(t *testing.T) {
	archives, err := os.ReadDir("testdata/llamacpp")
	if err != nil {
		t.Fatal(err)
	}
	streams := 0
	for _, a := range archives {
		if filepath.Ext(a.Name()) != ".streams" {
			continue
		}
		path := filepath.Join("testdata", "llamacpp", a.Name())
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, f := range archive.Files {
			streams++
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(f.Data)), nil)
			if err != nil {
				t.Fatal(f.Name, err)
			}
			body, _ := io.ReadAll(resp.Body) // a body that was cut short counts too
			resp.Body.Close()
			re := decodeAt(t, 1e12, string(body)) // longer than any of the recorded times
			fmt.Fprintf(&got, "-- %s --\n%s%s\n", f.Name, rows(re), serverRow(re.Server))
			if doubts := serverDoubts(re); doubts != "" {
				t.Errorf("%s: %s", f.Name, doubts)
			}
		}
		golden := strings.TrimSuffix(path, ".streams") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != got.String() {
			t.Errorf("%s differs from what is decoded (%v); -update writes it anew:\n%s", golden, err, got.String())
		}
	}
	if streams != 45 {
		t.Errorf("%d streams, want 45", streams)
	}
}

func serverRow(s *ServerTimes) string {
	if s == nil {
		return "the server says no times"
	}
	return fmt.Sprintf("%s: queue %s, prefill %s, decode %s ms; cached %s, prefill %s, decode %s, drafts %s, accepted %s", s.Source,
		num(s.QueueMs), num(s.PrefillMs), num(s.DecodeMs), num(s.CachedTokens), num(s.PrefillTokens), num(s.DecodeTokens),
		num(s.DraftTokens), num(s.DraftTokensAccepted))
}

// serverDoubts says where the usage and the timings of a reply differ.
func serverDoubts(re *Reply) string {
	s := re.Server
	if s == nil || re.Status != StatusOK {
		return ""
	}
	if *s.CachedTokens != *re.CachedTokens || *s.CachedTokens+*s.PrefillTokens != *re.PromptTokens ||
		*s.DecodeTokens != *re.CompletionTokens {
		return fmt.Sprintf("the usage says %d, %d and %d tokens, and the timings %s", *re.PromptTokens, *re.CachedTokens,
			*re.CompletionTokens, serverRow(s))
	}
	return ""
}

// What a server says of its times is compared with the usage and with what the client saw. What cannot be right stays unknown, and does
// not spoil the rest.
func TestServerTimes(t *testing.T) {
	for _, c := range []struct{ member, raw, want, doubt string }{
		{"timings", `{"cache_n":3,"prompt_n":6,"prompt_ms":1.5,"predicted_n":4,"predicted_ms":9,"draft_n":4,"draft_n_accepted":1}`,
			"timings: queue nil, prefill 1.5, decode 9 ms; cached 3, prefill 6, decode 4, drafts 4, accepted 1", ""},
		{"timings", `{"cache_n":"3","prompt_n":-6,"prompt_ms":"soon","predicted_n":2.5,"predicted_ms":9}`,
			"timings: queue nil, prefill nil, decode 9 ms; cached 3, prefill nil, decode nil, drafts nil, accepted nil", ""},
		{"timings", `{"prompt_ms":-1,"predicted_ms":1e300}`, "the server says no times", ""},
		{"timings", `"none"`, "the server says no times", ""},
		{"timings", `{"prompt_ms":5000,"predicted_ms":90000}`,
			"timings: queue nil, prefill nil, decode nil ms; cached nil, prefill nil, decode nil, drafts nil, accepted nil",
			"timings: prefill took 5000.0 ms, and the first token came after 100.0 ms; " +
				"timings: decoding took 90000.0 ms, and the whole reply 100.0 ms"},
		{"timings", `{"cache_n":500,"prompt_n":6,"prompt_ms":1,"predicted_n":24,"draft_n":9,"draft_n_accepted":4}`,
			"timings: queue nil, prefill 1, decode nil ms; cached nil, prefill nil, decode nil, drafts nil, accepted nil",
			"timings: 500 cached and 6 computed tokens, of a prompt of 9; timings: 24 generated tokens, and the usage says 4; " +
				"timings: 4 drafts were accepted, which are too many"},
		{"timings", `{"prompt_n":9,"cache_n":0,"prompt_ms":0,"predicted_n":4,"predicted_ms":0}`,
			"timings: queue nil, prefill nil, decode nil ms; cached 0, prefill 9, decode 4, drafts nil, accepted nil", ""},
		{"metrics", `{"time_to_first_token_ms":31.4,"generation_time_ms":84.2,"queue_time_ms":0.03,"mean_itl_ms":3.7}`,
			"metrics: queue 0.03, prefill 31.4, decode 84.2 ms; cached nil, prefill nil, decode nil, drafts nil, accepted nil", ""},
		{"metrics", `{"queue_time_ms":null}`, "the server says no times", ""},
		{"metrics", `[1]`, "the server says no times", ""},
	} {
		text := `data: {"choices":[{"index":0,"delta":{"content":"a b"}}],"timings":{"prompt_ms":77}}` + "\n\n"
		last := `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4},"` +
			c.member + `":` + c.raw + "}\n\n"
		re := decodeAt(t, 100e6, text, last)
		if got := serverRow(re.Server); got != c.want || strings.Join(re.Doubts, "; ") != c.doubt {
			t.Errorf("%s %s: %s, %q; want %s", c.member, c.raw, got, re.Doubts, c.want)
		}
	}
}

// A usage says more than timings, also where it says 0. Without a usage the timings count.
func TestUsageBeforeTimings(t *testing.T) {
	const timings = `"timings":{"prompt_n":2,"cache_n":7,"predicted_n":1,"prompt_ms":1}` + "}\n\n"
	text := `data: {"choices":[{"index":0,"delta":{"content":"a"}}],` + timings
	ended := `data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}],` + timings
	usage := `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0}}}` + "\n\n"
	for _, c := range []struct{ stream, want string }{{text + ended + usage, "9 0 1"}, {text + ended, "9 7 1"}} {
		re := decodeAll(t, c.stream)
		if got := num(re.PromptTokens) + " " + num(re.CachedTokens) + " " + num(re.CompletionTokens); got != c.want || re.Status != StatusOK {
			t.Errorf("%s: %s %s, want %s", c.stream, got, re.Status, c.want)
		}
	}
}

// llama.cpp's server closes a connection after a stream without saying so. With a new connection for each turn no turn meets a closed one.
func TestFreshConnections(t *testing.T) {
	var closes atomic.Int32
	var connections sync.Map
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections.Store(r.RemoteAddr, true)
		if r.Close {
			closes.Add(1)
		}
		clienttest.WriteReply(w, clienttest.Word("Hello"), 9, 1)
	}))
	defer srv.Close()
	c := testClient(t, srv.URL, "")
	req := hello()
	req.VLLM, req.Fresh = false, true
	for range 3 {
		if re := c.Turn(t.Context(), req, time.Minute); re.Status != StatusOK || re.Reused == nil || *re.Reused {
			t.Errorf("%s %s, reused %s", re.Status, re.Err, num(re.Reused))
		}
	}
	n := 0
	connections.Range(func(any, any) bool { n++; return true })
	if n != 3 || closes.Load() != 3 {
		t.Errorf("%d connections, %d of them announced as the last", n, closes.Load())
	}
}
