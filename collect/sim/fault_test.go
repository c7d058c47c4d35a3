package sim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"refuse":         {Kind: "refuse"},
		"500@3":          {Kind: "500", Request: 3},
		"429@*":          {Kind: "429"},
		"hang@2":         {Kind: "hang", Request: 2},
		"usage@2":        {Kind: "usage", Request: 2},
		"cut@2:5":        {Kind: "cut", Request: 2, Chunk: 5},
		"damage@*:1":     {Kind: "damage", Chunk: 1},
		"error@2:3":      {Kind: "error", Request: 2, Chunk: 3},
		"stall@2:4:1.5s": {Kind: "stall", Request: 2, Chunk: 4, Pause: 1500 * time.Millisecond},
	} {
		if got, err := ParseFault(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, why := range map[string]string{
		"": "unknown kind", "explode@1": "unknown kind", "@1": "unknown kind", "CUT@1:2": "unknown kind",
		"refuse@1": "refuse has no @REQUEST", "refuse@": "refuse has no @REQUEST",
		"500": "wants @REQUEST", "500@": "REQUEST must", "500@0": "REQUEST must", "500@-1": "REQUEST must", "500@x": "REQUEST must",
		"500@1:2": "wants @REQUEST",
		"cut@1":   "wants @REQUEST:CHUNK", "cut@1:0": "CHUNK must", "cut@1:x": "CHUNK must", "cut@1:*": "CHUNK must",
		"cut@1:2:3s": "wants @REQUEST:CHUNK",
		"stall@1:2":  "wants @REQUEST:CHUNK:PAUSE", "stall@1:2:3": "PAUSE must", "stall@1:2:-3s": "PAUSE must", "stall@1:2:0s": "PAUSE must",
		"hang@99999999999999999999": "REQUEST must",
	} {
		_, err := ParseFault(text)
		if err == nil || !strings.HasPrefix(err.Error(), "parse fault \""+text+"\": ") || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", text, err, why)
		}
	}
}

func faults(t *testing.T, texts ...string) (out []Fault) {
	t.Helper()
	for _, s := range texts {
		f, err := ParseFault(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// Each fault affects only the request and the event that it names. A stream here has seven events: a role, four tokens, usage and
// [DONE].
func TestFaults(t *testing.T) {
	const engineDied = `{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", ` +
		`"type": "InternalServerError", "param": null, "code": 500}}`
	for _, c := range []struct {
		fault  string
		status int
		events int
		broken []int // numbers of the events that are not JSON, from 1
		last   string
		whole  bool // the body ends properly
	}{
		{"500@2", 500, 0, nil, "", true},
		{"429@2", 429, 0, nil, "", true},
		{"cut@2:3", 200, 3, nil, "", false},
		{"cut@2:6", 200, 6, nil, "", false},
		{"cut@2:1", 200, 1, nil, "", false},
		{"damage@2:3", 200, 7, []int{3}, "[DONE]", true},
		{"error@2:3", 200, 4, nil, "[DONE]", true},
		{"stall@2:4:700ms", 200, 7, nil, "[DONE]", true},
		{"cut@2:99", 200, 7, nil, "[DONE]", true},
		{"500@3", 200, 7, nil, "[DONE]", true},
	} {
		clk := newClock()
		s := start(t, Options{Faults: faults(t, c.fault), Clock: Clock{clk.Now, clk.sleep}})
		body := chatBody("hi", "max_tokens", 4, "stream_options", object{"include_usage": true})
		if status, data, err := s.stream("/v1/chat/completions", body); status != 200 || len(data) != 7 || err != nil {
			t.Errorf("%s: the first request got %d, %d events, %v", c.fault, status, len(data), err)
		}
		status, data, err := s.stream("/v1/chat/completions", body)
		if status != c.status || len(data) != c.events || (err == nil) != c.whole || (err != nil && !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Errorf("%s: %d, %d events, %v: %q", c.fault, status, len(data), err, data)
			continue
		}
		var broken []int
		for i, d := range data {
			if d != "[DONE]" && !json.Valid([]byte(d)) {
				broken = append(broken, i+1)
			}
		}
		last := ""
		if len(data) > 0 && c.last != "" {
			last = data[len(data)-1]
		}
		if !slices.Equal(broken, c.broken) || last != c.last {
			t.Errorf("%s: broken events %v, the last %s", c.fault, broken, last)
		}
		if strings.HasPrefix(c.fault, "error") && data[2] != engineDied {
			t.Errorf("%s: %s", c.fault, data[2])
		}
		if got := clk.sleptFor(700 * time.Millisecond); got != strings.HasPrefix(c.fault, "stall") {
			t.Errorf("%s: paused %t", c.fault, got)
		}
		until(t, c.fault+": the engine is free", func() bool { running, waiting, used := s.eng.load(); return running+waiting == 0 && used == 0 })
		status, data, err = s.stream("/v1/chat/completions", body)
		if third := strings.HasPrefix(c.fault, "500@3"); (status == 500) != third || (err == nil && len(data) == 7) == third {
			t.Errorf("%s: the third request got %d, %d events, %v", c.fault, status, len(data), err)
		}
	}
}

// After an error in the stream the server computes nothing more for it.
func TestErrorEndsTheRequest(t *testing.T) {
	s := start(t, Options{Faults: faults(t, "error@1:3")})
	if _, data, err := s.stream("/v1/completions", tokens(numbered(0, 30), 10_000)); err != nil || len(data) != 4 {
		t.Errorf("%d events, %v", len(data), err)
	}
	until(t, "free", func() bool { running, _, _ := s.eng.load(); return running == 0 })
	if m := s.counters(); m[`vllm:request_success_total{finished_reason="length"}`] != 0 || m["vllm:generation_tokens_total"] == 0 {
		t.Errorf("%v tokens were generated, and the request was a success", m["vllm:generation_tokens_total"])
	}
}

func TestFaultAnswers(t *testing.T) {
	s := start(t, Options{Faults: faults(t, "500@1", "429@2")})
	for _, want := range []struct {
		status     int
		kind, wait string
	}{{500, "InternalServerError", ""}, {429, "TooManyRequestsError", "1"}} {
		resp, err := s.do(t.Context(), http.MethodPost, "/v1/completions", "application/json", `{"prompt":"a"}`)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Error struct {
				Type string
				Code int
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&e)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || e.Error.Code != want.status || e.Error.Type != want.kind ||
			resp.Header.Get("Retry-After") != want.wait {
			t.Errorf("%d %+v, retry after %q (%v)", resp.StatusCode, e, resp.Header.Get("Retry-After"), err)
		}
	}

	s = start(t, Options{Faults: faults(t, "refuse")})
	if resp, err := s.do(t.Context(), http.MethodGet, "/health", "", ""); err == nil {
		resp.Body.Close()
		t.Error("refuse: an answer came")
	}

	s = start(t, Options{Faults: faults(t, "hang@*")})
	s.http.Timeout = 50 * time.Millisecond
	for range 2 { // * means every request
		if status, _, err := s.stream("/v1/completions", object{"prompt": "a"}); status != 0 || err == nil {
			t.Errorf("hang: %d, %v", status, err)
		}
	}
	if status, _ := s.post("/tokenize", object{"prompt": "a"}); status != http.StatusOK {
		t.Errorf("hang affected /tokenize: %d", status)
	}
}
