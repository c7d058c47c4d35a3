package engine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseMetrics(t *testing.T) {
	for file, want := range map[string][2]float64{"metrics-vllm-0.32.txt": {18600, 11680}, "metrics-vllm-0.26.txt": {500288, 375376}} {
		text := recordedMetrics(t, file)
		series, err := ParseMetrics(text)
		if err != nil {
			t.Fatal(err)
		}
		s := &Scrape{Series: series}
		queries, _ := s.Total(vllm{}.CounterNames("prefix_cache_queries"))
		hits, ok := s.Total(vllm{}.CounterNames("prefix_cache_hits"))
		if !ok || queries != want[0] || hits != want[1] {
			t.Errorf("%s: queries %v, hits %v", file, queries, hits)
		}
		// Nothing is lost: there are as many series as lines with a value.
		lines := 0
		for l := range bytes.Lines(text) {
			if len(bytes.TrimSpace(l)) > 0 && l[0] != '#' {
				lines++
			}
		}
		if len(series) != lines {
			t.Errorf("%s: %d series of %d lines", file, len(series), lines)
		}
		var e Facts
		e.readMetrics(s)
		if !e.HasMetrics || e.PrefixCaching == nil || !*e.PrefixCaching ||
			e.BlockSizeTokens == nil || e.KVCacheSizeTokens == nil || *e.KVCacheSizeTokens%*e.BlockSizeTokens != 0 {
			t.Errorf("%s: engine is %+v", file, e)
		}
	}
	// What OpenMetrics adds, a byte-order mark, and a line that occurs twice.
	odd := "\ufeffa{x=\"}#\"} 3 1710000000.5\nb_total 5 # {trace=\"1\"} 0.5 1710000000.5\nc 1\nc 2\n"
	series, err := ParseMetrics([]byte(odd))
	if got := fmt.Sprint(series); got != `[{a x="}#" 3} {b_total  5} {c  2}]` || err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := ParseMetrics([]byte("a{b 1\n")); err == nil {
		t.Error("damaged metrics were read")
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add(recordedMetrics(f, "metrics-vllm-0.26.txt")[:4000])
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n"))
	f.Add([]byte("a{b=\"\\\"\"} NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		series, err := ParseMetrics(text)
		if err != nil {
			return
		}
		var e Facts
		e.readMetrics(&Scrape{Series: series})
		for _, s := range series {
			if s.Name == "" {
				t.Errorf("a series without a name: %+v", s)
			}
		}
	})
}

// A metric that is there under two names counts once.
func TestTwoNames(t *testing.T) {
	series, err := ParseMetrics([]byte(`vllm:prefix_cache_hits_total{engine="0"} 5
vllm:prefix_cache_hits_total{engine="1"} 6
vllm:gpu_prefix_cache_hits_total{engine="0"} 5
vllm:gpu_prefix_cache_hits_total{engine="1"} 6
`))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := (&Scrape{Series: series}).Total(vllm{}.CounterNames("prefix_cache_hits")); !ok || n != 11 {
		t.Errorf("%v", n)
	}
	if _, ok := (&Scrape{Series: series}).Total(vllm{}.CounterNames("prefix_cache_queries")); ok {
		t.Error("there is a total of a counter that the server does not have")
	}
}

func recordedMetrics(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
