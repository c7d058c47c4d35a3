package main

import (
	"fmt"
	"strings"
	"testing"

	"wb/collect/engine"
)

// docs/reference/engines.md says what is known of each kind of server.
func TestEnginesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Engines\n\nThis page is made from the code by `make docs`.\n" +
		"It says what wb knows of each kind of server, by reading its sources and by running it.\n" +
		"`wb doctor --url URL` says what a server of yours answers.\n" +
		"A server's `/metrics` is stored whole, whichever kind it is.\n\n" +
		"| engine | `runs.engine` | cache hits | `ignore_eos` | `cache_salt` | generated ids | times | emptied | started by wb |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	yes := func(is bool) string { return map[bool]string{true: "yes", false: "no"}[is] }
	for _, e := range engine.All() {
		a, f := e.About(), engine.Facts{}
		takes := e.Fields(&f)
		cells := []string{a.Name, "`" + string(e.Kind()) + "`", a.Unit, yes(takes.IgnoreEOS), yes(takes.CacheSalt), yes(takes.VLLM), a.Times,
			yes(e.Reset(&f) != nil), yes(a.Managed)}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	for _, e := range engine.All() {
		a := e.About()
		fmt.Fprintf(&b, "\n## %s\n\n", a.Name)
		for _, row := range []struct{ what, text string }{
			{"Releases", a.Releases}, {"Recognised by", a.Recognised}, {"What it says about itself", a.Says},
			{"Context in force", a.Context},
			{"Token ids", a.Tokens}, {"Request fields beyond OpenAI's", a.Takes}, {"What it does not take", a.Drops},
			{"Last event", a.LastEvent}, {"Counters", a.Counters}, {"Cache", a.Caching}, {"Isolation", a.Isolation},
			{"Emptying the cache", a.Emptied},
		} {
			if row.text == "" {
				t.Errorf("%s: nothing is said about %q", e.Kind(), row.what)
			}
			for i, line := range wrapped("**"+row.what+"**: "+row.text+".", 136) {
				b.WriteString([]string{"- ", "  "}[min(i, 1)] + line + "\n")
			}
		}
	}
	same(t, "engines.md", b.String())
}

// wrapped breaks a text into lines of at most width characters.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
