package machine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"wb/collect/engine"
	"wb/collect/serve"
	"wb/data"
)

// TestInstallTable compares the table of docs/how-to/install.md with what wb itself says about fitting: the smallest GPU on which a model
// has 8,192 tokens of context. Weights in 4 bits take 0.37 of those in 16 bits: embeddings and scales stay wider.
func TestInstallTable(t *testing.T) {
	const tokens, fourBit = 8192, 0.37
	smallest := func(m data.Model, share float64) string {
		m.WeightsBytes = int64(float64(m.WeightsBytes) * share)
		for _, gib := range []int64{4, 6, 8, 12, 16, 24, 32} {
			bytes := gib << 30 * 98 / 100 // the driver keeps some
			r := Room{serve.Memory{TotalBytes: bytes, FreeBytes: bytes, Utilization: engine.NewAdapter("").DefaultUtilization()}, "a GPU"}
			if _, fits := r.Fits(m); fits >= min(tokens, m.ContextTokens) {
				return fmt.Sprintf("%d GB", gib)
			}
		}
		return "more"
	}
	models := builtIn(t)
	var want strings.Builder
	want.WriteString("| model | weights | GPU for these weights | GPU for 4-bit weights |\n|---|---|---|---|\n")
	for _, m := range models {
		four := smallest(m, fourBit)
		if m.Quantization != "" {
			four = "this is one"
		}
		fmt.Fprintf(&want, "| `%s` | %.1f GB | %s | %s |\n", m.Name, float64(m.WeightsBytes)/1e9, smallest(m, 1), four)
	}
	page, err := os.ReadFile("../../docs/how-to/install.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("docs/how-to/install.md should have this table:\n%s", want.String())
	}
}
