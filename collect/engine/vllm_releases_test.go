package engine

import (
	"fmt"
	"testing"
)

func TestAdapter(t *testing.T) {
	for in, want := range map[string]Version{"0.32.0": {0, 32}, "0.11.1rc2.dev3+g1a2b": {0, 11}, "v0.10.2": {0, 10}, "1.0.0": {1, 0}} {
		if got, ok := ParseVersion(in); !ok || got != want {
			t.Errorf("%s is %v", in, got)
		}
	}
	if _, ok := ParseVersion("dev"); ok {
		t.Error("dev is a version")
	}
	if a := NewAdapter("dev"); a.Known || !a.Version.AtLeast(0, 33) {
		t.Errorf("%+v", a)
	}
	for v, known := range map[string]bool{"0.9.2": false, "0.10.0": true, "0.33.1": true, "0.34.0": false, "1.0": false} {
		if NewAdapter(v).Known != known {
			t.Errorf("%s", v)
		}
	}
	if exists, dev := NewAdapter("0.22.1").Endpoint("/reset_prefix_cache"); !exists || !dev {
		t.Error("/reset_prefix_cache is there in development mode")
	}
	// The call that empties the cache is tried with every vLLM. Only for known releases is it known to exist.
	for version, known := range map[string]bool{"0.22.1": true, "0.9.2": false, "0.1.dev1": false} {
		f := &Facts{Version: &version}
		if how := (vllm{}).Reset(f); how == nil || how.Path != "/reset_prefix_cache" || how.Known != known {
			t.Errorf("%q: %+v", version, how)
		}
	}
	if exists, _ := NewAdapter("0.32.0").Endpoint("/nope"); exists {
		t.Error("/nope is there")
	}
	five := int64(5)
	for _, tt := range []struct {
		version         string
		reported        *int64
		details, missed bool
		want            string
	}{
		{"0.22.1", nil, true, false, "0"},
		{"0.22.1", nil, false, true, "0"},
		{"0.22.1", nil, false, false, "nil"},
		{"0.22.1", &five, true, true, "5"},
		{"0.23.0", nil, true, true, "nil"},
		{"0.32.0", &five, true, false, "5"},
	} {
		got := "nil"
		if n := NewAdapter(tt.version).CachedTokens(tt.reported, tt.details, tt.missed); n != nil {
			got = fmt.Sprint(*n)
		}
		if got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
