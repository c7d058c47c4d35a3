package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wb/collect/client/clienttest"
)

// rawServer answers each request on a connection with what script writes. It closes the connection when script gives false.
func rawServer(t testing.TB, script func(w *bufio.Writer, req *http.Request, body []byte) (keep bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					body, err := io.ReadAll(req.Body)
					if err != nil {
						return
					}
					w := bufio.NewWriter(conn)
					keep := script(w, req, body)
					if w.Flush() != nil || !keep {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func testClient(t testing.TB, url, key string) *Client {
	t.Helper()
	start := time.Now()
	c, err := New(url, key, func() int64 { return int64(time.Since(start)) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hello() Request {
	return Request{Model: "m", Messages: []Message{{Role: "user", Content: "hello"}}, MaxTokens: 8, VLLM: true}
}

func capture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func num[T any](p *T) string {
	if p == nil {
		return "nil"
	}
	return fmt.Sprint(*p)
}

// The files hold what real servers sent, byte for byte. The table says what the client must make of it.
func TestCaptures(t *testing.T) {
	for _, c := range []struct {
		file                            string
		status                          Status
		err                             string
		prompt, cached, completion, fin string
		tokens                          string // token counts of the chunks; "" is not checked
	}{
		{"basic_usage_cont.raw", StatusOK, "", "257", "256", "8", "length", "0 1 1 1 1 1 1 1 1 nil"},
		{"basic_usage_only.raw", StatusOK, "", "257", "256", "8", "length", "nil nil nil nil nil nil nil nil nil nil"},
		{"return_token_ids.raw", StatusOK, "", "257", "256", "8", "length", "nil 1 1 1 1 1 1 1 1 nil"},
		{"cache_salt.raw", StatusOK, "", "257", "0", "8", "length", ""},
		{"no_stream_options.raw", StatusCut, "the stream ended without usage", "nil", "nil", "nil", "length", ""},
		{"kill_enginecore_uni_stream.raw",
			StatusServerError, "the server failed mid-stream: EngineCore encountered an issue", "7", "nil", "936", "nil", ""},
		{"sigkill_api.raw", StatusCut, "the server closed the connection", "nil", "nil", "nil", "nil", ""},
		{"too_long_stream.raw", StatusHTTPError, "HTTP 400: This model's maximum context length is 8192 tokens", "nil", "nil", "nil", "nil", ""},
		{"unknown_model.raw", StatusHTTPError, "HTTP 404: The model `nope` does not exist", "nil", "nil", "nil", "nil", ""},
		{"unknown_path.raw", StatusHTTPError, "HTTP 404: Not Found", "nil", "nil", "nil", "nil", ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			raw := capture(t, c.file)
			url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool { w.Write(raw); return false })
			re := testClient(t, url, "").Turn(context.Background(), hello(), time.Minute)
			if re.Status != c.status || !strings.Contains(re.Err, c.err) {
				t.Errorf("status %s: %s, want %s: %s", re.Status, re.Err, c.status, c.err)
			}
			got := []string{num(re.PromptTokens), num(re.CachedTokens), num(re.CompletionTokens), num(re.FinishReason)}
			if want := []string{c.prompt, c.cached, c.completion, c.fin}; !slices.Equal(got, want) {
				t.Errorf("prompt, cached, completion, finish = %q, want %q", got, want)
			}
			if c.tokens != "" {
				var got []string
				for _, ch := range re.Chunks {
					got = append(got, num(ch.Tokens))
				}
				if s := strings.Join(got, " "); s != c.tokens {
					t.Errorf("tokens of chunks = %s, want %s", s, c.tokens)
				}
			}
			const content = " which option which option which option which option"
			if c.status == StatusOK && (re.Content != content ||
				re.FirstNs == nil || *re.FirstNs < re.SubmitNs || re.DoneNs < *re.LastNs) {
				t.Errorf("content %q, submit %d, first %s, last %s, done %d", re.Content, re.SubmitNs, num(re.FirstNs), num(re.LastNs), re.DoneNs)
			}
		})
	}
}

const sseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

const usageEvent = `{"id":"x","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}`

const finish = `{"id":"x","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}`

// damageCase is what a server sends, byte for byte, and what must come of it.
type damageCase struct {
	name, answer string
	status       Status
	err          string
}

// damageCases are whole answers, and answers with every kind of damage.
func damageCases() []damageCase {
	ok := clienttest.Event(clienttest.Delta("a")) + clienttest.Event(finish) + clienttest.Event(usageEvent) +
		clienttest.Event("[DONE]") + "0\r\n\r\n"
	return []damageCase{
		{"whole", sseHead + ok, StatusOK, ""},
		{"without DONE",
			sseHead + clienttest.Event(clienttest.Delta("a")) + clienttest.Event(finish) + clienttest.Event(usageEvent) + "0\r\n\r\n",
			StatusOK, ""},
		{"usage beside the finish reason",
			sseHead + clienttest.Event(clienttest.Delta("a")) +
				clienttest.Event(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`) +
				clienttest.Event("[DONE]") + "0\r\n\r\n",
			StatusOK, ""},
		{"running usage, the last one beside the finish reason",
			sseHead + clienttest.Event(`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`) +
				clienttest.Event(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`) +
				"0\r\n\r\n",
			StatusOK, ""},
		{"running usage, cut before the last",
			sseHead + clienttest.Event(`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`) +
				clienttest.Event(`{"choices":[{"delta":{},"finish_reason":"stop"}]}`) + "0\r\n\r\n",
			StatusCut, "without usage"},
		{"reset mid-chunk", sseHead + clienttest.Event(clienttest.Delta("a")) + "40\r\ndata: {\"id", StatusCut, "closed the connection"},
		{"clean end without finish",
			sseHead + clienttest.Event(clienttest.Delta("a")) + clienttest.Event("[DONE]") + "0\r\n\r\n",
			StatusCut, "without a finish reason"},
		{"half an event",
			sseHead + clienttest.Event(clienttest.Delta("a")) + clienttest.HTTPChunk("data: {\"id") + "0\r\n\r\n",
			StatusCut, "inside an event"},
		{"bad JSON", sseHead + clienttest.Event(`{"id":`) + ok, StatusDamaged, "decode event 1"},
		{"no server-sent event",
			sseHead + clienttest.HTTPChunk("<html>oops</html>\n\n") + "0\r\n\r\n",
			StatusDamaged, "no line of it belongs to a server-sent event: oops"},
		{"usage that lies",
			sseHead + clienttest.Event(`{"id":"x","choices":[{"delta":{"content":"a"},"token_ids":[1]}]}`) +
				clienttest.Event(`{"id":"x","choices":[{"delta":{"content":"b"},"token_ids":[2,3],"finish_reason":"stop"}]}`) +
				clienttest.Event(`{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":700}}`) + "0\r\n\r\n",
			StatusOK, ""},
		{"half a rune",
			sseHead + clienttest.Event(clienttest.Delta("a")) +
				clienttest.HTTPChunk("data: {\"choices\":[{\"delta\":{\"content\":\"\xe2\x82\"}}]}\n\n") + clienttest.Event(finish) +
				clienttest.Event(usageEvent) + "0\r\n\r\n",
			StatusOK, ""},
		{"error event then DONE",
			sseHead + clienttest.Event(clienttest.Delta("a")) + clienttest.Event(`{"error": {"message": "boom", "code": 500}}`) +
				clienttest.Event("[DONE]") + "0\r\n\r\n",
			StatusServerError, "boom"},
		{"not a stream",
			"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", StatusDamaged, "not an event stream"},
		{"a login page",
			"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 36\r\n\r\n<html><title>Sign in</title><p>hello",
			StatusDamaged, "not an event stream: Sign in"},
		{"500", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops", StatusHTTPError, "HTTP 500"},
		{"429 with Retry-After",
			"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 32\r\n\r\n{\"error\": {\"message\": \"busy!\"}}\n",
			StatusHTTPError, "HTTP 429: busy! (retry after 7 s)"},
		{"an event of 10 MB",
			sseHead + clienttest.Event(clienttest.Delta(strings.Repeat("x", 10<<20))) + clienttest.Event(finish) +
				clienttest.Event(usageEvent) + "0\r\n\r\n",
			StatusOK, ""},
		{"an event longer than the limit",
			sseHead + clienttest.Event(clienttest.Delta(strings.Repeat("x", maxEventBytes))) + ok,
			StatusDamaged, "an event longer than"},
		{"redirect", "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", StatusHTTPError, "HTTP 302"},
		{"hang up", "", StatusCut, "closed the connection"},
		{"not HTTP", "hello there\r\n\r\n", StatusCut, "malformed HTTP"},
	}
}

// Every kind of damage gets the status that fits, and never counts as success.
func TestDamage(t *testing.T) {
	for _, c := range damageCases() {
		t.Run(c.name, func(t *testing.T) {
			url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool { w.WriteString(c.answer); return false })
			re := testClient(t, url, "").Turn(context.Background(), hello(), time.Minute)
			if re.Status != c.status || !strings.Contains(re.Err, c.err) {
				t.Errorf("%s: %s, want %s: %s", re.Status, re.Err, c.status, c.err)
			}
			lies := re.Tokens != nil && re.CompletionTokens != nil && *re.Tokens != *re.CompletionTokens
			if lies != strings.HasSuffix(c.name, "that lies") && c.status == StatusOK {
				t.Errorf("counted %v, usage %v", num(re.Tokens), num(re.CompletionTokens))
			}
			if (re.Err == "") != (c.status == StatusOK) {
				t.Errorf("status %s with error %q", re.Status, re.Err)
			}
		})
	}
}

func TestSilenceAndInterruption(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool {
		w.WriteString(sseHead + clienttest.Event(clienttest.Delta("a")))
		w.Flush()
		<-release
		return false
	})
	re := testClient(t, url, "").Turn(context.Background(), hello(), 50*time.Millisecond)
	if re.Status != StatusTimeout || re.Content != "a" || len(re.Chunks) != 1 {
		t.Errorf("silent server: %s: %s, content %q", re.Status, re.Err, re.Content)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if re = testClient(t, url, "").Turn(ctx, hello(), time.Minute); re.Status != StatusInterrupted {
		t.Errorf("interrupted: %s: %s", re.Status, re.Err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	re = testClient(t, "http://"+l.Addr().String(), "").Turn(context.Background(), hello(), time.Minute)
	if re.Status != StatusRefused || !strings.Contains(re.Err, "connection refused") {
		t.Errorf("no server: %s: %s", re.Status, re.Err)
	}
}

// Late headers do not count as a token. A stream that never ends is given up, and what it brought is kept.
func TestSlowAndEndless(t *testing.T) {
	url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool {
		time.Sleep(120 * time.Millisecond)
		w.WriteString(sseHead)
		w.Flush()
		time.Sleep(60 * time.Millisecond)
		w.WriteString(clienttest.Event(clienttest.Delta("a")) + clienttest.Event(finish) + clienttest.Event(usageEvent) + "0\r\n\r\n")
		return false
	})
	re := testClient(t, url, "").Turn(context.Background(), hello(), time.Minute)
	if re.Status != StatusOK || *re.HeadersNs-*re.WrittenNs < 100e6 || *re.FirstNs-*re.HeadersNs < 50e6 {
		t.Errorf("slow headers: %s, %d ns to the headers, %d ns more to the first token",
			re.Status, *re.HeadersNs-*re.WrittenNs, *re.FirstNs-*re.HeadersNs)
	}
	url = rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool {
		w.WriteString(sseHead)
		for w.Flush() == nil {
			w.WriteString(clienttest.Event(clienttest.Delta("a")))
			time.Sleep(time.Millisecond)
		}
		return false
	})
	re = testClient(t, url, "").Turn(context.Background(), hello(), 200*time.Millisecond)
	if re.Status != StatusTimeout || len(re.Chunks) < 5 || len(re.Content) != len(re.Chunks) {
		t.Errorf("an endless stream: %s: %s, %d events, %d bytes", re.Status, re.Err, len(re.Chunks), len(re.Content))
	}
}

// Reasoning and content are kept apart. An event that carries a token but no text counts as the first token.
func TestReasoningAndEmptyTokens(t *testing.T) {
	for _, field := range []string{"reasoning", "reasoning_content"} {
		answer := sseHead +
			clienttest.Event(`{"choices":[{"delta":{"role":"assistant","content":""}}],`+
				`"usage":{"prompt_tokens":9,"completion_tokens":0}}`) +
			clienttest.Event(`{"choices":[{"delta":{"content":""}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`) +
			clienttest.Event(`{"choices":[{"delta":{"`+field+`":"hm"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`) +
			clienttest.Event(`{"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}],`+
				`"usage":{"prompt_tokens":9,"completion_tokens":5}}`) +
			clienttest.Event(usageEvent) + "0\r\n\r\n"
		url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool { w.WriteString(answer); return false })
		re := testClient(t, url, "").Turn(context.Background(), hello(), time.Minute)
		var kinds []string
		for _, c := range re.Chunks {
			kinds = append(kinds, c.Kind+":"+num(c.Tokens))
		}
		const want = "role:0 empty:1 reasoning:1 content:3 usage:nil"
		if got := strings.Join(kinds, " "); got != want || re.Reasoning != "hm" || re.Content != "yes" {
			t.Errorf("%s: chunks %s, reasoning %q, content %q", field, got, re.Reasoning, re.Content)
		}
		if re.FirstNs == nil || *re.FirstNs != re.Chunks[1].TNs || *re.FirstContentNs != re.Chunks[3].TNs {
			t.Errorf("%s: first token %s, first content %s", field, num(re.FirstNs), num(re.FirstContentNs))
		}
	}
}

// Events that arrive at different times have different stamps, and events of one read share a stamp.
func TestStamps(t *testing.T) {
	const pause = 30 * time.Millisecond
	url := rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool {
		w.WriteString(sseHead)
		w.Flush()
		for _, part := range []string{
			clienttest.Event(clienttest.Delta("a")),
			clienttest.Event(clienttest.Delta("b")) + clienttest.Event(clienttest.Delta("c")),
			clienttest.Event(finish) + clienttest.Event(usageEvent) + "0\r\n\r\n",
		} {
			time.Sleep(pause)
			w.WriteString(part)
			w.Flush()
		}
		return true
	})
	c := testClient(t, url, "")
	for i := range 2 {
		re := c.Turn(context.Background(), hello(), time.Minute)
		if re.Status != StatusOK || len(re.Chunks) != 5 {
			t.Fatalf("%s: %s, %d chunks", re.Status, re.Err, len(re.Chunks))
		}
		ch := re.Chunks
		if ch[1].ReadSeq != ch[2].ReadSeq || ch[1].TNs != ch[2].TNs || ch[0].ReadSeq >= ch[1].ReadSeq || ch[2].ReadSeq >= ch[3].ReadSeq {
			t.Errorf("reads are %d %d %d %d", ch[0].ReadSeq, ch[1].ReadSeq, ch[2].ReadSeq, ch[3].ReadSeq)
		}
		for j := range 2 { // on a busy machine an event may be late, but never early
			if d := time.Duration(ch[2*j+1].TNs - ch[2*j].TNs); d < pause-5*time.Millisecond {
				t.Errorf("gap %d is %v, the server paused %v", j, d, pause)
			}
		}
		if re.WrittenNs == nil || re.HeadersNs == nil ||
			*re.WrittenNs < re.SubmitNs || *re.HeadersNs < *re.WrittenNs || *re.FirstNs < *re.HeadersNs {
			t.Errorf("submit %d, written %s, headers %s, first %s", re.SubmitNs, num(re.WrittenNs), num(re.HeadersNs), num(re.FirstNs))
		}
		if got := num(re.Reused); got != fmt.Sprint(i == 1) {
			t.Errorf("turn %d: connection reused %s", i+1, got)
		}
	}
}

// The key and the password of the URL are sent to the server, and appear nowhere else.
func TestSecretsStayOut(t *testing.T) {
	const key, password = "sk-very-secret", "hunter2"
	seen := make(chan string, 1)
	url := rawServer(t, func(w *bufio.Writer, r *http.Request, _ []byte) bool {
		seen <- r.Header.Get("Authorization")
		body := "no such user: " + key + " " + password
		fmt.Fprintf(w, "HTTP/1.1 401 Unauthorized\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
		return false
	})
	c := testClient(t, strings.Replace(url, "http://", "http://me:"+password+"@", 1)+"/v1?token=abc", key)
	re := c.Turn(context.Background(), hello(), time.Minute)
	if auth := <-seen; auth != "Bearer "+key {
		t.Errorf("the server saw %q", auth)
	}
	all := fmt.Sprint(re.Err, *re.ErrorBody, c.Base())
	for _, secret := range []string{key, password, "token=abc", "me:"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q shows in %q", secret, all)
		}
	}
	if _, err := New("ht tp://me:"+password+"@x", key, nil); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("error of a bad URL: %v", err)
	}
}

// A server that is not vLLM gets only OpenAI's fields.
func TestRequestFields(t *testing.T) {
	for vllm, want := range map[bool]string{
		true: `{"model":"m","messages":[{"role":"user","content":"hello"}],` +
			`"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},` +
			`"max_tokens":8,"temperature":0,"seed":3,"ignore_eos":true,"cache_salt":"s"}`,
		false: `{"model":"m","messages":[{"role":"user","content":"hello"}],` +
			`"stream":true,"stream_options":{"include_usage":true},"max_tokens":8,"temperature":0,"seed":3}`,
	} {
		r := hello()
		r.VLLM, r.Seed = vllm, 3
		if vllm {
			r.CacheSalt, r.IgnoreEOS = "s", true
		}
		if got, err := r.body(); err != nil || string(got) != want {
			t.Errorf("body (vLLM %v) is %s (%v)", vllm, got, err)
		}
	}
}

func FuzzSSE(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n: x\n\n"), uint8(3))
	f.Add([]byte("\xef\xbb\xbfdata: a\rdata: b\r\r"), uint8(1))
	f.Add([]byte("data: [DONE]\n\nevent: x\nid: 1\n\njunk\n"), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		split := func(n int) (out []string, damaged, open bool) {
			var p sseParser
			for b := text; len(b) > 0; {
				k := min(n, len(b))
				p.feed(b[:k], func(e sseEvent) { out = append(out, fmt.Sprint(e.failure, e.foreign, string(e.data))) })
				b = b[k:]
			}
			return out, p.damage != nil, p.unfinished()
		}
		whole, d1, o1 := split(max(len(text), 1))
		parts, d2, o2 := split(int(size)%7 + 1)
		if strings.Join(whole, "\x00") != strings.Join(parts, "\x00") || len(whole) != len(parts) || d1 != d2 || o1 != o2 {
			t.Errorf("%q in reads of %d gives %q, in one %q", text, int(size)%7+1, parts, whole)
		}
	})
}

// With TLS, too, the stamps are those of the reads from the socket.
func TestStampsUnderTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range []string{clienttest.Delta("a"), finish, usageEvent} {
			fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}))
	defer srv.Close()
	c := testClient(t, srv.URL, "")
	c.turns.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	re := c.Turn(context.Background(), hello(), time.Minute)
	if re.Status != StatusOK || len(re.Chunks) != 3 {
		t.Fatalf("%s: %s, %d chunks", re.Status, re.Err, len(re.Chunks))
	}
	first, second := re.Chunks[0], re.Chunks[1]
	if first.ReadSeq < 1 || second.ReadSeq <= first.ReadSeq || second.TNs-first.TNs < int64(5*time.Millisecond) {
		t.Errorf("chunks %+v", re.Chunks)
	}
}
