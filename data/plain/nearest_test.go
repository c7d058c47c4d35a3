package plain

import (
	"slices"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	reports := []string{"cache_hit_by_turn", "cache_miss_causes", "run_events", "run_overview", "stalls", "ttft_by_context", "ttft_by_turn",
		"ttft_cold_vs_cached", "ttft_split"}
	for _, tt := range []struct{ name, want string }{
		{"ttft", "ttft_by_context ttft_by_turn ttft_cold_vs_cached ttft_split"},
		{"TTFT_by", "ttft_by_context ttft_by_turn"},
		{"ttft_by_tern", "ttft_by_turn"},
		{"tfft_by_turn", "ttft_by_turn"},
		{"miss", "cache_miss_causes"},
		{"stall", "stalls"},
		{"stlals", "stalls"},
		{"cache-hit", "cache_hit_by_turn"},
		{"cahce_hit", "cache_hit_by_turn"},
		{"events", "run_events"},
		{"energy", ""},
		{"s", ""}, // one letter is near to everything
		{"", ""},
		{strings.Repeat("stalls", 100), ""},
	} {
		if got := strings.Join(Nearest(tt.name, reports), " "); got != tt.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"eager", "graphs", "instant"}
	for _, tt := range []struct{ name, did, instead string }{
		{"eagr", "; did you mean eager?", "; did you mean eager?"},
		{"a", "", "; known are eager, graphs, instant"},
		{"EAGER", "; did you mean eager?", "; did you mean eager?"},
		{"an", "; did you mean instant?", "; did you mean instant?"},
		{"slow", "", "; known are eager, graphs, instant"},
	} {
		if got := DidYouMean(tt.name, known); got != tt.did {
			t.Errorf("DidYouMean(%q) = %q, want %q", tt.name, got, tt.did)
		}
		if got := Instead(tt.name, known); got != tt.instead {
			t.Errorf("Instead(%q) = %q, want %q", tt.name, got, tt.instead)
		}
	}
	known = []string{"run-c", "run-b", "run-a", "run-f", "run-e", "run-d"}
	if got := DidYouMean("run", known); got != "; did you mean run-a, run-b, run-c, run-d or run-e?" {
		t.Errorf("several: %q", got)
	}
	if got := Instead("x", nil); got != "" {
		t.Errorf("nothing is known: %q", got)
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("ttft", "ttft_by_turn,stalls")
	f.Add("\xff\xfe", "é,ü")
	f.Fuzz(func(t *testing.T, name, known string) {
		all := strings.Split(known, ",")
		near := Nearest(name, all)
		if len(near) > mostNearest {
			t.Errorf("%d names", len(near))
		}
		for _, n := range near {
			if !slices.Contains(all, n) {
				t.Errorf("%q is not known", n)
			}
		}
		if a, b := distance(name, known), distance(known, name); len(name)+len(known) < 200 && a != b {
			t.Errorf("distance is %d one way and %d the other", a, b)
		}
	})
}
