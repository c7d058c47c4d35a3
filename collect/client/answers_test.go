package client

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
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

const end = "0\r\n\r\n"

const (
	plainUsage = `{"prompt_tokens":9,"completion_tokens":2}`
	two        = "Hello there" // the text of clienttest.Hellos: two words, two tokens
)

// answer is what a server sends, and what the client must make of it.
type answer struct {
	name, answer       string
	status             Status
	err                string
	counts             string // prompt, cached, completion, reasoning
	content, reasoning string
	doubt              string
}

// whole is a complete answer with the text "Hello there" and the given usage.
func whole(usage string) string {
	return clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(usage) + clienttest.Event("[DONE]") + end
}

// answersHowItEnded are answers that end in different ways.
func answersHowItEnded() []answer {
	return []answer{
		{"plain", whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"empty finish reason",
			clienttest.Text(`{"content":"Hello"}`, `,"finish_reason":""`, `,"usage":{"prompt_tokens":9,"completion_tokens":1}`) + end,
			StatusCut, "without a finish reason", "9 nil 1 nil", "Hello", "", ""},
		{"abort",
			clienttest.Hellos() + clienttest.Ended("abort") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort"`, "9 nil 2 nil", two, "", ""},
		{"error as reason",
			clienttest.Hellos() + clienttest.Ended("error") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "error"`, "9 nil 2 nil", two, "", ""},
		{"filtered",
			clienttest.Hellos() + clienttest.Ended("content_filter") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "content_filter"`, "9 nil 2 nil", two, "", ""},
		{"reason in capitals",
			clienttest.Hellos() + clienttest.Ended("STOP") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"tool calls",
			clienttest.Text(`{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`, "", "") +
				clienttest.Ended("tool_calls") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "", "", ""},
		{"message for delta",
			clienttest.Event(`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},`+
				`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`) + clienttest.Event("[DONE]") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"message beside the deltas",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"message":{"content":"Hello there"},"finish_reason":"stop"}],`+
					`"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"error in a choice",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"provider died"}}]}`) +
				end,
			StatusServerError, "provider died", "nil nil nil nil", two, "", ""},
		{"two choices",
			clienttest.Event(`{"choices":[{"index":0,"delta":{"content":"a"}}]}`) +
				clienttest.Event(`{"choices":[{"index":1,"delta":{"content":"b"}}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusDamaged, "several choices", "9 nil 2 nil", "a", "", ""},
		{"one choice with another number",
			clienttest.Event(`{"choices":[{"index":1,"delta":{"content":"a"}}]}`) +
				clienttest.Event(`{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}`) + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "a", "", ""},
		{"a delta that is a text",
			clienttest.Event(`{"choices":[{"index":0,"delta":"Hello there"}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"choices that are texts", clienttest.Event(`{"choices":["Hello"]}`) + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusDamaged, "a choice of event 1 is not an object", "9 nil 2 nil", "", "", ""},
		{"two choices without a number",
			clienttest.Event(`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusDamaged, "several choices", "9 nil 2 nil", "a", "", ""},
		{"abort, then stop", clienttest.Hellos() + clienttest.Ended("abort") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort"`, "9 nil 2 nil", two, "", ""},
		{"a reason with a reason", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":{"type":"abort","message":"out of memory"}`, "") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort": out of memory`, "9 nil 2 nil", two, "", ""},
		{"a reason as an object",
			clienttest.Hellos() + clienttest.Text("{}", `,"finish_reason":{"type":"length","length":2}`, "") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage before the text only",
			clienttest.Used(`{"prompt_tokens":9,"completion_tokens":1}`) + clienttest.Hellos() + clienttest.Ended("stop") +
				clienttest.Event("[DONE]") + end,
			StatusCut, "without usage", "9 nil 1 nil", two, "", ""},
		{"nothing after [DONE]",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) + clienttest.Event("[DONE]"),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"other last words", clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) +
			clienttest.Event("[END]") + clienttest.Event("done") + clienttest.Event(`"[DONE]"`) + clienttest.Event("bye") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersUsage are answers with different usages.
func answersUsage() []answer {
	return []answer{
		{"a few more than was asked for", whole(`{"prompt_tokens":9,"completion_tokens":600}`),
			StatusCut, "at most 8 were asked for", "9 nil nil nil", two, "", "completion_tokens is 600"},
		{"hidden reasoning that is told",
			whole(`{"prompt_tokens":9,"completion_tokens":600,"completion_tokens_details":{"reasoning_tokens":598}}`),
			StatusOK, "", "9 nil 600 598", two, "", ""},
		{"60,000 for a line", whole(`{"prompt_tokens":60000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 60000"},
		{"a text that is no UTF-8", whole("{\"prompt_tokens\":\"\xe9t\xe9\",\"completion_tokens\":2}"),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is \"\ufffdt\ufffd\""},
		{"no completion tokens named", whole(`{"prompt_tokens":9,"total_tokens":11}`),
			StatusCut, "does not count completion tokens", "9 nil nil nil", two, "", ""},
		{"all null", whole(`{"prompt_tokens":null,"completion_tokens":null}`),
			StatusCut, "without usage that counts any tokens", "nil nil nil nil", two, "", ""},
		{"in two events", clienttest.Used(`{"prompt_tokens":9}`) + whole(`{"completion_tokens":2}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"then zeros",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) +
				clienttest.Used(`{"prompt_tokens":0,"completion_tokens":0}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Anthropic's names", whole(`{"input_tokens":2,"cache_read_input_tokens":7,"cache_creation_input_tokens":1,"output_tokens":2}`),
			StatusOK, "", "10 7 2 nil", two, "", ""},
		{"usage {}", whole(`{}`), StatusCut, "without usage", "nil nil nil nil", two, "", ""},
		{"usage null", whole(`null`), StatusCut, "without usage", "nil nil nil nil", two, "", ""},
		{"usage a text", whole(`"many"`), StatusCut, `can be believed: usage is "many"`, "nil nil nil nil", two, "", `usage is "many"`},
		{"strings", whole(`{"prompt_tokens":"9","completion_tokens":"2"}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"9.0", whole(`{"prompt_tokens":9.0,"completion_tokens":2.0}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"9.5", whole(`{"prompt_tokens":9.5,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 9.5"},
		{"no prompt tokens", whole(`{"prompt_tokens":0,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 0"},
		{"-1",
			whole(`{"prompt_tokens":9,"completion_tokens":-1}`),
			StatusCut, "completion_tokens is -1", "9 nil nil nil", two, "", "completion_tokens is -1"},
		{"no completion tokens",
			whole(`{"prompt_tokens":9,"completion_tokens":0}`),
			StatusCut, "completion_tokens is 0", "9 nil nil nil", two, "", "completion_tokens is 0, and 11 bytes of text came"},
		{"2⁶³−1",
			whole(fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":2}`, int64(math.MaxInt64))),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 9223372036854775807"},
		{"1e30",
			whole(`{"prompt_tokens":1e30,"completion_tokens":99999999999999999999}`),
			StatusCut, "can be believed", "nil nil nil nil", two, "", "prompt_tokens is 1e30"},
		{"a billion",
			whole(`{"prompt_tokens":1000000000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 1000000000"},
		{"more than was sent",
			whole(`{"prompt_tokens":900000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 900000, and the request has"},
		{"more than was asked for",
			whole(`{"prompt_tokens":9,"completion_tokens":900000}`),
			StatusCut, "at most 8 were asked for", "9 nil nil nil", two, "", "completion_tokens is 900000"},
		{"true", whole(`{"prompt_tokens":true,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is true"},
		{"cached above prompt",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4000}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "cached_tokens is 4000, and prompt_tokens 9"},
		{"cached -3",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-3}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "cached_tokens is -3"},
		{"reasoning above completion",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":7}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "reasoning_tokens is 7"},
		{"details null",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}`),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersOtherNames are answers that have things under other names or in other places.
func answersOtherNames() []answer {
	return []answer{
		{"cached_tokens of the usage",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":7}`),
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"DeepSeek's names",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":2}`),
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"the responses API's names",
			whole(`{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":7},"output_tokens_details":{"reasoning_tokens":1}}`),
			StatusOK, "", "9 7 2 1", two, "", ""},
		{"usage in a choice",
			clienttest.Hellos() +
				clienttest.Text("{}", `,"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":7}`, "") +
				end,
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"Groq's place",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":`+plainUsage+`}}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"finish reason beside the running usage",
			clienttest.Text(`{"content":"Hello"}`, "", `,"usage":{"prompt_tokens":9,"completion_tokens":1}`) +
				clienttest.Text(`{"content":" there"}`, `,"finish_reason":"stop"`, `,"usage":`+plainUsage) + clienttest.Event("[DONE]") +
				end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage after [DONE]",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Event("[DONE]") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"heartbeats", clienttest.HTTPChunk("data:\n\n: ping\n\ndata: \n\n") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"[DONE] with spaces",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) + clienttest.Event(" [DONE] ") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"unknown fields",
			clienttest.HTTPChunk("trace: 8f2\nid: 1\nretry: 3\nevent: message\n") + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"unknown events",
			clienttest.Event(`{"type":"ping"}`) + clienttest.Event(`{"id":"x","choices":null,"usage":null}`) +
				clienttest.Event(`{"choices":[{"index":0,"delta":null}]}`) + clienttest.Event(`{"choices":[{"index":0}]}`) +
				whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"members of other types",
			clienttest.Event(`{"id":7,"object":[],"created":"now","choices":[{"index":"0","delta":{"role":1,"content":"Hello",`+
				`"tool_calls":{}},"token_ids":["a"],"logprobs":3}]}`) + clienttest.Word(" there") + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"content as a list",
			clienttest.Text(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}]}`, "", "") +
				clienttest.Text(`{"content":[{"type":"text","text":"Hello"}]}`, "", "") + clienttest.Word(" there") +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"content as an object",
			clienttest.Text(`{"content":{"type":"text","text":"Hello there"}}`, "", "") + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"content as a number",
			clienttest.Text(`{"content":5}`, "", "") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusDamaged, "content is neither a text nor a list", "9 nil 2 nil", "", "", ""},
		{"usage in the delta", clienttest.Hellos() + clienttest.Text(`{"usage":`+plainUsage+`}`, `,"finish_reason":"stop"`, "") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"llama.cpp's timings", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":"stop"`, `,"timings":{"prompt_n":6,"cache_n":3,"predicted_n":2,"prompt_ms":1.5}`) + end,
			StatusOK, "", "9 3 2 nil", two, "", ""},
		{"an older llama.cpp's timings", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":"stop"`, `,"timings":{"prompt_n":6,"predicted_n":2}`) + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Google's names",
			clienttest.Hellos() + clienttest.Ended("STOP") +
				clienttest.Event(`{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage before the finish reason",
			clienttest.Hellos() + clienttest.Text("{}", "", `,"usage":`+plainUsage) + clienttest.Ended("stop") +
				clienttest.Event("[DONE]") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"text and delta",
			clienttest.Event(`{"choices":[{"index":0,"text":"Hello","delta":{"content":"Hello"}}]}`) + clienttest.Word(" there") +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"PHP's empty object",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":"0","delta":[],"finish_reason":"stop"}],"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"choices an object", clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Event(`{"choices":{},"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Python's numbers",
			clienttest.Text(`{"content":"Hello: NaN"}`, "", `,"timings":{"a":Infinity,"b":-Infinity,"c":NaN}`) +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "Hello: NaN", "", ""},
		{"a named ping", clienttest.HTTPChunk("event: ping\ndata: ping\n\n") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"no space after data:",
			clienttest.HTTPChunk(`data:{"choices":[{"delta":{"content":"Hello there"},"finish_reason":"stop"}],"usage":`+
				plainUsage+"}\r\n\r\n") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersReasons are answers that give a reason for a failure.
func answersReasons() []answer {
	return []answer{
		{"error as a field",
			clienttest.Word("a") + clienttest.HTTPChunk("error: {\"code\":400,\"message\":\"prompt is longer than the context\"}\n\n") +
				clienttest.Event("[DONE]") + end,
			StatusServerError, "prompt is longer than the context", "nil nil nil nil", "a", "", ""},
		{"event: error",
			clienttest.Word("a") + clienttest.HTTPChunk("event: error\ndata: {\"message\":\"overloaded\",\"type\":\"x\"}\n\n") + end,
			StatusServerError, "overloaded", "nil nil nil nil", "a", "", ""},
		{"object: error",
			clienttest.Event(`{"object":"error","message":"KV cache exhausted","code":500}`) + end,
			StatusServerError, "KV cache exhausted", "nil nil nil nil", "", "", ""},
		{"error as a text",
			clienttest.Event(`{"error":"model runner stopped"}`) + end,
			StatusServerError, "model runner stopped", "nil nil nil nil", "", "", ""},
		{"error of a gateway",
			clienttest.Event(`{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"out of memory\"}}"}}}`) +
				end,
			StatusServerError, "Provider returned error: out of memory", "nil nil nil nil", "", "", ""},
		{"detail as a list",
			clienttest.Event(`{"detail":[{"loc":["body"],"msg":"n must be 1"},{"msg":"and more"}]}`) + end,
			StatusServerError, "n must be 1; and more", "nil nil nil nil", "", "", ""},
		{"a list of events", clienttest.Event(`[{"choices":[{"delta":{"content":"a"}}]}]`) + whole(plainUsage),
			StatusDamaged, "event 1 is not a JSON object", "9 nil 2 nil", two, "", ""},
		{"bare text", clienttest.Event("n has to be positive.") + end, StatusDamaged, "n has to be positive.", "nil nil nil nil", "", "", ""},
		{"empty errors",
			clienttest.Event(`{"error":"","choices":[]}`) + clienttest.Event(`{"error":{}}`) + clienttest.Event(`{"error":null}`) +
				whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"a document without data:", clienttest.Word("a") + clienttest.HTTPChunk("{\"error\":{\"message\":\"too long\"}}") + end,
			StatusServerError, "too long", "nil nil nil nil", "a", "", ""},
		{"a page without data:", clienttest.HTTPChunk("Internal Server Error: no memory") + end,
			StatusDamaged, "Internal Server Error: no memory", "nil nil nil nil", "", "", ""},
		{"an error that is not ended", clienttest.Word("a") + clienttest.HTTPChunk("data: {\"error\":{\"message\":\"too long\"}}\n") + end,
			StatusServerError, "too long", "nil nil nil nil", "a", "", ""},
		{"FastChat", clienttest.Event(`{"text":"too much traffic","error_code":50001}`) + end,
			StatusServerError, "too much traffic", "nil nil nil nil", "", "", ""},
		{"MiniMax", clienttest.Event(`{"choices":null,"base_resp":{"status_code":1008,"status_msg":"no balance"}}`) + end,
			StatusServerError, "no balance", "nil nil nil nil", "", "", ""},
		{"Baidu", clienttest.Event(`{"error_code":17,"error_msg":"no requests left"}`) + end,
			StatusServerError, "no requests left", "nil nil nil nil", "", "", ""},
		{"code and msg",
			clienttest.Event(`{"code":500,"msg":"engine died"}`) + end,
			StatusServerError, "engine died", "nil nil nil nil", "", "", ""},
		{"code and message of success", clienttest.Event(`{"code":0,"message":"Success","choices":[]}`) + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Groq's error", clienttest.Event(`{"choices":[],"x_groq":{"error":"over capacity"}}`) + end,
			StatusServerError, "over capacity", "nil nil nil nil", "", "", ""},
		{"an error that is a number", clienttest.Event(`{"error":500}`) + end, StatusServerError, `{"error":500}`, "nil nil nil nil", "", "", ""},
		{"an error that says nothing",
			clienttest.Event(`{"error":{"code":0,"message":""},"choices":[]}`) + clienttest.Event(`{"error":{ }}`) + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Python's dict", clienttest.Event(`{'error': 'out of memory'}`) + end, StatusDamaged, "out of memory", "nil nil nil nil", "", "", ""},
	}
}

// answersDeltas are answers whose deltas have other parts than content.
func answersDeltas() []answer {
	return []answer{
		{"thinking", clienttest.Text(`{"thinking":"Hm."}`, "", "") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"reasoning_details", clienttest.Text(`{"reasoning_details":[{"type":"reasoning.text","text":"Hm."}]}`, "", "") + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"reasoning and content at once",
			clienttest.Text(`{"reasoning_content":"Hm. ","content":null}`, "", "") +
				clienttest.Text(`{"reasoning_content":"END","content":"Hello there"}`, "", "") + clienttest.Ended("stop") +
				clienttest.Used(`{"prompt_tokens":9,"completion_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}`) + end,
			StatusOK, "", "9 nil 4 2", two, "Hm. END", ""},
		{"reasoning under two names",
			clienttest.Text(`{"reasoning":"Hm.","reasoning_content":"Hm."}`, "", "") + clienttest.Hellos() + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"a refusal",
			clienttest.Text(`{"refusal":"I cannot."}`, "", "") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "I cannot.", "", ""},
		{"tools and text",
			clienttest.Text(`{"content":"Hello there","tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "", "") +
				clienttest.Ended("tool_calls") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// Servers differ from OpenAI's API in many ways. Only a complete answer counts as success, a count that cannot be right does not count, and
// neither an odd event nor a reason is lost.
func TestAnswers(t *testing.T) {
	for _, c := range slices.Concat(answersHowItEnded(), answersUsage(), answersOtherNames(), answersReasons(), answersDeltas()) {
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
		{"text that is none", head("content-type: text/plain\r\n") + clienttest.HTTPChunk("please sign in\n") + end,
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
		{"a token an event", []any{clienttest.Word("a"), gap, clienttest.Word("b"), gap, clienttest.Word("c")}, 3, gap, false},
		{"and one that is no text", []any{clienttest.Word("a"), gap, clienttest.Word("b"), gap, clienttest.Word("c")}, 4, gap, false},
		{"four tokens first, by running usage", []any{running("a b c d ", 4), gap, running("e f g h", 8)}, 8, gap / 4, false},
		{"four tokens first, by ids", []any{ids("a b c d ", "[1,2,3,4]"), gap, ids("e f g h", "[5,6,7,8]")}, 8, gap / 4, false},
		{"four tokens an event, unsaid", []any{clienttest.Word("a b c d "), gap, clienttest.Word("e f g h")}, 8, 0, false},
		{"one, then four an event", []any{running("a", 1), gap, running("b c d e", 5), gap, running("f g h i", 9)}, 9, gap / 4, false},
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
		{"running usage that stands still", []any{running("a", 0), gap, running("b", 0), gap, running("c", 0)}, 3, gap, false},
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
				t.Errorf("%v a token, want %v (flow %+v)", got, c.perTok, re.Flow)
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
