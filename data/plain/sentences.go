package plain

import (
	"regexp"
	"strings"
	"unicode"
)

// sentenceEnd is the end of a sentence within a line, up to what begins the next one.
var sentenceEnd = regexp.MustCompile(`[.!?…]["'”’)\]*_` + "`" + `]*\s+`)

// abbreviations end in a full stop that ends no sentence.
var abbreviations = map[string]bool{"e.g.": true, "i.e.": true, "vs.": true, "cf.": true, "no.": true, "approx.": true, "al.": true}

// Sentences cuts a text where one sentence ends and the next begins: with a capital letter, a digit, a quote, a bracket,
// code or the name of a column, which has an underscore.
// A number and a full stop at the head of the text belong to a list, and abbreviations do not end a sentence.
func Sentences(text string) (parts []string) {
	from := 0
	for _, at := range sentenceEnd.FindAllStringIndex(text, -1) {
		before, after := text[from:at[1]], text[at[1]:]
		words := strings.Fields(before)
		last := words[len(words)-1]
		if after == "" || !beginsSentence(after) || abbreviations[strings.ToLower(strings.TrimLeft(last, "(\"'"))] {
			continue
		}
		if len(words) == 1 && isListNumber(last) {
			continue
		}
		parts, from = append(parts, strings.TrimSpace(before)), at[1]
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" {
		parts = append(parts, rest)
	}
	return parts
}

// beginsSentence says whether a text begins as a sentence does, or with the name of a column.
func beginsSentence(text string) bool {
	if first, _, _ := strings.Cut(text, " "); strings.Contains(strings.Trim(first, "_"), "_") {
		return true
	}
	for _, r := range text {
		return unicode.IsUpper(r) || unicode.IsDigit(r) || strings.ContainsRune("\"'“‘([*_`-", r)
	}
	return false
}

func isListNumber(word string) bool {
	number := strings.TrimSuffix(word, ".")
	return number != word && number != "" && strings.Trim(number, "0123456789") == ""
}
