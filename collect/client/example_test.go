package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"wb/collect/client"
)

// stream answers a chat completion as an OpenAI-compatible server does: one event per piece of text, then the finish reason, the usage and
// [DONE].
func stream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, data := range []string{
		`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`,
		`{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`,
		`{"choices":[{"index":0,"delta":{"content":" there"}}]}`,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
		`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}`,
		`[DONE]`,
	} {
		fmt.Fprintf(w, "data: %s\n\n", data)
		w.(http.Flusher).Flush()
	}
}

// clockFromNow makes a clock that begins at 0.
func clockFromNow() client.Clock {
	start := time.Now()
	return func() int64 { return time.Since(start).Nanoseconds() }
}

// A turn sends one chat completion, and gives what came of it.
func ExampleClient_Turn() {
	server := httptest.NewServer(http.HandlerFunc(stream))
	defer server.Close()
	c, err := client.New(server.URL, "", clockFromNow())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	reply := c.Turn(context.Background(), client.Request{
		Model:     "m",
		Messages:  []client.Message{{Role: "user", Content: "Say hello."}},
		MaxTokens: 8,
	}, time.Minute)

	fmt.Printf("content: %q\n", reply.Content)
	fmt.Println("status:", reply.Status)
	fmt.Println("finish reason:", *reply.FinishReason)
	fmt.Println("prompt tokens:", *reply.PromptTokens)
	fmt.Println("completion tokens:", *reply.CompletionTokens)
	for _, chunk := range reply.Chunks {
		fmt.Println("chunk:", chunk.Seq, chunk.Kind, chunk.TextBytes)
	}
	// Output:
	// content: "Hello there"
	// status: ok
	// finish reason: stop
	// prompt tokens: 9
	// completion tokens: 2
	// chunk: 1 role 0
	// chunk: 2 content 5
	// chunk: 3 content 6
	// chunk: 4 empty 0
	// chunk: 5 usage 0
}

// Whatever goes wrong, a turn gives a reply: its status says what happened, and Err says why.
func ExampleClient_Turn_failure() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"message":"the prompt is too long"}}`)
	}))
	defer server.Close()
	c, err := client.New(server.URL, "", clockFromNow())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	reply := c.Turn(context.Background(), client.Request{
		Model:    "m",
		Messages: []client.Message{{Role: "user", Content: "Say hello."}},
	}, time.Minute)

	fmt.Println("status:", reply.Status)
	fmt.Println("error:", reply.Err)
	// Output:
	// status: http_error
	// error: HTTP 400: the prompt is too long
}

// Reason finds the reason for a failure in the answers of many kinds of servers.
func ExampleReason() {
	for _, answer := range []string{
		`{"error":{"message":"the prompt is too long","code":400}}`,
		`{"detail":[{"loc":["body","max_tokens"],"msg":"must be above 0"}]}`,
		`<html><head><title>502 Bad Gateway</title></head></html>`,
		`no such model`,
	} {
		fmt.Println(client.Reason([]byte(answer)))
	}
	// Output:
	// the prompt is too long
	// body.max_tokens: must be above 0
	// 502 Bad Gateway
	// no such model
}
