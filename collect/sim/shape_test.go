package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const hello = `"messages":[{"role":"user","content":"hello"}]`

// Bad requests get the same JSON as from vLLM, and good ones an answer of the same shape. The answers are those in testdata/errors. The
// requests are written to match them.
func TestErrorsAsCaptured(t *testing.T) {
	s := start(t, Options{Model: "tiny", MaxModelLen: 8192})
	long := `"messages":[{"role":"user","content":"` + strings.Repeat("so ", 9000) + `"}]`
	const chat = "/v1/chat/completions"
	for _, c := range []struct{ name, path, body string }{
		{"bad_temp", chat, `{"model":"tiny",` + hello + `,"temperature":-1}`},
		{"bad_type", chat, `{"model":"tiny","messages":"hello"}`},
		{"cache_salt_empty", chat, `{` + hello + `,"cache_salt":""}`},
		{"consecutive_user_roles", chat, `{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}],"max_tokens":2}`},
		{"cont_usage_no_stream", chat, `{` + hello + `,"stream_options":{"continuous_usage_stats":true}}`},
		{"content_parts", chat, `{"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}],"max_tokens":2}`},
		{"empty_body", chat, ``},
		{"empty_messages", chat, `{"model":"tiny","messages":[]}`},
		{"get_on_post", chat, ``},
		{"malformed_json", chat, `{"model": "tiny", "messages": [`},
		{"max_tokens_0", chat, `{` + hello + `,"max_tokens":0}`},
		{"max_tokens_exact_edge", chat, `{` + long + `,"max_tokens":10}`},
		{"max_tokens_too_big", chat, `{` + hello + `,"max_tokens":9000}`},
		{"min_gt_max", chat, `{` + hello + `,"max_tokens":2,"min_tokens":5}`},
		{"no_model", chat, `{` + hello + `,"max_tokens":4}`},
		{"not_json_ct", chat, `{` + hello + `}`},
		{"system_mid", chat, `{"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}],"max_tokens":2}`},
		{"tokenize_bad_model", "/tokenize", `{"model":"nope","prompt":"a"}`},
		{"too_long", chat, `{` + long + `}`},
		{"too_long_stream", chat, `{` + long + `,"stream":true}`},
		{"unknown_model", chat, `{"model":"nope",` + hello + `}`},
		{"unknown_path", "/v1/nope", `{}`},
	} {
		want, wantBody := captured(t, "errors/"+c.name)
		method, kind := http.MethodPost, "application/json; charset=utf-8"
		switch c.name {
		case "get_on_post":
			method = http.MethodGet
		case "not_json_ct":
			kind = "text/plain"
		}
		got, err := s.do(t.Context(), method, c.path, kind, c.body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []string{"Content-Type", "Allow"} {
			if got.Header.Get(h) != want.Header.Get(h) {
				t.Errorf("%s: %s %q, vLLM %q", c.name, h, got.Header.Get(h), want.Header.Get(h))
			}
		}
		if got.StatusCode != want.StatusCode {
			t.Errorf("%s: %d, vLLM %d: %s", c.name, got.StatusCode, want.StatusCode, body)
			continue
		}
		if want.StatusCode == http.StatusOK {
			sameShape(t, c.name, body, wantBody)
			continue
		}
		var g, w any
		if json.Unmarshal(body, &g) != nil || json.Unmarshal(wantBody, &w) != nil || !reflect.DeepEqual(g, w) {
			t.Errorf("%s:\n got  %s\n vLLM %s", c.name, body, wantBody)
		}
	}
}

// Refusals without a captured answer have the right status and name the right parameter.
func TestRefusals(t *testing.T) {
	s := start(t, Options{Model: "tiny", MaxModelLen: 64})
	for _, c := range []struct {
		path, body string
		status     int
		param      string
	}{
		{"/v1/chat/completions", `{}`, 400, "body.messages"},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":7}]}`, 400, "body.messages"},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "body"},
		{"/v1/chat/completions", `{"max_tokens":"many"}`, 400, "body.max_tokens"},
		{"/v1/chat/completions", `{"a":1,}`, 400, "body.7"},
		{"/v1/chat/completions", `{` + hello + `,"max_tokens":63}`, 400, "input_tokens"},
		{"/v1/completions", `{}`, 400, "body.prompt"},
		{"/v1/completions", `{"prompt":""}`, 400, "prompt"},
		{"/v1/completions", `{"prompt":["a","b"]}`, 400, "body.prompt"},
		{"/v1/completions", `{"prompt":"a","model":"x"}`, 404, "model"},
		{"/tokenize", `{}`, 400, "body.prompt"},
		{"/tokenize", `{"messages":[]}`, 400, ""},
		{"/detokenize", `{"tokens":"a"}`, 400, "body.tokens"},
		{"/detokenize", `[1]`, 400, "body"},
	} {
		resp, err := s.do(t.Context(), http.MethodPost, c.path, "application/json", c.body)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Error struct {
				Message, Type string
				Param         *string
				Code          int
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&e)
		resp.Body.Close()
		param := ""
		if e.Error.Param != nil {
			param = *e.Error.Param
		}
		if err != nil || resp.StatusCode != c.status || e.Error.Code != c.status || !strings.HasPrefix(param, c.param) ||
			(c.param == "") != (param == "") || e.Error.Message == "" || e.Error.Type == "" {
			t.Errorf("%s %s: %d %+v param %q, want %d %q (%v)", c.path, c.body, resp.StatusCode, e.Error, param, c.status, c.param, err)
		}
	}
	for _, c := range []struct {
		method, path, allow string
		status              int
	}{
		{"GET", "/", "", 404}, {"DELETE", "/v1/models", "GET", 405}, {"PUT", "/tokenize", "POST", 405}, {"POST", "/metrics", "GET", 405},
		{"GET", "/reset_prefix_cache", "POST", 405}, {"GET", "/v1", "", 404},
	} {
		resp, err := s.do(t.Context(), c.method, c.path, "", "")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := map[int]string{404: `{"detail":"Not Found"}`, 405: `{"detail":"Method Not Allowed"}`}[c.status]
		if resp.StatusCode != c.status || string(body) != want || resp.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %s, allow %q", c.method, c.path, resp.StatusCode, body, resp.Header.Get("Allow"))
		}
	}
}

func TestEndpointsAsCaptured(t *testing.T) {
	s := start(t, Options{Model: "tiny", MaxModelLen: 8192})
	const messages = `"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"Hello, how are you today?"}]`
	for _, c := range []struct {
		name, method, path, body string
		extra                    []string
	}{
		{"health", "GET", "/health", "", nil},
		{"health", "GET", "/ping", "", nil},
		{"version", "GET", "/version", "", []string{".simulated bool", ".imitates object", ".imitates.gpu string", ".imitates.model string"}},
		{"models", "GET", "/v1/models", "", nil},
		{"tokenize_messages", "POST", "/tokenize", `{` + messages + `,"return_token_strs":true}`, nil},
		{"tokenize_messages_nogen", "POST", "/tokenize", `{` + messages + `,"add_generation_prompt":false}`, nil},
		{"tokenize_prompt", "POST", "/tokenize", `{"model":"tiny","prompt":"Hello, how are you today?"}`, nil},
		{"tokenize_prompt_strs", "POST", "/tokenize", `{"prompt":"Hello, how are you today?","return_token_strs":true}`, nil},
		{"tokenize_nomodel", "POST", "/tokenize", `{"prompt":"Hello"}`, nil},
		{"detokenize", "POST", "/detokenize", `{"tokens":[1,2,3]}`, nil},
		{"reset", "POST", "/reset_prefix_cache", "", nil},
	} {
		want, wantBody := captured(t, "endpoints/"+c.name)
		got, err := s.do(t.Context(), c.method, c.path, "application/json", c.body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || got.StatusCode != want.StatusCode || got.Header.Get("Content-Type") != want.Header.Get("Content-Type") {
			t.Errorf("%s: %d %q, vLLM %d %q", c.path, got.StatusCode, got.Header.Get("Content-Type"), want.StatusCode,
				want.Header.Get("Content-Type"))
			continue
		}
		if len(wantBody) == 0 || len(body) == 0 {
			if len(body) != len(wantBody) {
				t.Errorf("%s: %q, vLLM %q", c.path, body, wantBody)
			}
			continue
		}
		sameShape(t, c.name, body, wantBody, c.extra...)
	}
	// messages, tokens and text agree with each other
	var whole, turns struct {
		Count    int
		Tokens   []int32
		Strs     []string `json:"token_strs"`
		MaxModel int      `json:"max_model_len"`
	}
	_, text := s.post("/tokenize", object{"messages": []object{{"role": "user", "content": "Hello"}}, "return_token_strs": true})
	if err := json.Unmarshal(text, &whole); err != nil || whole.Count != len(whole.Tokens) || whole.MaxModel != 8192 ||
		strings.Join(whole.Strs, "") != "<|user|>\nHello<|end|>\n<|assistant|>\n" {
		t.Errorf("tokenize: %s", text)
	}
	_, text = s.post("/tokenize", object{"messages": []object{{"role": "user", "content": "Hello"}}, "add_generation_prompt": false})
	if err := json.Unmarshal(text, &turns); err != nil || turns.Strs != nil ||
		!slices.Equal(turns.Tokens, whole.Tokens[:len(whole.Tokens)-2]) {
		t.Errorf("tokenize without generation prompt: %s", text)
	}
	_, text = s.post("/detokenize", object{"tokens": whole.Tokens})
	if string(text) != `{"prompt":"\u003c|user|\u003e\nHello\u003c|end|\u003e\n\u003c|assistant|\u003e\n"}` {
		t.Errorf("detokenize: %s", text)
	}
	if r := s.complete(chatBody("Hello", "max_tokens", 2)); !slices.Equal(r.prompt, whole.Tokens) {
		t.Errorf("a chat has prompt %v, /tokenize said %v", r.prompt, whole.Tokens)
	}
}

// Streams have as many events as those of vLLM, and each event has the same shape.
func TestStreamsAsCaptured(t *testing.T) {
	s := start(t, Options{Model: "tiny"})
	usage, both := object{"include_usage": true}, object{"include_usage": true, "continuous_usage_stats": true}
	for _, c := range []struct {
		name, path string
		body       object
	}{
		{"basic_usage_only", "/v1/chat/completions", chatBody("hi", "max_tokens", 8, "stream_options", usage)},
		{"basic_usage_cont", "/v1/chat/completions", chatBody("hi", "max_tokens", 8, "stream_options", both)},
		{"warm", "/v1/chat/completions", chatBody("hi", "max_tokens", 8)},
		{"max_tokens_1", "/v1/chat/completions", chatBody("hi", "max_completion_tokens", 1, "stream_options", usage)},
		{"return_token_ids", "/v1/chat/completions", chatBody("hi", "max_tokens", 8, "stream_options", usage, "return_token_ids", true)},
		{"prompt_token_ids_completion", "/v1/completions", object{"prompt": []int{7, 8, 9}, "max_tokens": 4, "stream_options": both}},
	} {
		c.body["ignore_eos"] = true
		_, wantBody := captured(t, "stream/"+c.name)
		want, err := events(bytes.NewReader(wantBody))
		if err != nil {
			t.Fatal(err)
		}
		status, got, err := s.stream(c.path, c.body)
		if err != nil || status != http.StatusOK || len(got) != len(want) {
			t.Errorf("%s: %d, %d events (%v), vLLM %d", c.name, status, len(got), err, len(want))
			continue
		}
		for i := range want {
			if want[i] == "[DONE]" {
				if got[i] != want[i] {
					t.Errorf("%s: event %d is %s", c.name, i+1, got[i])
				}
				continue
			}
			sameShape(t, c.name+" event "+want[i][:20], []byte(got[i]), []byte(want[i]))
		}
	}
}

// A streamed answer is equal to one in a single piece, and its running usage counts its tokens.
func TestStreamAgreesWithWhole(t *testing.T) {
	s := start(t, Options{Seed: 3})
	for _, path := range []string{"/v1/chat/completions", "/v1/completions"} {
		body := chatBody("Tell me about blocks.", "return_token_ids", true, "max_tokens", 400)
		if path == "/v1/completions" {
			body = object{"prompt": "Tell me about blocks.", "return_token_ids": true, "max_tokens": 400}
		}
		one := s.complete(body)
		body["stream_options"] = object{"include_usage": true, "continuous_usage_stats": true}
		_, data, err := s.stream(path, body)
		if err != nil {
			t.Fatal(err)
		}
		var text, finish string
		var ids, prompt []int32
		last, closing := 0, false
		for _, d := range data[:len(data)-1] {
			var e struct {
				Choices []struct {
					Text           string
					Delta          struct{ Content string }
					FinishReason   *string `json:"finish_reason"`
					TokenIDs       []int32 `json:"token_ids"`
					PromptTokenIDs []int32 `json:"prompt_token_ids"`
				}
				PromptTokenIDs []int32 `json:"prompt_token_ids"`
				Usage          struct {
					Completion int `json:"completion_tokens"`
					Details    *struct {
						Cached int `json:"cached_tokens"`
					} `json:"prompt_tokens_details"`
				}
			}
			if err := json.Unmarshal([]byte(d), &e); err != nil {
				t.Fatal(err)
			}
			prompt = append(prompt, e.PromptTokenIDs...)
			for _, c := range e.Choices {
				text += c.Text + c.Delta.Content
				ids = append(ids, c.TokenIDs...)
				prompt = append(prompt, c.PromptTokenIDs...)
				if c.FinishReason != nil {
					finish = *c.FinishReason
				}
			}
			if e.Usage.Completion != len(ids) || e.Usage.Completion < last {
				t.Errorf("%s: usage counts %d tokens after %d", path, e.Usage.Completion, len(ids))
			}
			last = e.Usage.Completion
			closing = e.Usage.Details != nil
		}
		if text != one.text || finish != one.finish || !slices.Equal(ids, one.ids) || !slices.Equal(prompt, one.prompt) || !closing {
			t.Errorf("%s: streamed %q (%s, closing usage %t), whole %q (%s)", path, text, finish, closing, one.text, one.finish)
		}
		if one.finish != "stop" || one.ids[len(one.ids)-1] != endToken || strings.Contains(one.text, "<|") || one.text == "" {
			t.Errorf("%s: ended by %s with %q", path, one.finish, one.text)
		}
	}
}

func TestLimits(t *testing.T) {
	s := start(t, Options{})
	natural := s.complete(chatBody("hi")).tokens
	for _, c := range []struct {
		name   string
		body   object
		tokens int
		finish string
	}{
		{"max_tokens", chatBody("hi", "max_tokens", 3), 3, "length"},
		{"max_completion_tokens wins", chatBody("hi", "max_tokens", 3, "max_completion_tokens", 5), 5, "length"},
		{"exactly enough", chatBody("hi", "max_tokens", natural), natural, "stop"},
		{"one short", chatBody("hi", "max_tokens", natural-1), natural - 1, "length"},
		{"ignore_eos", chatBody("hi", "max_tokens", natural+9, "ignore_eos", true), natural + 9, "length"},
		{"min_tokens, then the end", chatBody("hi", "max_tokens", 2*natural, "min_tokens", natural), natural + 1, "stop"},
		{"the default of completions", object{"prompt": "hi", "ignore_eos": true}, 16, "length"},
	} {
		if r := s.complete(c.body); r.tokens != c.tokens || r.finish != c.finish {
			t.Errorf("%s: %d tokens, %s; want %d, %s", c.name, r.tokens, r.finish, c.tokens, c.finish)
		}
	}
}

// Every sample of the simulator has the name, type, help and buckets of vLLM 0.26.
func TestMetricsAsCaptured(t *testing.T) {
	raw, err := os.ReadFile("../engine/testdata/metrics-vllm-0.26.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{})
	s.complete(chatBody("hi", "max_tokens", 3))
	resp, err := s.do(context.Background(), http.MethodGet, "/metrics", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		comments[strings.TrimSpace(line)] = line[0] == '#'
	}
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' && !comments[strings.TrimSpace(line)] {
			t.Errorf("vLLM has no %q", line)
		}
	}
	want, got := parseMetrics(t, string(raw)), parseMetrics(t, string(text))
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("vLLM has no sample %s", name)
		}
	}
	for name := range want {
		family, _, bucket := strings.Cut(name, "_bucket{")
		if _, served := got[family+"_count"]; bucket && served {
			if _, ok := got[name]; !ok {
				t.Errorf("lacks bucket %s", name)
			}
		}
	}
	if resp.Header.Get("Content-Type") != "text/plain; version=1.0.0; charset=utf-8" {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
}
