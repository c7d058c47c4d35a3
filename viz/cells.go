package viz

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wb/data/plain"
	"wb/queries/table"
)

// aggregate is the ending of a column that sums up a figure. The unit stands before it.
var aggregate = regexp.MustCompile(`_(p[0-9]+|mean|sum|total|min|max|median|peak|first|last)$`)

// leastShortened is the number of tokens from which tables write 11.3K instead of digits.
const leastShortened = 10_000

// size writes tokens and bytes as people say them: "11.3K", "10.9 GB". ok is false for other columns, and for what digits say better.
func size(c table.Column, v any) (text string, ok bool) {
	if !strings.Contains(c.Name, "tokens") && !strings.Contains(c.Name, "bytes") {
		return "", false
	}
	f, known := number(c, v)
	if !known || math.IsNaN(f) || math.Abs(f) >= 1e18 {
		return "", false
	}
	name := aggregate.ReplaceAllString(c.Name, "")
	n := int64(math.Round(f))
	switch {
	case name == "tokens", strings.HasSuffix(name, "_tokens"):
		if math.Abs(f) < leastShortened {
			return "", false
		}
		return plain.Thousands(n), true
	case name == "bytes", strings.HasSuffix(name, "_bytes"):
		return plain.ShortBytes(n), true
	case strings.HasSuffix(name, "_bytes_per_s"):
		return plain.ShortBytes(n) + "/s", true
	}
	return "", false
}

// columnTexts writes the cells of a column for a terminal. All floats have as many decimals, so that their points line up.
func columnTexts(t *table.Table, column int) []string {
	c := t.Columns[column]
	decimals, points := decimalsOf(t, column)
	texts := make([]string, len(t.Rows))
	for r, row := range t.Rows {
		if f, ok := row[column].(float64); ok && decimals >= 0 {
			if text, ok := fixed(c, f, decimals); ok {
				texts[r] = text
				continue
			}
		}
		texts[r] = printable(short(c, row[column]))
	}
	if points {
		alignPoints(texts)
	}
	return texts
}

// fixed writes a figure with so many decimals. ok is false for sizes, and for figures that would read as 0 or fill the line.
func fixed(c table.Column, f float64, decimals int) (text string, ok bool) {
	if _, sized := size(c, f); sized || math.IsNaN(f) || math.Abs(f) >= 1e15 {
		return "", false
	}
	if f == 0 {
		f = math.Abs(f) // no figure reads as -0
	}
	text = strconv.FormatFloat(f, 'f', decimals, 64)
	return text, f == 0 || strings.ContainsAny(text, "123456789")
}

// alignPoints fills up figures with spaces on the right, so that their points stand below each other.
func alignPoints(texts []string) {
	after := func(s string) int {
		if i := strings.IndexByte(s, '.'); i >= 0 && !strings.Contains(s, "e") {
			return len(s) - i
		}
		return 0
	}
	most := 0
	for _, s := range texts {
		most = max(most, after(s))
	}
	for i, s := range texts {
		texts[i] = s + strings.Repeat(" ", most-after(s))
	}
}

const (
	mostDecimals  = 7
	moreDecimals  = 2   // how many decimals are added at most for the sake of small figures; one less where the typical figure is below 1
	fewestDigits  = 2   // how many digits a small figure keeps, where that adds few enough decimals
	typicalDigits = 4   // of a typical figure; one less where it is below 1
	widestRange   = 1e4 // largest over smallest figure, from which the cells of a column keep their separate decimals …
	largeFigure   = 1e3 // … if the largest is at least this
)

// decimalsOf chooses the decimals of a column of floats: so many that its typical figure has three or four digits. It is -1 if the column
// has no float, and if its figures differ too much for one number of decimals: then points says that at least the points line up.
func decimalsOf(t *table.Table, column int) (decimals int, points bool) {
	var figures []float64
	some := false
	for _, row := range t.Rows {
		f, ok := row[column].(float64)
		some = some || ok
		if _, sized := size(t.Columns[column], row[column]); ok && !sized && f != 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
			figures = append(figures, math.Abs(f))
		}
	}
	if len(figures) == 0 {
		if some {
			return 0, false
		}
		return -1, false
	}
	slices.Sort(figures)
	if most := figures[len(figures)-1]; most >= largeFigure && most >= widestRange*figures[0] {
		return -1, true
	}
	median := figures[len(figures)/2]
	typical, more := decimalsFor(median, typicalDigits), moreDecimals
	if median < 1 {
		typical, more = typical-1, more-1
	}
	decimals = max(typical, min(decimalsFor(figures[0], fewestDigits), typical+more))
	return needed(figures, min(decimals, mostDecimals)), false
}

// decimalsFor gives the decimals that leave a figure so many digits.
func decimalsFor(figure float64, digits int) int {
	return max(0, digits-1-int(math.Floor(math.Log10(figure))))
}

// needed leaves out the decimals that are 0 in all figures.
func needed(figures []float64, decimals int) int {
	most := 0
	for _, f := range figures {
		_, after, _ := strings.Cut(strconv.FormatFloat(f, 'f', decimals, 64), ".")
		if most = max(most, len(strings.TrimRight(after, "0"))); most == decimals {
			break
		}
	}
	return most
}
