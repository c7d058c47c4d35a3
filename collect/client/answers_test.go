package client

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wb/collect/client/clienttest"
)

// turnInBubble sends a turn to a server that answers with the steps. Both run in a synctest bubble, where time passes only while all
// goroutines wait.
func turnInBubble(t *testing.T, steps ...any) (re *Reply) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, err := New("http://server", "", func() int64 { return int64(time.Since(start)) })
		if err != nil {
			t.Fatal(err)
		}
		c.dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go answerOnce(theirs, steps)
			return ours, nil
		}
		c.turns, c.side = c.newHTTP(), c.newHTTP()
		re = c.Turn(t.Context(), hello(), time.Minute)
		c.Close()
	})
	return re
}

// answerOnce reads one request and answers it with the steps.
func answerOnce(conn net.Conn, steps []any) {
	defer conn.Close()
	if req, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	} else if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return
	}
	w := bufio.NewWriterSize(conn, 1<<16)
	w.WriteString(sseHead)
	writeSteps(w, steps)
	w.Flush()
}

// writeSteps goes through the steps: it writes a string, and pauses for a duration.
func writeSteps(w *bufio.Writer, steps []any) {
	for _, s := range steps {
		switch s := s.(type) {
		case time.Duration:
			w.Flush()
			time.Sleep(s)
		case string:
			w.WriteString(s)
		}
	}
}

// played starts a server that answers every request with head and the steps. It gives the server's URL.
func played(t testing.TB, head string, steps ...any) string {
	t.Helper()
	return rawServer(t, func(w *bufio.Writer, _ *http.Request, _ []byte) bool {
		w.WriteString(head)
		writeSteps(w, steps)
		return false
	})
}

// Servers differ from OpenAI's API in many ways. Only a complete answer counts as success, a count that cannot be right does not count, and
// neither an odd event nor a reason is lost.
func TestAnswers(t *testing.T) {
	all := slices.Concat(answersHowItEnded(), answersUsage(), answersOtherNames(), answersOddShapes(), answersReasons(), answersDeltas())
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			re := testClient(t, played(t, sseHead, c.answer), "").Turn(context.Background(), hello(), time.Minute)
			if re.Status != c.status || !strings.Contains(re.Err, c.err) || (re.Err == "") != (c.status == StatusOK) {
				t.Errorf("%s: %q, want %s: %q", re.Status, re.Err, c.status, c.err)
			}
			counts := []string{num(re.PromptTokens), num(re.CachedTokens), num(re.CompletionTokens), num(re.ReasoningTokens)}
			if got := strings.Join(counts, " "); got != c.counts {
				t.Errorf("prompt, cached, completion, reasoning tokens are %s, want %s", got, c.counts)
			}
			if re.Content != c.content || re.Reasoning != c.reasoning {
				t.Errorf("content %q, reasoning %q; want %q, %q", re.Content, re.Reasoning, c.content, c.reasoning)
			}
			if got := strings.Join(re.Doubts, "; "); !strings.Contains(got, c.doubt) || (got == "") != (c.doubt == "") {
				t.Errorf("doubts %q, want %q", got, c.doubt)
			}
			var bytes int32
			for _, ch := range re.Chunks {
				bytes += ch.TextBytes
			}
			if int(bytes) != len(re.Content)+len(re.Reasoning)+re.toolBytes {
				t.Errorf("chunks have %d bytes of text, the reply %d", bytes, len(re.Content)+len(re.Reasoning)+re.toolBytes)
			}
			if both := re.Chunks; c.name == "reasoning and content at once" && (both[1].Kind != "content" || *re.FirstContentNs != both[1].TNs) {
				t.Errorf("chunks %+v, first content %d", both, *re.FirstContentNs)
			}
		})
	}
}

// Answers differ in media type, compression and status.
func TestAnswerHeads(t *testing.T) {
	body := clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end
	head := func(ct string) string {
		return "HTTP/1.1 200 OK\r\n" + ct + "transfer-encoding: chunked\r\n\r\n"
	}
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	fmt.Fprint(zw, `{"error":"no"}`)
	zw.Close()
	fixed := func(status, headers, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s", status, headers, len(body), body)
	}
	for _, c := range []struct {
		name, answer string
		status       Status
		err          string
	}{
		{"capitals", head("Content-Type: Text/Event-Stream; charset=UTF-8\r\n") + body, StatusOK, ""},
		{"no media type", head("") + body, StatusOK, ""},
		{"octets", head("content-type: application/octet-stream\r\n") + body, StatusOK, ""},
		{"plain text that is not a stream", head("content-type: text/plain\r\n") + clienttest.HTTPChunk("please sign in\n") + end,
			StatusDamaged, "server-sent event: please sign in"},
		{"compressed",
			head("content-type: text/event-stream\r\ncontent-encoding: gzip\r\n") + clienttest.HTTPChunk(z.String()) + end,
			StatusDamaged, "Content-Encoding: gzip"},
		{"compressed error", fixed("500 Oops", "content-encoding: br\r\n", "\x1b\x00\x01"), StatusHTTPError, "Content-Encoding: br"},
		{"identity", head("content-type: text/event-stream\r\ncontent-encoding: identity\r\n") + body, StatusOK, ""},
		{"whole reply as JSON",
			fixed("200 OK", "content-type: application/json\r\n", `{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}`),
			StatusDamaged, "one JSON document"},
		{"200 with an error",
			fixed("200 OK", "content-type: application/json\r\n", `{"error":"unknown endpoint"}`),
			StatusServerError, "unknown endpoint"},
		{"detail as a list", fixed("422 Unprocessable", "content-type: application/json\r\n", `{"detail":[{"loc":["body"],"msg":"slow down"}]}`),
			StatusHTTPError, "HTTP 422: body: slow down"},
		{"no compression", head("content-type: text/event-stream\r\ncontent-encoding: none\r\n") + body, StatusOK, ""},
		{"a stream under another name", head("content-type: application/json\r\n") + body, StatusOK, ""},
		{"a compressed reason", fixed("500 Oops", "content-encoding: gzip\r\n", z.String()), StatusHTTPError, "HTTP 500: no"},
		{"a choice of an error", fixed("200 OK", "content-type: application/json\r\n", `{"choices":[],"error":{"message":"quota"}}`),
			StatusServerError, "quota"},
		{"a reason phrase in Latin-1", fixed("500 Erreur \xe9", "", ""), StatusHTTPError, "HTTP 500: 500 Erreur \ufffd"},
		{"OAuth", fixed("401 No", "", `{"error":"invalid_token","error_description":"it is too old"}`),
			StatusHTTPError, "HTTP 401: invalid_token: it is too old"},
		{"a list beside the message", fixed("400 No", "", `{"message":"Bad Request","errors":[{"message":"max_tokens is 0"}]}`),
			StatusHTTPError, "Bad Request: max_tokens is 0"},
		{"ASP.NET", fixed("400 No", "", `{"title":"Invalid","errors":{"max_tokens":["too small"]}}`),
			StatusHTTPError, "Invalid: max_tokens: too small"},
		{"Apigee", fixed("500 No", "", `{"fault":{"faultstring":"quota exceeded","detail":{}}}`), StatusHTTPError, "quota exceeded"},
		{"what no rule knows", fixed("400 No", "", `{"max_tokens":["too small"]}`), StatusHTTPError, `{"max_tokens":["too small"]}`},
		{"a long echo before the reason", fixed("422 No", "", `{"detail":[{"input":"`+strings.Repeat("x", 9000)+`","msg":"too long"}]}`),
			StatusHTTPError, "HTTP 422: too long"},
		{"title and heading", fixed("502 No", "", "<html><title>nginx</title><h1>502 Bad Gateway</h1>"),
			StatusHTTPError, "HTTP 502: nginx: 502 Bad Gateway"},
		{"RFC 9457",
			fixed("503 Busy", "content-type: application/problem+json\r\n", `{"type":"about:blank","title":"Busy","detail":"come back"}`),
			StatusHTTPError, "HTTP 503: come back"},
		{"a page",
			fixed("401 No", "content-type: text/html\r\n", "<html><head><style>x</style></head><h1>401 Authorization Required</h1>"),
			StatusHTTPError, "HTTP 401: 401 Authorization Required"},
		{"bare text", fixed("400 No", "", "no such\nmodel"), StatusHTTPError, "HTTP 400: no such model"},
		{"nothing", fixed("502 Bad Gateway", "", ""), StatusHTTPError, "HTTP 502: 502 Bad Gateway"},
		{"retry at a date",
			fixed("429 Slow", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", `{"message":"slow"}`),
			StatusHTTPError, "(retry after Wed, 21 Oct 2026 07:28:00 GMT)"},
		{"elsewhere",
			fixed("307 Temporary", "location: https://me:secret@other.example/x?key=1\r\n", ""),
			StatusHTTPError, "it leads to https://other.example/x?redacted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			re := testClient(t, played(t, c.answer), "").Turn(context.Background(), hello(), time.Minute)
			if re.Status != c.status || !strings.Contains(re.Err, c.err) {
				t.Errorf("%s: %q, want %s: %q", re.Status, re.Err, c.status, c.err)
			}
		})
	}
}

// The time per token is taken over the tokens that came after the first read. It may be unknown, but it is never 0. It is not made from
// events that carry several tokens each without saying so.
func TestFlow(t *testing.T) {
	const gap = 40 * time.Millisecond
	usage := func(n int) string { return fmt.Sprintf(`{"prompt_tokens":9,"completion_tokens":%d}`, n) }
	running := func(s string, n int) string {
		return clienttest.Text(fmt.Sprintf(`{"content":%q}`, s), "", `,"usage":`+usage(n))
	}
	ids := func(s string, ids string) string {
		return clienttest.Text(fmt.Sprintf(`{"content":%q}`, s), `,"token_ids":`+ids, "")
	}
	for _, c := range []struct {
		name   string
		steps  []any
		n      int
		perTok time.Duration // 0: not known
		held   bool
	}{
		{"one token per event", []any{clienttest.Word("a"), gap, clienttest.Word("b"), gap, clienttest.Word("c")}, 3, gap, false},
		{"one token per event, and one without text",
			[]any{clienttest.Word("a"), gap, clienttest.Word("b"), gap, clienttest.Word("c")}, 4, gap, false},
		{"four tokens first, by running usage", []any{running("a b c d ", 4), gap, running("e f g h", 8)}, 8, gap / 4, false},
		{"four tokens first, by ids", []any{ids("a b c d ", "[1,2,3,4]"), gap, ids("e f g h", "[5,6,7,8]")}, 8, gap / 4, false},
		{"four tokens per event, not counted", []any{clienttest.Word("a b c d "), gap, clienttest.Word("e f g h")}, 8, 0, false},
		{"one, then four per event", []any{running("a", 1), gap, running("b c d e", 5), gap, running("f g h i", 9)}, 9, gap / 4, false},
		{"two events in the first read",
			[]any{clienttest.Word("a") + clienttest.Word("b"), gap, clienttest.Word("c"), gap, clienttest.Word("d")},
			4, gap, false},
		{"two blocks",
			[]any{
				clienttest.Word("a") + clienttest.Word("b") + clienttest.Word("c") + clienttest.Word("d"),
				gap,
				clienttest.Word("e") + clienttest.Word("f") + clienttest.Word("g") + clienttest.Word("h"),
			},
			8, gap / 4, false},
		{"all at once", []any{gap, clienttest.Word("a") + clienttest.Word("b") + clienttest.Word("c") + clienttest.Word("d")}, 4, 0, true},
		{"held back, in two reads", []any{5 * gap, clienttest.Word("a") + clienttest.Word("b") + clienttest.Word("c"), time.Millisecond,
			clienttest.Word("d") + clienttest.Word("e") + clienttest.Word("f")}, 6, 0, true},
		{"running usage that does not grow", []any{running("a", 0), gap, running("b", 0), gap, running("c", 0)}, 3, gap, false},
		{"running usage that lags", []any{running("a", 0), gap, running("b", 1), gap, running("c", 2)}, 3, gap, false},
		{"no ids in the list of ids", []any{ids("a", "[]"), gap, ids("b", "[]"), gap, ids("c", "[]")}, 3, gap, false},
		{"one token", []any{gap, clienttest.Word("a")}, 1, 0, false},
		{"usage now and then", []any{clienttest.Word("a"), gap, running("b", 2), gap, clienttest.Word("c"), gap, running("d", 4)}, 4, gap, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := append(append([]any{time.Duration(1)}, c.steps...), clienttest.Ended("stop")+clienttest.Used(usage(c.n))+end)
			re := turnInBubble(t, steps...)
			if re.Status != StatusOK {
				t.Fatalf("%s: %s", re.Status, re.Err)
			}
			rate, ok := re.DecodeRate()
			if ok != (c.perTok > 0) || re.Held() != c.held {
				t.Fatalf("rate %v (known: %v), held back: %v, flow %+v", rate, ok, re.Held(), re.Flow)
			}
			if got := time.Duration(1e9 / rate); ok && (got-c.perTok).Abs() > time.Microsecond {
				t.Errorf("%v per token, want %v (flow %+v)", got, c.perTok, re.Flow)
			}
			for _, ch := range re.Chunks {
				if c.name == "usage now and then" && ch.Tokens != nil && *ch.Tokens > 1 {
					t.Errorf("an event of one token is said to carry %d", *ch.Tokens)
				}
			}
		})
	}
}

// Whatever comes, the decoder does not panic, gives no success without a finish reason and a usage, and no count beyond the limits.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		clienttest.Delta("a"), finish, usageEvent, "[DONE]",
		`{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"x"}]}]}}]}`,
		`{"error":{"message":"x"}}`,
		`{"choices":[{"message":{"content":"x"},"usage":{"prompt_tokens":"3"}}]}`,
		`{"usage":{"prompt_tokens":1e30,"completion_tokens":-1,"cached_tokens":12.0}}`,
		`1`, `"x"`, `[[[[`, `{"choices":{}}`,
		`{"choices":[{"index":1,"delta":{"refusal":{"value":"x"}}}]}`,
	} {
		f.Add([]byte(s), []byte(finish))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		re := Reply{RequestBytes: 10}
		d := re.decoder(func(s string) string { return s })
		for i, data := range [][]byte{a, b, []byte(usageEvent)} {
			d.event(&sseEvent{data: data, stamp: stamp{seq: int32(min(i+1, 2))}})
		}
		d.end()
		if len(re.Chunks) > 3 {
			t.Errorf("%d chunks of 3 events", len(re.Chunks))
		}
		status, why := re.settle(8, false)
		if re.Status == "" && (status == StatusOK) != (why == "") {
			t.Errorf("%s: %q", status, why)
		}
		for _, n := range []*int64{re.PromptTokens, re.CompletionTokens, re.CachedTokens, re.ReasoningTokens} {
			if n != nil && (*n < 0 || *n > MaxTokenCount) {
				t.Errorf("a count of %d", *n)
			}
		}
		if re.CachedTokens != nil && (re.PromptTokens == nil || *re.CachedTokens > *re.PromptTokens) {
			t.Errorf("%s of %s tokens are cached", num(re.CachedTokens), num(re.PromptTokens))
		}
		if status == StatusOK && (re.FinishReason == nil || re.CompletionTokens == nil) {
			t.Errorf("ok with finish reason %s and %s completion tokens", num(re.FinishReason), num(re.CompletionTokens))
		}
		if s := Reason(a); len(s) > maxReason+3 {
			t.Errorf("a reason of %d bytes", len(s))
		}
	})
}
