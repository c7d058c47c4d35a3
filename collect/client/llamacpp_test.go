package client

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
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
			re := decodeAll(t, string(body))
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

// Times that cannot be right stay unknown, and do not spoil the others.
func TestServerTimes(t *testing.T) {
	for _, c := range []struct{ member, raw, want string }{
		{"timings", `{"cache_n":3,"prompt_n":6,"prompt_ms":1.5,"predicted_n":2,"predicted_ms":9,"draft_n":4,"draft_n_accepted":1}`,
			"timings: queue nil, prefill 1.5, decode 9 ms; cached 3, prefill 6, decode 2, drafts 4, accepted 1"},
		{"timings", `{"cache_n":"3","prompt_n":-6,"prompt_ms":"soon","predicted_n":2.5,"predicted_ms":9}`,
			"timings: queue nil, prefill nil, decode 9 ms; cached 3, prefill nil, decode nil, drafts nil, accepted nil"},
		{"timings", `{"prompt_ms":-1,"predicted_ms":1e300}`, "the server says no times"},
		{"timings", `{"prompt_ms":1,"predicted_n":2,"draft_n":1,"draft_n_accepted":3}`,
			"timings: queue nil, prefill 1, decode nil ms; cached nil, prefill nil, decode 2, drafts nil, accepted nil"},
		{"timings", `"none"`, "the server says no times"},
		{"metrics", `{"time_to_first_token_ms":31.4,"generation_time_ms":84.2,"queue_time_ms":0.03,"mean_itl_ms":3.7}`,
			"metrics: queue 0.03, prefill 31.4, decode 84.2 ms; cached nil, prefill nil, decode nil, drafts nil, accepted nil"},
		{"metrics", `{"queue_time_ms":null}`, "the server says no times"},
		{"metrics", `[1]`, "the server says no times"},
	} {
		re := decodeAll(t, `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2},"`+c.member+`":`+c.raw+"}\n\n")
		if got := serverRow(re.Server); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.member, c.raw, got, c.want)
		}
	}
}
