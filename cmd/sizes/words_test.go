package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSentencesOfMarkdown(t *testing.T) {
	text := strings.Join([]string{
		"# A heading. With two sentences.", // 1
		"One sentence.",
		"Two sentences. In one line.", // 3
		"- An item. And another sentence.",
		"1. A numbered item.", // 5
		"| a cell. | Another. One. |",
		"Code such as `a. B` ends nothing.", // 7
		"```sh",
		"echo One. Two. # ``` inside", // 9
		"```",
		"> A quotation. Of two sentences.", // 11
		"~~~", "One. Two.", "```", "One. Two.", "~~~",
		"It is 0.5 s, see e.g. Table 1.", // 17
	}, "\n")
	var lines []int
	for _, v := range checkSentences("a.md", text) {
		lines = append(lines, v.line)
	}
	if want := []int{3, 4, 11}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
}

func TestWords(t *testing.T) {
	module := fstest.MapFS{
		"CHANGELOG.md": {Data: []byte("- Words that are not used any more: foo, bar.\n- Names that keep one of them: `raw.foo`.\n" +
			"- Names that keep one of them: `FooAll`.\nfoo\n")},
		"a.go":                   {Data: []byte("package a\n\nvar isFoo, Food, FOO_BAR, rawfoo = 1, 2, 3, 4 // raw.foo, FooAll and foos\n")},
		"b.md":                   {Data: []byte("Bar none.\n")},
		"x/testdata/story.txtar": {Data: []byte("# bars\n")},
		"Makefile":               {Data: []byte("foo:\n")},
		// not ours
		"x/testdata/answer.md": {Data: []byte("foo\n")}, "x/testdata/a.go": {Data: []byte("foo\n")}, "c.yaml": {Data: []byte("foo\n")},
	}
	found, err := check(module)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, v := range found {
		got += fmt.Sprintf("%s:%d %s\n", v.file, v.line, strings.Fields(v.message)[0])
	}
	want := "Makefile:1 \"foo\"\na.go:3 \"bar\"\na.go:3 \"foo\"\na.go:3 \"foo\"\na.go:3 \"foos\"\nb.md:1 \"bar\"\n" +
		"x/testdata/story.txtar:1 \"bars\"\n"
	if got != want {
		t.Errorf("found\n%swant\n%s", got, want)
	}
}
