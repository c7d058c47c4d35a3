// Package clienttest makes server-sent events for tests, and has a server that answers like OpenAI's API and whose parts can be replaced.
// It knows nothing about package client.
package clienttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"wb/data"
)

// Text is an event with a delta. choice is added to the JSON of the choice, and rest to that of the event.
func Text(delta, choice, rest string) string {
	return Event(fmt.Sprintf(`{"choices":[{"index":0,"delta":%s%s}]%s}`, delta, choice, rest))
}

// Word is an event with a piece of text.
func Word(s string) string { return Text(fmt.Sprintf(`{"content":%q}`, s), "", "") }

// Ended is an event with a finish reason.
func Ended(why string) string { return Text("{}", fmt.Sprintf(`,"finish_reason":%q`, why), "") }

// Used is an event with a usage.
func Used(usage string) string { return Event(`{"choices":[],"usage":` + usage + `}`) }

// Hellos is two events with the text "Hello there".
func Hellos() string { return Word("Hello") + Word(" there") }

// HTTPChunk is one chunk of an answer with transfer-encoding chunked.
func HTTPChunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// Event is a server-sent event, in one HTTP chunk.
func Event(s string) string { return HTTPChunk("data: " + s + "\n\n") }

// Delta is the data of an event with a piece of content.
func Delta(content string) string {
	b, _ := json.Marshal(content)
	return fmt.Sprintf(`{"id":"x","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}`, b)
}

// OddServer is an OpenAI-compatible server that is not vLLM. Its handlers can be replaced, and those that are nil behave as usual or answer
// 404. It counts each word as a token.
type OddServer struct {
	Models, Tokenize, Metrics http.HandlerFunc
	Chat                      func(w http.ResponseWriter, prompt int, messages []data.Message)
}

func (o *OddServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := map[string]http.HandlerFunc{"/v1/models": o.Models, "/tokenize": o.Tokenize, "/metrics": o.Metrics}[r.URL.Path]
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/v1/models":
		fmt.Fprint(w, `{"data":[{"id":"m"}]}`)
	case r.URL.Path == "/v1/chat/completions":
		var body struct{ Messages []data.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			panic(err)
		}
		n := 0
		for _, m := range body.Messages {
			n += len(strings.Fields(m.Content))
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if o.Chat != nil {
			o.Chat(w, n, body.Messages)
			return
		}
		WriteReply(w, Hellos(), n, 2)
	default:
		http.NotFound(w, r)
	}
}

// WriteReply writes events one by one, then a finish reason and the usage.
func WriteReply(w http.ResponseWriter, events string, prompt, completion int) {
	flush := w.(http.Flusher).Flush
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d}`, prompt, completion)
	for e := range strings.SplitSeq(events+Ended("length")+Used(usage), "\r\n") {
		if strings.HasPrefix(e, "data: ") {
			fmt.Fprint(w, e)
			flush()
		}
	}
}
