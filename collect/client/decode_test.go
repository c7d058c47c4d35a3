package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"wb/collect/client/clienttest"
)

// decodeAll reads a stream that comes in the given pieces, one per read, and decides how it ended.
func decodeAll(t testing.TB, pieces ...string) *Reply {
	t.Helper()
	return decodeAt(t, 0, pieces...)
}

// decodeAt is decodeAll for reads that come ns after the request, one ns apart.
func decodeAt(t testing.TB, ns int64, pieces ...string) *Reply {
	t.Helper()
	conn := &stampedConn{}
	from := &steps{conn: conn}
	for i, p := range pieces {
		from.left = append(from.left, step{p, ns + int64(i+1), -1, -1})
	}
	c := &Client{size: 1 << 16, held: newHeld(), clock: func() int64 { return ns }}
	re := &Reply{RequestBytes: 1 << 12, Times: Times{DoneNs: ns}}
	x := stream{client: c, conn: conn, decoder: re.decoder(func(s string) string { return s })}
	defer x.release()
	if err := x.read(from, func() {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, unfinished := x.parser.end()
	x.decoder.end()
	if re.Status == "" {
		re.Status, re.Err = re.settle(0, unfinished)
	}
	return re
}

// rows gives what is recorded of a reply, without times and reads, which depend on how a stream is cut.
func rows(re *Reply) string {
	var b strings.Builder
	for _, c := range re.Chunks {
		fmt.Fprintln(&b, c.Seq, c.Kind, num(c.Tokens), c.TextBytes)
	}
	fmt.Fprintln(&b, re.Status, re.Err, num(re.RequestID), num(re.FinishReason))
	fmt.Fprintln(&b, num(re.PromptTokens), num(re.CachedTokens), num(re.CompletionTokens), num(re.ReasoningTokens), num(re.Tokens))
	fmt.Fprintf(&b, "%q %q %v %v %v %d\n", re.Content, re.Reasoning, re.PromptIDs, re.TokenIDs, re.Doubts, re.Events)
	return b.String()
}

// The table gives what each event adds to the reply.
func TestDecoderEventByEvent(t *testing.T) {
	delta := func(d, rest string) string { return `{"choices":[{"index":0,"delta":` + d + rest + `}]}` }
	for _, c := range []struct {
		name   string
		events []string
		want   []string // after each event: the chunk's kind, tokens and bytes; completion tokens; finish reason; status
	}{
		{"running usage", []string{
			delta(`{"role":"assistant","content":""}`, ""),
			`{"choices":[{"index":0,"delta":{"content":"Hel"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`,
			`{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}`,
			`{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}`,
		}, []string{"role nil 0 nil nil ", "content 1 3 1 nil ", "content 3 2 4 stop ", "usage nil 0 4 stop "}},
		{"token ids", []string{
			`{"prompt_token_ids":[1,2],"choices":[{"index":0,"delta":{"content":"a"},"token_ids":[7,8]}]}`,
			`{"choices":[{"index":0,"delta":{"content":""},"token_ids":[]}]}`,
		}, []string{"content 2 1 nil nil ", "empty 0 0 nil nil "}},
		{"reasoning and tools", []string{
			delta(`{"reasoning_content":"hm"}`, ""),
			delta(`{"tool_calls":[{"function":{"name":"f"}}]}`, ""),
		}, []string{"reasoning nil 2 nil nil ", "tool nil 27 nil nil "}},
		{"what says nothing", []string{": beat", "null", "{}"}, []string{"error nil 0 nil nil damaged", "other nil 0 nil nil damaged",
			"other nil 0 nil nil damaged"}},
		{"a failure, and what comes after it", []string{
			`{"error":{"message":"out of memory"}}`, delta(`{"content":"x"}`, ""),
		}, []string{"error nil 0 nil nil server_error", "content nil 1 nil nil server_error"}},
		{"another choice", []string{
			`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`,
		}, []string{"content nil 1 nil nil "}},
		{"the end", []string{"[DONE]"}, []string{"no chunk nil nil "}},
	} {
		re := &Reply{RequestBytes: 100}
		d := re.decoder(func(s string) string { return s })
		for i, data := range c.events {
			d.event(&sseEvent{data: []byte(data), stamp: stamp{tNs: int64(i + 1), delayNs: -1, mostNs: -1, seq: int32(i + 1)}})
			last := "no chunk"
			if n := len(re.Chunks); n > 0 {
				ch := re.Chunks[n-1]
				last = fmt.Sprint(ch.Kind, " ", num(ch.Tokens), " ", ch.TextBytes)
			}
			got := fmt.Sprint(last, " ", num(re.CompletionTokens), " ", num(re.FinishReason), " ", re.Status)
			if got != c.want[i] {
				t.Errorf("%s: after event %d: %s, want %s", c.name, i+1, got, c.want[i])
			}
		}
	}
}

// bodies gives streams as servers sent them, without the HTTP around them.
func bodies(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{
		"made": "\ufeff: hello\r\ndata: " + clienttest.Delta("grüße") + "\r\n\r\nevent: x\rdata: {\"choices\":[{\"index\":0,\rdata: \"delta\":" +
			"{\"content\":\"two\"}}]}\r\rdata: " + finish + "\n\ndata: " + strings.TrimPrefix(usageEvent, "") + "\n\ndata: [DONE]\n\n",
		"cut":     "data: " + clienttest.Delta("a") + "\n\ndata: {\"choices\":[{\"ind",
		"failing": "data: " + clienttest.Delta("a") + "\n\nevent: error\ndata: it broke\n\n",
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join("testdata", f.Name()))
		if err != nil || filepath.Ext(f.Name()) != ".raw" {
			continue
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body) // a body that was cut short can be used too
		if resp.StatusCode == http.StatusOK {
			out[f.Name()] = string(body)
		}
		resp.Body.Close()
	}
	return out
}

// The same is recorded of a stream wherever it is cut into reads.
func TestReadsDoNotMatter(t *testing.T) {
	all := bodies(t)
	if len(all) < 8 {
		t.Fatalf("%d streams", len(all))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, body := range all {
		t.Run(name, func(t *testing.T) {
			whole := decodeAll(t, body)
			if len(whole.Chunks) == 0 {
				t.Fatal("nothing was decoded")
			}
			want := rows(whole)
			check := func(how string, pieces ...string) {
				if got := rows(decodeAll(t, pieces...)); got != want {
					t.Fatalf("%s:\n%s\nwant\n%s", how, got, want)
				}
			}
			every := max(1, len(body)/800) // long captures are cut at some places only
			for at := 1; at < len(body); at += every {
				check(fmt.Sprint("cut at byte ", at), body[:at], body[at:])
			}
			var bytewise []string
			for i := range len(body) {
				bytewise = append(bytewise, body[i:i+1])
			}
			check("byte by byte", bytewise...)
			for range 20 {
				var pieces []string
				for rest := body; rest != ""; {
					n := min(len(rest), 1+rng.IntN(200))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				check("in random reads", pieces...)
			}
		})
	}
}

// An event that is like an earlier one is read without JSON. The result must be the same as with JSON.
func TestShortcutGivesTheSame(t *testing.T) {
	for name, body := range bodies(t) {
		var events []string
		p := sseParser{}
		p.feed([]byte(body), func(e sseEvent) { events = append(events, string(e.data)) })
		with, _ := decoded(true, events...)
		without, _ := decoded(false, events...)
		if !reflect.DeepEqual(rows(with), rows(without)) {
			t.Errorf("%s:\n%s\nwithout\n%s", name, rows(with), rows(without))
		}
	}
}
