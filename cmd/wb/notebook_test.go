//go:build duckdb_arrow

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The runs and the examples at the top of the notebook page are those that this test plays and runs, so that page and test cannot differ.
// It needs duckdb and pandas beside the shell of WB_DUCKDB_SHELL (make shell).
func TestShellNotebook(t *testing.T) {
	shell := os.Getenv("WB_DUCKDB_SHELL")
	if shell == "" {
		t.Skip("WB_DUCKDB_SHELL is not set; make shell sets it")
	}
	text, err := os.ReadFile("../../docs/how-to/notebooks.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, found := strings.Cut(string(text), "## Run a saved report")
	dir := t.TempDir()
	runs := regexp.MustCompile(`(?m)^wb (run .*)$`).FindAllStringSubmatch(page, -1)
	if !found || len(runs) != 2 {
		t.Fatalf("the page begins with %d runs", len(runs))
	}
	for _, r := range runs {
		wb(t, dir, strings.Fields(r[1])...)
	}
	var script strings.Builder
	for i, block := range regexp.MustCompile("(?s)```python\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if i == 0 && strings.Count(block[1], "\n") != 4 {
			t.Errorf("the first example has not four lines:\n%s", block[1])
		}
		if !strings.Contains(block[1], "polars") && !strings.Contains(block[1], ".pl()") {
			script.WriteString(block[1])
		}
	}
	// 30 turns of each run have a pair each, and the run without a prefix cache cached nothing
	script.WriteString("assert len(pairs) == 30 and set(pairs.simulated) == {True}, len(pairs)\n" +
		"assert con.sql(\"SELECT count(*) FROM turns_wide WHERE NOT warmup\").fetchone() == (60,)\n" +
		"assert (pairs.base_cached_tokens == 0).all() and (pairs[pairs.turn > 1].head_cached_tokens > 0).all()\n")
	python := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(shell), "python"), "-c", script.String())
	python.Dir = dir
	out, err := python.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ttft_ms") {
		t.Errorf("%v\n%s\n%s", err, script.String(), out)
	}
	t.Logf("%s", out)
}
