package plain

import (
	"slices"
	"strings"
	"testing"
)

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"One.", []string{"One."}},
		{"One. Two! Three? 4 is the last", []string{"One.", "Two!", "Three?", "4 is the last"}},
		{"See e.g. Table 2 (Hesterberg et al. 2015). It says more.", []string{"See e.g. Table 2 (Hesterberg et al. 2015).", "It says more."}},
		{"1. First of a list. `code` begins the second.", []string{"1. First of a list.", "`code` begins the second."}},
		{"wb 0.10 and vLLM 0.32 differ.", []string{"wb 0.10 and vLLM 0.32 differ."}},
		{"It ends … and goes on.", []string{"It ends … and goes on."}},
		{"He said \"stop.\" Then he left.", []string{"He said \"stop.\"", "Then he left."}},
		{"Cached over prompt tokens. hit_ratio is 0 to 1. it goes on", []string{"Cached over prompt tokens.", "hit_ratio is 0 to 1. it goes on"}},
		{"**Bold ends.** Then more.", []string{"**Bold ends.**", "Then more."}},
	} {
		if got := Sentences(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// No word is lost, and cutting a sentence again changes nothing.
func FuzzSentences(f *testing.F) {
	f.Add("One. Two! \"Three.\" (Four.) 5. Six")
	f.Add("1. A. B")
	f.Fuzz(func(t *testing.T, text string) {
		parts := Sentences(text)
		if got, want := strings.Join(strings.Fields(strings.Join(parts, " ")), " "), strings.Join(strings.Fields(text), " "); got != want {
			t.Errorf("%q became %q", want, got)
		}
	})
}
