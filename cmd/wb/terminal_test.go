//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"
)

// onTerminal runs wb on a new terminal and returns what wb wrote to it. Under -race a data race in wb gives an exit code other than 0.
func onTerminal(t *testing.T, dir string, args ...string) (screen string, code int) {
	t.Helper()
	path, err := exec.LookPath("wb")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	_, _ = io.Copy(&b, f) // reading ends with an error when the program ends
	return b.String(), exitCode(t, cmd.Wait())
}

// tableOnTerminal gives what wb writes to standard output, which is a terminal of so many columns.
func tableOnTerminal(t *testing.T, dir string, width int, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("wb")
	if err != nil {
		t.Fatal(err)
	}
	var told, b bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Stderr = &told
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(width)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = io.Copy(&b, f) // reading ends with an error when the program ends
	if code := exitCode(t, cmd.Wait()); code > 1 || b.Len() == 0 {
		t.Errorf("wb %s: exit %d\n%s", strings.Join(args, " "), code, &told)
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// No table is wider than the terminal, and names that users type are whole. --wide shows all columns in one line each.
func TestTablesFitTheTerminal(t *testing.T) {
	dir := t.TempDir()
	const base, head = "the-first-run-with-a-name-that-says-all", "the-second-run-with-a-name-that-says-all"
	for _, name := range []string{base, head} {
		wb(t, dir, "run", "--conversations", "simple_qa,code_discussion", "--max-turns", "2", "--sim-profile", "instant", "--quiet",
			"--name", name)
	}
	for _, c := range []struct{ args, want string }{
		{"compare " + base + " " + head, head},
		{"runs", head},
		{"runs show " + base, base},
		{"query turn_details --runs all", head},
		{"query cache_hit_by_turn --runs all", "code_discussion"},
		{"query ttft_by_turn --runs all", base},
		{"query --list", "cache_ideal_vs_achieved"},
		{"doctor", "wb.duckdb, 2 runs"},
		{"conversations list", "multilingual_support"},
		{"run --list-conversations --context-size 4096", "multilingual_support"},
		{"models list", "phi-3.5-mini-4bit"},
		{"cache simulate --runs all", base},
		{"run --conversations simple_qa,code_discussion --max-turns 1 --sim-profile instant --name " + head, "code_discussion"},
	} {
		for _, width := range []int{80, 120} {
			screen := tableOnTerminal(t, dir, width, strings.Fields(c.args)...)
			for l := range strings.Lines(screen) {
				if l = strings.TrimSuffix(l, "\n"); runewidth.StringWidth(l) > width {
					t.Errorf("wb %s at %d columns: %s", c.args, width, l)
				}
			}
			if !strings.Contains(screen, c.want) {
				t.Errorf("wb %s at %d columns lacks %s:\n%s", c.args, width, c.want, screen)
			}
		}
	}
	narrow := tableOnTerminal(t, dir, 80, "query", "turn_details")
	const last = "  turn_id\n" // the last column of the first line
	if wide := tableOnTerminal(t, dir, 80, "query", "turn_details", "--wide"); !strings.Contains(wide, last) ||
		!strings.Contains(narrow, " more columns: --wide shows them") || strings.Contains(narrow, last) {
		t.Errorf("wide:\n%s\nnarrow:\n%s", wide, narrow)
	}
}

// escapes matches the sequences that drive a terminal.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-9;?]*[A-Za-z])?")

// The live line is replaced while warnings, turns and totals come from several goroutines. wb writes nothing else that could drive the
// terminal.
func TestLiveLine(t *testing.T) {
	for i, args := range [][]string{
		{"run", "--conversations", "simple_qa", "--repeat", "3", "--sim-profile", "instant", "--max-tokens", "200",
			"--sim-fault", "429@2", "--sim-fault", "usage@4"},
		{"run", "--conversations", "simple_qa", "--repeat", "2", "--users", "8", "--sim-profile", "eager", "--max-tokens", "16",
			"--max-turns", "2"},
	} {
		screen, code := onTerminal(t, t.TempDir(), args...)
		if code != 0 || strings.Contains(screen, "DATA RACE") {
			t.Errorf("wb %s: exit %d\n%s", strings.Join(args, " "), code, screen)
		}
		for _, e := range escapes.FindAllString(screen, -1) {
			if e != "\x1b[K" {
				t.Errorf("wb %s: wrote %q", strings.Join(args, " "), e)
			}
		}
		if !strings.Contains(screen, "\r\x1b[K") {
			t.Errorf("wb %s: no line was replaced\n%s", strings.Join(args, " "), screen)
		}
		if i == 0 && !strings.Contains(screen, " of 15 turns, about ") {
			t.Errorf("wb %s: nothing tells how far it is\n%s", strings.Join(args, " "), screen)
		}
	}
}

// Text from a file reaches a terminal escaped, in every format.
func TestTerminalGetsNothingRaw(t *testing.T) {
	dir := t.TempDir()
	wb(t, dir, "run", "--conversations", "simple_qa", "--max-turns", "1", "--sim-profile", "instant", "--quiet")
	const bad = "chr(27) || '[31mred' || chr(27) || ']0;title' || chr(7) || chr(155) || '2J' || chr(8238) || 'x'"
	for _, format := range []string{"table", "csv", "md", "json", "ndjson"} {
		screen, code := onTerminal(t, dir, "query", "-c", "SELECT "+bad+" AS v", "--format", format)
		if code != 0 || !strings.Contains(screen, "red") {
			t.Errorf("%s: exit %d: %q", format, code, screen)
		}
		if strings.ContainsAny(screen, "\x1b\x07\u009b\u202e") {
			t.Errorf("%s: %q", format, screen)
		}
	}
	screen, code := onTerminal(t, dir, "query", "-c", "SELECT error("+bad+")")
	if code != 1 || strings.ContainsAny(screen, "\x1b\x07\u009b\u202e") {
		t.Errorf("an error: exit %d: %q", code, screen)
	}
}
