package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"wb/data/hub"
)

// A file that another program left half downloaded begins as a GGUF file does, and is not whole all the same.
func TestTablesOfCutGGUF(t *testing.T) {
	builtIn(t)
	h := &hub.Client{CacheDir: t.TempDir()}
	dir := filepath.Join(h.CacheDir, "models--org--x", "snapshots", "0123456789abcdef0123456789abcdef01234567")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x-Q8_0.gguf"), []byte("GGUF\x03\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	have, err := h.Cache()
	if err != nil {
		t.Fatal(err)
	}
	rows := CacheTable(h, have).Rows
	if got := fmt.Sprint(rows[0][:5]); len(rows) != 1 || got != "[org/x Q8_0  8 false]" {
		t.Errorf("cached: %v", rows)
	}
	table, err := ModelTable(t.Context(), have)
	if err != nil {
		t.Fatal(err)
	}
	last := table.Rows[len(table.Rows)-1]
	if got, want := fmt.Sprint(last), "[org/x:Q8_0 <nil> Q8_0 8 <nil> <nil> <nil> <nil> <nil> <nil> in part org/x GGUF]"; got != want {
		t.Errorf("row is %s, want %s", got, want)
	}
}

func TestParameterWords(t *testing.T) {
	for n, want := range map[int64]string{
		51_200: "51k", 134_515_008: "135M", 1_000_000_000: "1B", 1_720_000_000: "1.7B", 70_600_000_000: "71B",
	} {
		if got := parameterWords(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
