//go:build duckdb_arrow

package history

import "testing"

func TestMovedSays(t *testing.T) {
	for _, tt := range []struct {
		m          Moved
		says, rest string
	}{
		{Moved{}, "0 runs added, 0 there before", ""},
		{Moved{Added: 1, Present: 2}, "1 run added, 2 there before", ""},
		{Moved{Added: 2, Renewed: 1, Older: 3, Running: 1},
			"2 runs added, 1 renewed, 0 there before, 3 left as they are there: not older; 1 run left out: not ended yet",
			"; 3 left as they are there: not older; 1 run left out: not ended yet"},
		{Moved{Running: 2}, "0 runs added, 0 there before; 2 runs left out: not ended yet", "; 2 runs left out: not ended yet"},
	} {
		if got := tt.m.Says("there"); got != tt.says {
			t.Errorf("%+v says %q, want %q", tt.m, got, tt.says)
		}
		if got := tt.m.Rest("there"); got != tt.rest {
			t.Errorf("of %+v the rest is %q, want %q", tt.m, got, tt.rest)
		}
	}
}
