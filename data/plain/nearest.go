package plain

import (
	"cmp"
	"slices"
	"strings"
)

// mostNearest is how many names a suggestion has at most.
const mostNearest = 5

// Nearest gives the known names that somebody may have meant by name, at most five, the likeliest first. These are names that begin with
// it, that contain it, and that differ from it, or from its beginning, in few letters. Letter case does not matter.
//
// cobra has a similar search for names of commands only, which other packages cannot call.
func Nearest(name string, known []string) []string {
	type near struct {
		name string
		far  int // the smaller the likelier
	}
	var all []near
	given := strings.ToLower(name)
	if len(given) > 200 { // a long text is not a name
		return nil
	}
	most := max(1, (len(given)+1)/4) // letters that may differ
	for _, k := range slices.Compact(slices.Sorted(slices.Values(known))) {
		low := strings.ToLower(k)
		far := min(distance(given, low), distance(given, low[:min(len(low), len(given))])+1)
		switch {
		case low == given:
			far = -1
		case len(given) < 2: // a letter is near to everything
			continue
		case strings.HasPrefix(low, given):
			far = 0
		case strings.Contains(low, given):
			far = 1
		case far > most:
			continue
		}
		all = append(all, near{k, far})
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.far, b.far) })
	var names []string
	for _, n := range all[:min(len(all), mostNearest)] {
		if n.far <= all[0].far+1 { // a much better one leaves no doubt
			names = append(names, n.name)
		}
	}
	return names
}

// DidYouMean is the end of an error about an unknown name: "; did you mean a, b or c?", or "" where no known name is near.
func DidYouMean(name string, known []string) string {
	near := Nearest(name, known)
	switch n := len(near); n {
	case 0:
		return ""
	case 1:
		return "; did you mean " + near[0] + "?"
	default:
		return "; did you mean " + strings.Join(near[:n-1], ", ") + " or " + near[n-1] + "?"
	}
}

// Instead is like DidYouMean, but where no known name is near, it lists all of them: "; known are a, b, c".
func Instead(name string, known []string) string {
	if text := DidYouMean(name, known); text != "" || len(known) == 0 {
		return text
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance counts the letters that must be changed, added, removed or swapped with their neighbour to turn a into b.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
