package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"wb/collect/client"
	"wb/collect/client/clienttest"
)

// toy is a kind of server. A new kind takes no more than this and one line in All.
type toy struct{}

func (toy) Kind() Kind               { return "toy" }
func (toy) Recognises(f *Facts) bool { return f.Namespaces["toy"] }
func (toy) About() About             { return About{Name: "toy"} }
func (toy) Learn(_ context.Context, _ *client.Client, f *Facts) {
	f.Version = new("1")
}
func (toy) TokenIDs(context.Context, *client.Client, string, Text) ([]int32, error) {
	return []int32{1, 2}, nil
}
func (toy) Cache(*Facts) *Cache  { return &Cache{UnitTokens: 4} }
func (toy) Fields(*Facts) Fields { return Fields{IgnoreEOS: true} }
func (toy) CachedTokens(_ *Facts, reported *int64, missed bool) *int64 {
	return orZero(reported, missed)
}
func (toy) CounterNames(counter string) []string { return toyCounters[counter] }
func (toy) Reset(*Facts) *Reset                  { return &Reset{Path: "/empty"} }

var toyCounters = map[string][]string{"request_success": {"toy:requests_total"}, "prefix_cache_hits": {"toy:hit_tokens_total"}}

func orZero(n *int64, zero bool) *int64 {
	if n == nil && zero {
		return new(int64(0))
	}
	return n
}

// A new kind of server is one file and one line in the list of kinds.
func TestShapeOfAnEngine(t *testing.T) {
	var emptied atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) { emptied.Add(1) })
	mux.Handle("/", &clienttest.OddServer{Metrics: func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("toy:requests_total 3\ntoy:hit_tokens_total 5\n"))
	}})
	c := clientOf(t, served(t, mux), "")
	s, err := ProbeAs(t.Context(), c, "", slices.Concat([]Engine{toy{}}, All()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind() != "toy" || s.Takes() != (Fields{IgnoreEOS: true}) || *s.Cached(nil, true) != 0 {
		t.Errorf("it is %s and takes %+v", s.Kind(), s.Takes())
	}
	if *s.Version != "1" || !s.HasTokenize || s.Tokenizer == "" || s.CacheOf().UnitTokens != 4 {
		t.Errorf("what it was asked: %+v", s.Facts)
	}
	counters, ok := s.Counters(ReadMetrics(t.Context(), c, false))
	if want := (Counters{Finished: 3, Hits: 5}); !ok || counters != want {
		t.Errorf("its counters are %+v, want %+v", counters, want)
	}
	if err := s.EmptyCache(t.Context(), c); err != nil || emptied.Load() != 1 {
		t.Errorf("its cache was emptied %d times (%v)", emptied.Load(), err)
	}
}

// Every server is recognised, and by the kind that fits.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		facts Facts
		want  Kind
	}{
		{Facts{}, KindOpenAI},
		{Facts{OwnedBy: "llamacpp"}, KindLlamaCpp},
		{Facts{Answers: Answers{Namespaces: map[string]bool{"llamacpp": true}}}, KindLlamaCpp},
		{Facts{Software: "llama.cpp"}, KindLlamaCpp},
		{Facts{OwnedBy: "vllm"}, KindVLLM},
		{Facts{Answers: Answers{Namespaces: map[string]bool{"vllm": true}}}, KindVLLM},
		{Facts{OwnedBy: "vllm", Simulated: true}, KindSimulator},
	} {
		i := slices.IndexFunc(All(), func(e Engine) bool { return e.Recognises(&c.facts) })
		if i < 0 || All()[i].Kind() != c.want {
			t.Errorf("%+v is recognised by number %d of the kinds, want %s", c.facts, i, c.want)
		}
	}
}

// served serves a handler and gives its URL.
func served(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
