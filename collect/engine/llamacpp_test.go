package engine

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wb/collect/client"
)

// recorded answers as llama.cpp's server b10434 did: its answers are recorded. Messages are rendered and then tokenised.
func recorded(t *testing.T, other map[string]http.HandlerFunc) string {
	t.Helper()
	file := func(name string) http.HandlerFunc {
		b, err := os.ReadFile(filepath.Join("testdata", "llamacpp", name))
		if err != nil {
			t.Fatal(err)
		}
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	ids := file("tokenize_applied_template_special.json")
	none := file("tokenize_wb_messages.json")
	paths := map[string]http.HandlerFunc{
		"/v1/models": file("v1_models.json"), "/props": file("props.json"), "/metrics": file("metrics_end.txt"),
		"/apply-template": file("apply_template.json"),
		"/tokenize": func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				Content string `json:"content"`
			}
			b, _ := io.ReadAll(r.Body)
			if json.Unmarshal(b, &body); body.Content == "" {
				none(w, r)
				return
			}
			ids(w, r)
		},
	}
	maps.Copy(paths, other)
	return served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "llama.cpp")
		if h, ok := paths[r.URL.Path]; ok {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	}))
}

// What a llama.cpp server says about itself, and how its cache works.
func TestLlamaCppFacts(t *testing.T) {
	c := clientOf(t, recorded(t, nil), "")
	s, err := Probe(t.Context(), c, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind() != KindLlamaCpp || *s.Version != "b1-7e4c0a9" || *s.MaxModelLenTokens != 8192 || *s.Slots != 1 ||
		*s.Quantization != "Q4_1" || *s.Parameters != 134515008 || *s.WeightsBytes != 96576768 || !s.HasTokenize ||
		!s.HasMetrics || *s.ModelRoot != "PATH/smollm2-135m.gguf" || len(s.Absent) > 0 {
		t.Errorf("%s: %+v", s.Kind(), s.Facts)
	}
	how := s.CacheOf()
	if how.UnitTokens != 1 || how.Slots == nil || how.Slots.Slots != 1 || how.Slots.ContextTokens != 8192 ||
		how.Slots.HostBytes != 8192<<20 || how.Slots.Partial {
		t.Errorf("its cache: %+v, %+v", how, how.Slots)
	}
	if f := s.Takes(); f != (Fields{IgnoreEOS: true, Timings: true, Fresh: true}) || s.Reset(&s.Facts) != nil {
		t.Errorf("it takes %+v", f)
	}
	ids, err := s.TokenIDs(t.Context(), c, s.Model, Text{Messages: []client.Message{{Role: "user", Content: "Name three primary colours."}}})
	if err != nil || len(ids) != 25 || ids[0] != 1 {
		t.Errorf("%d token ids (%v)", len(ids), err)
	}
	counters, _ := s.Counters(ReadMetrics(t.Context(), c, false))
	if counters != (Counters{Queries: 3956 + 3519, Hits: 3519}) {
		t.Errorf("its counters are %+v", counters)
	}
}

// A server that answers less says less, and wb says what is missing.
func TestLlamaCppLacks(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"code":501}}`, http.StatusNotImplemented)
	}
	for path, want := range map[string]string{"/props": "no_props", "/tokenize": "no_tokenize", "/metrics": "no_metrics"} {
		s, err := Probe(t.Context(), clientOf(t, recorded(t, map[string]http.HandlerFunc{path: refuse}), ""), "", nil)
		if err != nil || s.Kind() != KindLlamaCpp || len(s.Absent) != 1 || s.Absent[0].Kind != want {
			t.Errorf("without %s: %v, %+v", path, err, s)
		}
	}
	odd := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"default_generation_settings":{"n_ctx":-5},"total_slots":"many","build_info":7}`))
	}
	s, err := Probe(t.Context(), clientOf(t, recorded(t, map[string]http.HandlerFunc{"/props": odd}), ""), "", nil)
	if err != nil || *s.MaxModelLenTokens != 8192 || s.Slots != nil || *s.Version != "7" {
		t.Errorf("odd properties: %v, %+v", err, s)
	}
}

func TestReadLlamaFlags(t *testing.T) {
	for _, c := range []struct{ words, environ, want string }{
		{"-m model.gguf -c 8192 -np -1 --swa-full -ctk q8_0 --no-kv-unified --temp -0.5 --jinja", "LLAMA_ARG_CACHE_RAM=100 PATH=/bin",
			"cache-ram=100 cache-type-k=q8_0 ctx-size=8192 kv-unified=off parallel=-1 swa-full=on"},
		{"--no-cache-prompt --cache-prompt -ngl 3 --gpu-layers=5", "", "cache-prompt=on n-gpu-layers=5"},
		{"-np 2", "LLAMA_ARG_KV_UNIFIED=0 LLAMA_ARG_SWA_FULL=false LLAMA_ARG_NO_CACHE_PROMPT=0 LLAMA_ARG_N_PARALLEL=3",
			"cache-prompt=off kv-unified=off parallel=2 swa-full=off"},
		// what may be secret is never read
		{"-hft hf_SECRET --api-key a,b --mcp-servers-json {} --model-url http://u:p@h/x", "LLAMA_API_KEY=s HF_TOKEN=t", ""},
	} {
		flags := readLlamaFlags(strings.Fields(c.words), strings.Fields(c.environ))
		var got []string
		for _, name := range slices.Sorted(maps.Keys(flags)) {
			got = append(got, name+"="+flags[name])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.words, strings.Join(got, " "), c.want)
		}
	}
}

func TestLlamaCache(t *testing.T) {
	for _, c := range []struct {
		flags   string // "none": they cannot be seen
		slots   int64
		unified bool
		partial bool // of a model with a window
		host    int64
		idle    bool
	}{
		{"-np 2", 2, false, true, 8192 << 20, true},
		{"-np 2 -kvu --swa-full", 2, true, false, 8192 << 20, true},
		{"", 4, true, true, 8192 << 20, true},
		{"--no-kv-unified", 4, true, true, 8192 << 20, true}, // an automatic number of slots shares one cache all the same
		{"-np -2 --cache-ram -1 --no-cache-idle-slots", 4, true, true, -1 << 20, false},
		{"none", 2, false, true, 8192 << 20, true},
		{"none", 4, true, true, 8192 << 20, true},
	} {
		f := Facts{SlotFacts: SlotFacts{Slots: &c.slots, WindowTokens: 512}}
		if c.flags != "none" {
			f.Flags = readLlamaFlags(strings.Fields(c.flags), nil)
		}
		o := llamaCpp{}.Cache(&f).Slots
		if o.Slots != int(c.slots) || o.Unified != c.unified || o.Partial != c.partial || o.HostBytes != c.host || o.SaveIdle != c.idle {
			t.Errorf("%q: %+v", c.flags, o)
		}
	}
	f := Facts{SlotFacts: SlotFacts{Flags: map[string]string{"cache-prompt": off}}}
	if (llamaCpp{}).Cache(&f) != nil {
		t.Error("a server without a prompt cache has one")
	}
}
