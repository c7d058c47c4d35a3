package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wb/data"
)

func TestParsePlan(t *testing.T) {
	p, err := ParsePlan("p.yaml", []byte(`
name: apc
about: why
engine: vllm
conversations: [a, b]
ignore_eos: true
tags: {host: lab}
server:
  max_num_seqs: 2
repeats: 4
until_ci: 2%
variants:
  small: {model: m}
  big:
    model: n
    server: {dtype: half}
matrix:
  server.enable_prefix_caching: [true, false]
  rag_placement: [system, append]
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "apc" || p.Repeats != 4 || p.MaxRepeats != 20 || p.UntilCI != "2%" || len(p.Settings) != 4 {
		t.Fatalf("%+v", p)
	}
	if p.Settings[1].Name != "conversations" || !slices.Equal(p.Settings[1].Values, []string{"a", "b"}) {
		t.Errorf("%+v", p)
	}
	if p.Settings[3].Name != "server.max-num-seqs" || p.Settings[3].Line != 9 {
		t.Errorf("%+v", p)
	}
	cells := p.Cells()
	var names []string
	for _, c := range cells {
		names = append(names, c.Name)
	}
	want := []string{
		"small/enable-prefix-caching=true/rag-placement=system",
		"small/enable-prefix-caching=true/rag-placement=append",
		"small/enable-prefix-caching=false/rag-placement=system",
		"small/enable-prefix-caching=false/rag-placement=append",
		"big/enable-prefix-caching=true/rag-placement=system",
		"big/enable-prefix-caching=true/rag-placement=append",
		"big/enable-prefix-caching=false/rag-placement=system",
		"big/enable-prefix-caching=false/rag-placement=append",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("%s", strings.Join(names, "\n"))
	}
	last := cells[7]
	s := last.Settings
	if len(s) != 8 || s[4].Values[0] != "n" || s[5].Name != "server.dtype" || s[7].Values[0] != "append" ||
		s[6].Name != "server.enable-prefix-caching" || s[6].Values[0] != "false" {
		t.Errorf("%+v", s)
	}
	if len(last.Tags) != 4 || last.Tags[1].Values[0] != "big" || last.Tags[2].Name != "enable-prefix-caching" {
		t.Errorf("%+v", last.Tags)
	}
	// cells do not share their slices of settings
	if cells[0].Settings[5].Values[0] != "true" || cells[2].Settings[5].Values[0] != "false" {
		t.Errorf("%+v", cells[0].Settings)
	}
	// there is one cell when nothing varies
	if p, err = ParsePlan("p.yaml", []byte("name: x\n")); err != nil || len(p.Cells()) != 1 || p.Cells()[0].Name != "" || p.Repeats != 1 {
		t.Errorf("%+v (%v)", p, err)
	}
}

func TestBadPlans(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "p.yaml: is empty",
		"- a\n":                                 "p.yaml:1: wants settings as name: value",
		"engine: sim\n":                         "p.yaml:1: name: is missing",
		"name: a b\n":                           "p.yaml:1: name: wants letters, digits and . _ -",
		"name: a\nrepeats: 0\n":                 "p.yaml:2: repeats: wants a number from 1",
		"name: a\nrepeats: 9\nmax_repeats: 3\n": "p.yaml:1: max_repeats: 3 is less than repeats, 9",
		"name: a\nmatrix:\n  x: 3\n":            "p.yaml:3: matrix: x wants a list of values",
		"name: a\nmatrix:\n  x: [1, 1]\n":       "p.yaml:3: matrix: x lists 1 twice",
		"name: a\nx: {y: 1}\n":                  "p.yaml:2: x: wants a value",
		"name: a\nx_y: 1\nx-y: 2\n":             "p.yaml:3: x-y: is given twice",
		"name: a\nx: []\n":                      "p.yaml:2: x: an empty list",
		"name: a\nvariants:\n  'b c': {x: 1}\n": `p.yaml:3: variants: "b c": wants letters, digits and . _ -`,
		"name: a\n---\nname: b\n":               "p.yaml:3: a second document begins; put each document in a separate file",
		"name: a\nmatrix:\n  x: [1, {a: 2}]\n":  "p.yaml:3: x: wants a value",
		"name: a\nmatrix: {a: [1,2,3,4,5,6,7,8,9], b: [1,2,3,4,5,6,7,8,9], c: [1,2,3,4,5,6,7,8,9]}\n": "p.yaml:2: matrix: more than 500 cells",
	} {
		_, err := ParsePlan("p.yaml", []byte(text))
		var fe *data.FileError
		if !errors.As(err, &fe) || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := ParsePlan("p.yaml", []byte("name: [")); err == nil {
		t.Error("a text that is not YAML gives no error")
	}
}

// Passes come in pairs, of which the second has the order of the first backwards. The seed decides the order.
func TestOrder(t *testing.T) {
	seen := map[string]bool{}
	for pass := 0; pass < 20; pass += 2 {
		a, b := Order(3, 7, pass), Order(3, 7, pass+1)
		slices.Reverse(b)
		if !slices.Equal(a, b) {
			t.Errorf("pass %d: %v, then %v", pass, a, b)
		}
		seen[fmt.Sprint(a)] = true
		if !slices.Equal(a, Order(3, 7, pass)) {
			t.Error("the same seed gives another order")
		}
	}
	if len(seen) < 3 {
		t.Errorf("ten pairs of passes in %d orders", len(seen))
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("name: a\nmatrix:\n  x: [1, 2]\nserver: {a: true}\nvariants: {b: {c: 1}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlan("p", []byte(text))
		if err != nil {
			return
		}
		cells := p.Cells()
		if len(cells) < 1 || len(cells) > maxCells {
			t.Errorf("%d cells", len(cells))
		}
	})
}
