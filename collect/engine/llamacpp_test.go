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
	if f := s.Takes(); f != (Fields{IgnoreEOS: true, Timings: true}) || s.Reset(&s.Facts) != nil {
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
	environ := []string{"PATH=/bin", "LLAMA_ARG_CACHE_RAM=100", "LLAMA_ARG_N_PARALLEL=3", "LLAMA_ARG_CTX_SIZE=1"}
	flags := readLlamaFlags(strings.Fields("-m model.gguf -c 8192 -np -1 --swa-full -ctk q8_0 --no-kv-unified --temp -0.5 --jinja"), environ)
	var got []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		got = append(got, name+"="+flags[name])
	}
	want := "cache-ram=100 cache-type-k=q8_0 ctx-size=8192 jinja=on model=model.gguf no-kv-unified=on parallel=-1 swa-full=on temp=-0.5"
	if strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", strings.Join(got, " "), want)
	}
	f := Facts{SlotFacts: SlotFacts{Flags: flags, Slots: new(int64(4)), WindowTokens: 512}}
	if o := (llamaCpp{}).Cache(&f).Slots; o.Slots != 4 || o.HostBytes != 100<<20 || o.Unified || o.Partial {
		t.Errorf("%+v", o)
	}
	delete(flags, "swa-full")
	delete(flags, "no-kv-unified")
	flags["cache-ram"] = "-1"
	if o := (llamaCpp{}).Cache(&f).Slots; o.HostBytes >= 0 || !o.Unified || !o.Partial {
		t.Errorf("%+v", o)
	}
	flags["no-cache-prompt"] = "on"
	if (llamaCpp{}).Cache(&f) != nil {
		t.Error("a server without a prompt cache has one")
	}
}
