package serve

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wb/data/hub"
)

func TestResolveGGUF(t *testing.T) {
	dir := t.TempDir()
	h := &hub.Client{CacheDir: filepath.Join(dir, "hub")}
	put := func(path string) string {
		t.Helper()
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("GGUF\x03"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const snapshot = "/snapshots/0123456789abcdef0123456789abcdef01234567/"
	q4, q8 := put("hub/models--org--Smol-GGUF"+snapshot+"Smol-Q4_K_M.gguf"), put("hub/models--org--Smol-GGUF"+snapshot+"Smol-Q8_0.gguf")
	put("hub/models--org--Smol-GGUF" + snapshot + "mmproj-F16.gguf")
	put("hub/models--a--x" + snapshot + "same-Q8_0.gguf")
	put("hub/models--b--x" + snapshot + "same-Q8_0.gguf")
	put("hub/models--org--half" + snapshot + "half-Q8_0-00001-of-00002.gguf")
	one, second := put("one/tiny.gguf"), put("one/mmproj-tiny.gguf")
	part1, part2 := put("two/big-00001-of-00002.gguf"), put("two/big-00002-of-00002.gguf")
	put("three/a.gguf")
	put("three/b.gguf")
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct{ name, path, served, fails string }{
		{one, one, "tiny", ""},
		{in("one"), one, "tiny", ""},
		{second, second, "mmproj-tiny", ""},
		{part2, part1, "big", ""},
		{in("two"), part1, "big", ""},
		{in("three"), "", "", "the folder has several: a.gguf, b.gguf"},
		{dir, "", "", "the folder has no GGUF file"},
		{in("notes.txt"), "", "", "it is not a GGUF file"},
		{in("nope.gguf"), "", "", "no such file or folder"},
		{"models/nope.gguf", "", "", "no such file or folder"},
		{"org/Smol-GGUF", q4, "org/Smol-GGUF:Q4_K_M", ""},
		{"org/Smol-GGUF:q8_0", q8, "org/Smol-GGUF:Q8_0", ""},
		{"org/Smol-GGUF/Smol-Q8_0.gguf", q8, "org/Smol-GGUF:Q8_0", ""},
		{"smol-q4_k_m", q4, "Smol-Q4_K_M", ""},
		{"Smol-Q8_0.gguf", q8, "Smol-Q8_0", ""},
		{"same-q8_0", "", "", "the cache has several: a/x/same-Q8_0.gguf, b/x/same-Q8_0.gguf"},
		{"smol-q5_k_m", "", "", "the cache has no GGUF file of that name; did you mean Smol-Q4_K_M?"},
		{"org/Smol-GGUF:", "", "", "after the colon it must be a quantisation"},
		{"org/Smol-GGUF:Q5_K_M", "", "", "not in the cache: it has no Q5_K_M; it has Q4_K_M, Q8_0"},
		{"org/nope", "", "", "not in the cache"},
		{"org/half:Q8_0", "", "", "only part of it is there: 1 of its 2 parts are there"},
		{"half-q8_0", "", "", "only part of org/half:Q8_0 is in the cache: not in the cache"},
	} {
		path, served, err := ResolveGGUF(h, tt.name)
		if tt.fails == "" && (err != nil || path != tt.path || served != tt.served) {
			t.Errorf("%s is %s, served as %s (%v)", tt.name, path, served, err)
		}
		if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
			t.Errorf("%s: error is %v, want %q", tt.name, err, tt.fails)
		}
		missing := strings.Contains(tt.fails, "not in the cache") || strings.Contains(tt.fails, "only part")
		if errors.Is(err, hub.ErrNotCached) != missing {
			t.Errorf("%s: whether it could be pulled: %v", tt.name, err)
		}
	}
}
