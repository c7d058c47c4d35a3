//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

// peakBytes is the most memory that wb may take, whatever a server sends.
const peakBytes = 300 << 20

// hostileServer starts a server that answers correctly, except on one path, where the attack answers.
func hostileServer(path string, attack http.HandlerFunc) *httptest.Server {
	m := http.NewServeMux()
	m.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data": [{"id": "m", "max_model_len": 1000000}]}`)
	})
	m.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"id": "x", "choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}],`+
			` "usage": {"prompt_tokens": 100, "completion_tokens": 1}}`+"\n\ndata: [DONE]\n\n")
	})
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			attack(w, r)
			return
		}
		m.ServeHTTP(w, r)
	}))
}

// forever sends begin, and then again and again the text of again, until the client goes away.
func forever(begin, again string) http.HandlerFunc {
	block := []byte(strings.Repeat(again, max(1, 1<<16/len(again))))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, begin)
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

// bomb sends 1 GiB of zeros, compressed to about 1 MiB.
func bomb(status int) http.HandlerFunc {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
	}
}

func TestHostileServersMemory(t *testing.T) {
	if raced || testing.Short() {
		t.Skip("memory is measured without the race detector")
	}
	const chat = "/v1/chat/completions"
	for _, c := range []struct {
		name, path string
		attack     http.HandlerFunc
		want       string // in what wb says
	}{
		{"events of a byte", chat, forever("", "data:1\n\n"), "damaged"},
		{"events without a token", chat, forever("", `data: {"choices": [{"delta": {}}]}`+"\n\n"), "damaged"},
		{"tokens without an end", chat, forever("", `data: {"choices": [{"delta": {"content": "word "}}]}`+"\n\n"), "damaged"},
		{"a line without an end", chat, forever("data: ", "x"), "damaged"},
		{"an event of lines without an end", chat, forever("", "data: x\n"), "damaged"},
		{"comments without an end", chat, forever("", ":\n"), "timeout: read stream: no answer in time"},
		{"reasoning in parts", chat, forever("", `data: {"choices": [{"delta": {"content": `+
			`[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}}]}`+"\n\n"), "damaged"},
		{"ids of tokens", chat, forever("", `data: {"choices": [{"delta": {"content": "a"}, "token_ids": [`+
			strings.TrimSuffix(strings.Repeat("1,", 2000), ",")+`]}]}`+"\n\n"), "damaged"},
		{"brackets", chat, forever("data: {\"choices\":", "["), "damaged"},
		{"a choice of many", chat, forever("", `data: {"choices": [`+
			strings.TrimSuffix(strings.Repeat(`{"delta":{}},`, 5000), ",")+`]}`+"\n\n"), "damaged"},
		{"an error without an end", chat, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			forever(`{"error": {"message": "`, "x")(w, r)
		}, "400"},
		{"headers", chat, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100_000))
			}
		}, "header"},
		{"a bomb", chat, bomb(http.StatusOK), "gzip"},
		{"an error that is a bomb", chat, bomb(http.StatusInternalServerError), "500"},
		{"models without an end", "/v1/models", forever(`{"data": [{"id": "m"}`, `,{"id": "m"}`), "the answer is longer than"},
		{"models with names without an end", "/v1/models", forever(`{"data": [{"id": "`, "x"), "the answer is longer than"},
		{"series without an end", "/metrics", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for i := 0; r.Context().Err() == nil; i++ {
				if _, err := fmt.Fprintf(w, "vllm:x{i=\"%d\"} 1\n", i); err != nil {
					return
				}
			}
		}, "turn  2/2"},
		{"tokens of a prompt", "/tokenize", forever(`{"tokens": [1`, ",1"), "turn  2/2"},
		{"metrics that are a bomb", "/metrics", bomb(http.StatusOK), "turn  2/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hostileServer(c.path, c.attack)
			defer s.Close()
			limit := "30s"
			if strings.HasPrefix(c.want, "timeout") {
				limit = "2s"
			}
			cmd, out := wbCommand(t, t.TempDir(), "run", "--url", s.URL, "--conversations", "simple_qa", "--warmup", "0",
				"--max-turns", "2", "--timeout", limit)
			_ = cmd.Run() // its output, checked below, says how the run ended
			peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024
			if peak > peakBytes {
				t.Errorf("it took %d MB, and may take %d", peak>>20, int64(peakBytes)>>20)
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("it did not say %q:\n%.3000s", c.want, out)
			}
			t.Logf("%d MB", peak>>20)
		})
	}
}
