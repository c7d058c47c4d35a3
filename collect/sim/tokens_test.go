package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// texts returns a difficult text, with special tokens whole and broken, runs of spaces, digits and several scripts.
func texts(rng *rand.Rand) string {
	bits := []string{"<|end|>", "<|user|>", "<|", "|>", "<", "end", " ", "  ", "\n", "\n\n", "\t", "a", " word", "internationalisation",
		" internationalisation",
		"12345", " 7", ".", " .", "é", "漢字漢字漢字漢字", " привет", "😀", "\ufffd", "'s", "-", "x1y2", "٣٤٥٦"}
	var b strings.Builder
	for range rng.IntN(12) {
		b.WriteString(bits[rng.IntN(len(bits))])
	}
	return b.String()
}

func TestTokenizer(t *testing.T) {
	tok := newTokenizer()
	rng := rand.New(rand.NewPCG(1, 2))
	roles := []string{"system", "user", "assistant", "tool"}
	for range 3000 {
		var messages []message
		var parts []int32
		for range 1 + rng.IntN(5) {
			m := message{roles[rng.IntN(len(roles))], content{texts(rng)}}
			messages = append(messages, m)
			parts = append(parts, tok.encode(render([]message{m}, false))...)
		}
		whole := render(messages, false)
		ids := tok.encode(whole)
		if !slices.Equal(ids, parts) {
			t.Fatalf("message by message, %q encodes to other ids", whole)
		}
		if got := strings.Join(tok.pieces(ids), ""); got != whole {
			t.Fatalf("%q came back as %q", whole, got)
		}
		if asked := tok.encode(render(messages, true)); !slices.Equal(asked[:len(ids)], ids) || len(asked) != len(ids)+2 {
			t.Fatalf("the generation prompt changed what is before it, after %q", whole)
		}
	}
	for id, piece := range tok.texts {
		if tok.ids[piece] != id || (id < 1000 && int(id) > len(specials)) || id < 1 {
			t.Errorf("piece %q has id %d", piece, id)
		}
	}
	if got := tok.pieces([]int32{999, 4}); got[0] != "\ufffd" || got[1] != "<|end|>" {
		t.Errorf("unknown and special ids give %q", got)
	}
	text := strings.Repeat("It was the best of times, it was the worst of times. ", 50)
	if perToken := float64(len(text)) / float64(len(tok.encode(text))); perToken < 3.5 || perToken > 5.5 {
		t.Errorf("English comes out at %.1f characters a token", perToken)
	}
}

func TestHashCollision(t *testing.T) {
	tok := newTokenizer()
	want := newTokenizer().id("word")
	tok.texts[want] = "taken"
	if got := tok.id("word"); got != want+1 {
		t.Errorf("a piece whose id is taken got %d, want the next one, %d", got, want+1)
	}
}

// Generated text tokenises to the generated ids. Otherwise replies in the history would not hit.
func TestRepliesKeepTheirIDs(t *testing.T) {
	tok := newTokenizer()
	for _, w := range words {
		for _, s := range []string{w, " " + w} {
			if n := len(tok.encode(s)); n != 1 {
				t.Errorf("%q is %d tokens", s, n)
			}
		}
	}
	for seed := range uint64(50) {
		r := reply{rng: rand.New(rand.NewPCG(seed, seed))}
		var ids []int32
		var text strings.Builder
		for range 200 {
			p := r.next()
			text.WriteString(p)
			ids = append(ids, tok.id(p))
		}
		if got := tok.encode(text.String() + "<|end|>"); !slices.Equal(got[:200], ids) || len(got) != 201 {
			t.Fatalf("reply %d has other ids when it comes back: %s", seed, text.String())
		}
		if !utf8.ValidString(text.String()) || strings.HasPrefix(text.String(), " ") {
			t.Errorf("reply %q", text.String())
		}
	}
}
