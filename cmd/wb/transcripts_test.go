package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages gives the paths of all documents, from the folder of this package.
func pages(t *testing.T) (files []string) {
	t.Helper()
	const top = "../.."
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// step is one command of a transcript and the lines that a page shows below it.
type step struct {
	line    int // of the page, from 1
	command string
	output  []string
}

// transcript gives the commands of a page's blocks of the language "console", in order.
func transcript(text string) (steps []step) {
	inside := false
	for i, line := range strings.Split(text, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "```"):
			inside = trimmed == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{i + 1, strings.TrimPrefix(line, "$ "), nil})
		case strings.HasPrefix(line, "> ") && len(steps) > 0 && len(steps[len(steps)-1].output) == 0: // as a shell asks for more
			steps[len(steps)-1].command += "\n" + strings.TrimPrefix(line, "> ")
		case len(steps) > 0:
			last := &steps[len(steps)-1]
			last.output = append(last.output, line)
		}
	}
	return steps
}

var (
	decimal = regexp.MustCompile(`-?\d+\.\d+`)
	percent = regexp.MustCompile(`[+−]?\d+(\.\d+)?`) // in a line with an interval
	rule    = regexp.MustCompile(`─[─ ]*`)
	notRun  = regexp.MustCompile("(?m)^```(sh|text|bash|shell)\n\\$ ")
	blanks  = regexp.MustCompile(`[ \t]+`)
)

// pattern turns a line of a page into what it stands for: a number with a decimal point for any number, since times differ, and every
// number where the line tells of an interval,
// "…" for any text, a rule and blanks for any of their kind.
func pattern(line string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	free := decimal
	if strings.Contains(line, "(95 %: ") {
		free = percent
	}
	for i, part := range strings.Split(normal(line), "…") {
		if i > 0 {
			b.WriteString(".*")
		}
		for j, text := range free.Split(part, -1) {
			if j > 0 {
				b.WriteString(`[-+−]?\d+(\.\d+)?`)
			}
			b.WriteString(regexp.QuoteMeta(text))
		}
	}
	return regexp.MustCompile(b.String() + "$")
}

// normal leaves out what depends on the width of numbers.
func normal(line string) string {
	return strings.TrimSpace(blanks.ReplaceAllString(rule.ReplaceAllString(line, "─"), " "))
}

// unlike says where an output leaves what a page shows; "" where it does not. A line "…" of the page stands for any lines.
func unlike(shown, got []string) string {
	for len(shown) > 0 && strings.TrimSpace(shown[len(shown)-1]) == "" {
		shown = shown[:len(shown)-1]
	}
	if len(shown) == 0 {
		if len(got) > 0 {
			return "the page shows no output"
		}
		return ""
	}
	if strings.TrimSpace(shown[0]) == "…" {
		for skip := range len(got) + 1 {
			if unlike(shown[1:], got[skip:]) == "" {
				return ""
			}
		}
		return fmt.Sprintf("nothing fits what is below %q", "…")
	}
	if len(got) == 0 {
		return fmt.Sprintf("there is no line for %q", shown[0])
	}
	if !pattern(shown[0]).MatchString(normal(got[0])) {
		return fmt.Sprintf("%q does not fit %q", got[0], shown[0])
	}
	if len(shown) == 1 && len(got) > 1 {
		return fmt.Sprintf("there is more: %q", got[1])
	}
	if len(shown) == 1 {
		return ""
	}
	return unlike(shown[1:], got[1:])
}

// ofMachine matches what only machines without a GPU print, and only busy ones.
var ofMachine = regexp.MustCompile(`^(warning: no NVIDIA GPU|warning: the machine kept wb from running|note: .*no time per token is known)`)

// Every transcript in the documents is what wb prints. A page's commands are run in order, in one empty folder.
func TestTranscripts(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if notRun.Match(text) {
			t.Errorf("%s has a transcript that is not run: its block must be of the language console", page)
		}
		steps := transcript(string(text))
		if len(steps) == 0 {
			continue
		}
		t.Run(strings.TrimPrefix(filepath.ToSlash(page), "../../"), func(t *testing.T) {
			t.Parallel()
			play(t, page, steps)
		})
	}
}

func play(t *testing.T, page string, steps []step) {
	dir := t.TempDir()
	for _, s := range steps {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", s.command)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"}
		out, err := cmd.CombinedOutput()
		var got []string
		for line := range strings.Lines(string(out)) {
			if !ofMachine.MatchString(line) {
				got = append(got, strings.TrimRight(line, "\n"))
			}
		}
		if why := unlike(s.output, got); why != "" {
			t.Errorf("%s:%d: %s\n$ %s\n%s(%v)", page, s.line, why, s.command, out, err)
			return
		}
	}
}

func TestTranscriptsAreCompared(t *testing.T) {
	steps := transcript("text\n```console\n$ one \\\n> more\n1.5 ms\n\n$ two\n```\n```sh\n$ not run\n```\n")
	if len(steps) != 2 || steps[0].command != "one \\\nmore" || len(steps[0].output) != 2 || steps[1].line != 7 {
		t.Errorf("steps: %+v", steps)
	}
	for _, c := range []struct {
		shown, got string
		fits       bool
	}{
		{"ttft   81.5 ms", "ttft 7 ms", true},
		{"ttft   81.5 ms", "ttft -7.25 ms", true},
		{"ttft   81.5 ms", "tpot 7 ms", false},
		{"turns 8", "turns 9", false},
		{"TTFT 43 % lower (95 %: 42 to 44 %), faster", "TTFT 37.1 % lower (95 %: 35 to 37.9 %), faster", true},
		{"TTFT 43 % lower (95 %: 42 to 44 %), faster", "TTFT 37 % higher (95 %: 35 to 38 %), slower", false},
		{"─", "───  ────", true},
		{"run …: ok", "run a1b2: ok", true},
		{"run …: ok", "run a1b2: failed", false},
		{"a\n…\nz", "a\nb\nc\nz", true},
		{"a\n…\nz", "a\nz", true},
		{"a\n…", "a\nb\nc", true},
		{"a\n…\nz", "a\nb", false},
		{"a", "a\nb", false},
		{"a\nb", "a", false},
		{"", "a", false},
		{"a\n\n", "a", true},
	} {
		why := unlike(strings.Split(c.shown, "\n"), strings.Split(c.got, "\n"))
		if (why == "") != c.fits {
			t.Errorf("%q and %q: %s", c.shown, c.got, why)
		}
	}
}
