package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// specials are the special tokens of the chat template. Their ids are their positions, from 1.
var specials = [...]string{"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}

const endToken = 4 // <|end|>

// maxPiece is the length of the longest piece of a word, in runes, with its leading space. With it English has about four characters per
// token, as with real tokenisers.
const maxPiece = 7

// tokenizer cuts text into pieces whose ids are hashes. It is not a real tokeniser, but it has what prefix caching needs: equal texts have
// equal ids, and text before the end of a message never changes the ids after it. It remembers pieces to turn ids back into text.
type tokenizer struct {
	mu    sync.Mutex
	ids   map[string]int32
	texts map[int32]string
}

func newTokenizer() *tokenizer {
	t := &tokenizer{ids: map[string]int32{}, texts: map[int32]string{}}
	for i, s := range specials {
		t.ids[s], t.texts[int32(i+1)] = int32(i+1), s
	}
	return t
}

// id returns the id of a piece, in [1000, 2^31). When two pieces have the same hash, the second gets the next free id. It locks for one
// piece only, so that a long prompt does not delay the engine's next token.
func (t *tokenizer) id(piece string) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.ids[piece]; ok {
		return id
	}
	h := fnv.New32a()
	h.Write([]byte(piece))
	const low, span = 1000, 1<<31 - 1000
	id := int32(low + uint64(h.Sum32())%span)
	for t.texts[id] != "" {
		id = int32(low + (uint64(id)-low+1)%span)
	}
	t.ids[piece], t.texts[id] = id, piece
	return id
}

// encode returns the token ids of a text.
func (t *tokenizer) encode(text string) []int32 {
	out := make([]int32, 0, len(text)/4+1)
	for text != "" {
		n := pieceLen(text)
		out = append(out, t.id(text[:n]))
		text = text[n:]
	}
	return out
}

// pieces returns the texts of ids. An unknown id gives U+FFFD.
func (t *tokenizer) pieces(ids []int32) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]string, len(ids))
	for i, id := range ids {
		s, ok := t.texts[id]
		if !ok {
			s = "\ufffd"
		}
		out[i] = s
	}
	return out
}

// pieceLen returns the length of the first piece, in bytes. A piece is a special token, a line break, up to maxPiece runes of one word
// with the space before it, up to three digits, a run of spaces, or one other character.
func pieceLen(s string) int {
	if s[0] == '<' {
		for _, x := range specials {
			if strings.HasPrefix(s, x) {
				return len(x)
			}
		}
	}
	if s[0] == '\n' {
		return 1
	}
	n := 0
	if s[0] == ' ' {
		for n < len(s) && s[n] == ' ' {
			n++
		}
		if n > 1 || n == len(s) {
			// the last space of a run belongs to the word that follows
			if n > 1 && n < len(s) {
				if r, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsLetter(r) {
					return n - 1
				}
			}
			return n
		}
		if r, _ := utf8.DecodeRuneInString(s[n:]); !unicode.IsLetter(r) {
			return n
		}
	}
	r, size := utf8.DecodeRuneInString(s[n:])
	switch {
	case unicode.IsLetter(r):
		for runes := n; runes < maxPiece && n < len(s); runes++ {
			r, size := utf8.DecodeRuneInString(s[n:])
			if !unicode.IsLetter(r) {
				break
			}
			n += size
		}
		return n
	case unicode.IsDigit(r):
		for digits := 0; digits < 3 && n < len(s); digits++ {
			r, size := utf8.DecodeRuneInString(s[n:])
			if !unicode.IsDigit(r) {
				break
			}
			n += size
		}
		return n
	}
	return n + size
}

// render is the chat template. Each message stands between its role and <|end|>. With generate the role of the assistant follows.
func render(messages []message, generate bool) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("<|" + m.Role + "|>\n" + m.Content.text + "<|end|>\n")
	}
	if generate {
		b.WriteString("<|assistant|>\n")
	}
	return b.String()
}

// words are the words of replies. A word with its leading space is one token, so it has at most maxPiece-1 letters. A reply in the
// history then has the ids with which it was generated, and hits.
var words = strings.Fields(`the a cache block token prefix turn model server prompt reply memory step batch queue time
	first last next same other each every some one two is was has does keeps reads writes holds shares moves grows
	stays starts ends fits waits runs takes gives needs finds shows of in on at to from with by for and or but so
	then when while since after before until longer later faster slower larger lower warm cold full empty new
	old long short it this that which more less most few many`)

// reply makes up a text of pieces in pseudo-English sentences. The same random source gives the same text.
type reply struct {
	rng      *rand.Rand
	sentence int // words left in the sentence
	started  bool
}

// next returns the next piece.
func (r *reply) next() string {
	if r.sentence == 0 {
		r.sentence = 6 + r.rng.IntN(10)
		if r.started {
			return "."
		}
	}
	r.sentence--
	w := words[r.rng.IntN(len(words))]
	if !r.started {
		r.started = true
		return w
	}
	return " " + w
}
