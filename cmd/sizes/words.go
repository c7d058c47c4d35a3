package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"

	"wb/data/plain"
)

// Where the words that are no longer used are listed, and the names that still contain one of them.
const (
	wordList   = "CHANGELOG.md"
	wordMark   = "Words that are not used any more: "
	exceptMark = "Names that keep one of them: "
)

var (
	code     = regexp.MustCompile("`[^`]*`")
	listItem = regexp.MustCompile(`^(?:>\s*|[-*+]\s+|\d+\.\s+)+`)
	name     = regexp.MustCompile(`[\p{L}\p{N}_]+`)
)

// checkSentences finds lines of a Markdown text that hold more than one sentence. Code blocks, tables and headings are left out.
func checkSentences(file, text string) (found []violation) {
	fence := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if mark := fenceOf(line); fence != "" || mark != "" {
			if fence == "" {
				fence = mark
			} else if mark == fence && strings.Trim(line, mark) == "" {
				fence = ""
			}
			continue
		}
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "#") {
			continue
		}
		line = code.ReplaceAllString(listItem.ReplaceAllString(line, ""), "`code`")
		if n := len(plain.Sentences(line)); n > 1 {
			found = append(found, violation{sentences, file, number, fmt.Sprintf("the line has %d sentences, more than 1", n)})
		}
	}
	return found
}

// fenceOf gives the mark that opens or closes a block of code, or "".
func fenceOf(line string) string {
	for _, mark := range []string{"```", "~~~"} {
		if strings.HasPrefix(line, mark) {
			return mark
		}
	}
	return ""
}

// vocabulary holds the words that must not be used.
type vocabulary struct {
	words  map[string]bool
	except *regexp.Regexp // names that may be; nil: none
}

// readVocabulary reads the two lists of the changelog. Without a changelog nothing is forbidden.
func readVocabulary(module fs.FS) (vocabulary, error) {
	v := vocabulary{words: map[string]bool{}}
	text, err := fs.ReadFile(module, wordList)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
		if list, ok := strings.CutPrefix(line, wordMark); ok {
			for _, w := range name.FindAllString(list, -1) {
				v.words[w], v.words[w+"s"] = true, true
			}
		}
		if list, ok := strings.CutPrefix(line, exceptMark); ok {
			for _, n := range code.FindAllString(list, -1) {
				names = append(names, regexp.QuoteMeta(strings.Trim(n, "`")))
			}
		}
	}
	if len(names) > 0 {
		v.except = regexp.MustCompile(strings.Join(names, "|"))
	}
	return v, nil
}

// prose reports whether the words of a file are checked. Texts of conversations and captured answers are not.
func prose(file string) bool {
	switch path.Ext(file) {
	case ".go", ".sql", ".md", ".txtar", ".sh", ".css", ".yml":
		return true
	case "":
		return path.Base(file) == "Makefile"
	}
	return false
}

// check finds the words of a text, names within longer ones included: "isOverdue" has the parts "is" and "overdue".
func (v vocabulary) check(file, text string) (found []violation) {
	if len(v.words) == 0 {
		return nil
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if v.except != nil {
			line = v.except.ReplaceAllString(line, " ")
		}
		for _, word := range name.FindAllString(line, -1) {
			for _, part := range nameParts(word) {
				if v.words[part] {
					found = append(found, violation{oldWord, file, number, fmt.Sprintf("%q is a word that is not used any more", part)})
				}
			}
		}
	}
	return found
}

// nameParts cuts a name at underscores and before capital letters, and gives its parts in lower case.
func nameParts(word string) (parts []string) {
	begin := 0
	runes := []rune(word)
	for i := 1; i <= len(runes); i++ {
		last := i == len(runes)
		if last || runes[i] == '_' || (unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1])) {
			if part := strings.Trim(string(runes[begin:i]), "_0123456789"); part != "" {
				parts = append(parts, strings.ToLower(part))
			}
			begin = i
		}
	}
	return parts
}
