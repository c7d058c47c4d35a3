package prefix

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// only returns the cause of most misses, leaving some causes out.
func only(v Analysis, but ...Cause) Cause {
	var most Cause
	for c, n := range v.Missed {
		if !slices.Contains(but, c) && n > v.Missed[most] {
			most = c
		}
	}
	return most
}

// words is a tiny tokeniser: every word is a token. In the chat format of these tests every message ends with token 1.
func words(text string) (out []int32) {
	for w := range strings.FieldsSeq(text) {
		h := int32(17)
		for _, r := range w {
			h = h*31 + r
		}
		out = append(out, h&0x7fffff|0x100)
	}
	return out
}

func prompt(ms ...Text) (out []int32) {
	for _, m := range ms {
		out = append(append(append(out, words("<"+m.Role+">")...), words(m.Content)...), 1)
	}
	return append(out, words("<assistant>")...)
}

func text(n, seed int) string {
	rng := rand.New(rand.NewPCG(uint64(seed), 3))
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "w%d ", rng.IntN(40_000))
	}
	return strings.TrimSpace(b.String())
}

// talk sends turns to a history and to a model of a server, and compares the two.
type talk struct {
	t       *testing.T
	h       *History
	server  *Cache
	salt    string
	session int
	repeat  int
}

func newTalk(t *testing.T, size, capacity int) *talk {
	blocks := 0
	if capacity > 0 {
		blocks = capacity/size - 1
	}
	return &talk{t: t, h: NewHistory(Options{UnitTokens: size, CapacityTokens: capacity}), server: NewCache(size, blocks)}
}

// turn sends messages, gets a reply of these ids, and returns the analysis.
func (k *talk) turn(ids, output []int32, reply string, reasoning bool, ms ...Text) Analysis {
	k.t.Helper()
	hit := request(k.t, k.server, ids, k.salt, output)
	v := k.h.Analyse(Turn{Prompt: ids, Output: output, Generated: len(output), Salt: k.salt,
		Session: k.session, Repeat: k.repeat, Messages: ms, Reply: reply, Reasoning: reasoning, Achieved: hit})
	checkSum(k.t, v)
	if v.Predicted != hit {
		k.t.Errorf("predicted %d, the server hit %d", v.Predicted, hit)
	}
	return v
}

// plain sends messages and gets a reply whose ids are the same as later in the history.
func (k *talk) plain(reply string, ms ...Text) Analysis {
	k.t.Helper()
	return k.turn(prompt(ms...), append(words(reply), 1), reply, false, ms...)
}

// always holds the causes that every growing conversation has.
var always = []Cause{NewText, BlockRounding, LastToken}

// opening returns the beginning of the conversations below: a system prompt, two questions, and the reply to the first.
func opening() (system, u1, u2 Text, r1 string) {
	return Text{"system", text(200, 1)}, Text{"user", text(30, 2)}, Text{"user", text(30, 3)}, text(50, 4)
}

// The beginning of a prompt stays, or its documents or its date change.
func TestCausesOfDocuments(t *testing.T) {
	system, u1, u2, r1 := opening()
	t.Run("nothing is wrong", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		k.plain(r1, system, u1)
		v := k.plain("x", system, u1, Text{"assistant", r1}, u2)
		if c := only(v, always...); c != "" || v.Divergence != nil || v.Missed[NewText] > 40 || v.Missed[LastToken] != 1 {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a date in the system prompt", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		dated := func(day string) Text { return Text{"system", "It is " + day + " today. " + system.Content} }
		k.plain(r1, dated("Monday"), u1)
		k.session = 1
		v := k.plain(r1, dated("Tuesday"), u1)
		if v.Missed[ChangedText] < 150 || v.Divergence == nil || v.Divergence.Message != 0 || v.Divergence.Role != "system" ||
			v.Divergence.Character != len("It is ") ||
			!strings.HasPrefix(v.Divergence.Before, "It is Monday today") || !strings.HasPrefix(v.Divergence.Now, "It is Tuesday today") {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a document moves to the end", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		doc := text(120, 9)
		k.plain(r1, Text{"system", doc + " " + system.Content}, u1)
		v := k.plain("x", system, u1, Text{"assistant", r1}, Text{"user", doc + " " + u2.Content})
		if v.Missed[ChangedText] < 300 || v.Divergence == nil || v.Divergence.Message != 0 || v.Divergence.Character != 0 &&
			!strings.HasPrefix(system.Content, doc[:v.Divergence.Character]) {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a document is injected and removed", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		doc := Text{"system", system.Content + " " + text(120, 9)}
		k.plain(r1, system, u1)
		v := k.plain("yes", doc, u1, Text{"assistant", r1}, u2) // the document is new, and the history behind it is not
		if v.Missed[ChangedText] < 80 || v.Missed[NewText] < 120 || v.Divergence == nil {
			t.Errorf("injected: %v %+v", v.Missed, v.Divergence)
		}
		v = k.plain("x", system, u1, Text{"assistant", r1}, u2, Text{"assistant", "yes"}, Text{"user", text(20, 8)})
		if v.Common < 280 || v.Missed[ChangedText] < 20 || v.Divergence == nil {
			t.Errorf("removed: %v common %d %+v", v.Missed, v.Common, v.Divergence)
		}
	})
	t.Run("another conversation with the same beginning", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		k.plain(r1, system, u1)
		k.session = 1
		v := k.plain("x", system, Text{"user", text(40, 77)})
		if v.Missed[ChangedText] != 0 || v.Divergence != nil {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
}

// A chat template or the tokeniser turns equal messages into other tokens.
func TestCausesOfTemplates(t *testing.T) {
	system, u1, u2, r1 := opening()
	t.Run("a template drops earlier reasoning", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		k.turn(prompt(system, u1), append(words("<think> "+text(60, 5)+" </think> "+r1), 1), r1, true, system, u1)
		v := k.plain("x", system, u1, Text{"assistant", r1}, u2)
		if c := only(v, always...); c != TemplateRewrote || v.Missed[TemplateRewrote] < 40 {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a template rewrites old messages", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		k.plain(r1, system, u1)
		ms := []Text{system, u1, {"assistant", r1}, u2}
		v := k.turn(prompt(system, Text{"user", "(earlier) " + u1.Content}, Text{"assistant", r1}, u2), nil, "", false, ms...)
		if c := only(v, always...); c != TemplateRewrote {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a reply re-tokenises differently", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		generated := append(words(r1), 1)
		generated[10] += 7 // another id for the same text
		k.turn(prompt(system, u1), generated, r1, false, system, u1)
		v := k.plain("x", system, u1, Text{"assistant", r1}, u2)
		if c := only(v, always...); c != Retokenized || v.Missed[Retokenized] < 25 {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
}

// Blocks were evicted, or isolation keeps them from other requests.
func TestCausesOfServers(t *testing.T) {
	system, u1, u2, r1 := opening()
	t.Run("eviction", func(t *testing.T) {
		k := newTalk(t, 16, 640)
		k.plain(r1, system, u1)
		for i := range 3 {
			k.session = i + 1
			k.plain("x", Text{"system", text(200, 50+i)}, u1)
		}
		k.session = 0
		v := k.plain("x", system, u1, Text{"assistant", r1}, u2)
		if c := only(v, always...); c != Evicted || v.Missed[Evicted] < 100 {
			t.Errorf("%v", v.Missed)
		}
	})
	t.Run("isolation", func(t *testing.T) {
		for _, mode := range []string{"salt", "cold"} {
			k := newTalk(t, 16, 0)
			k.plain(r1, system, u1)
			k.session = 1
			if mode == "salt" {
				k.salt = "other"
			} else {
				k.server.Reset()
				k.h.Cold()
			}
			v := k.plain(r1, system, u1)
			if c := only(v, always...); c != Isolation || v.Missed[Isolation] < 200 || v.BlockIdeal != 0 {
				t.Errorf("%s: %v", mode, v.Missed)
			}
		}
	})
	t.Run("a change within the session goes before isolation", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		changed := Text{"system", "New. " + system.Content}
		k.plain(r1, changed, u1)
		k.session, k.salt = 1, "other"
		k.plain(r1, system, u1)
		v := k.plain("x", changed, u1, Text{"assistant", r1}, u2)
		if v.Missed[Isolation] > 16 || v.Missed[ChangedText] < 200 {
			t.Errorf("%v", v.Missed)
		}
	})
}

// Text that one repeat sent is new again in the next repeat.
func TestRepeatsAreSeparate(t *testing.T) {
	system, u1, u2, r1 := opening()
	for _, mode := range []string{"salt", "cold"} {
		k := newTalk(t, 16, 0)
		var first []Analysis
		for repeat := range 3 {
			k.repeat, k.session = repeat, 2*repeat
			if mode == "salt" {
				k.salt = fmt.Sprint(repeat)
			} else {
				k.server.Reset()
				k.h.Cold()
			}
			doc := Text{"system", system.Content + " " + text(120, 9)}
			got := []Analysis{
				k.plain(r1, system, u1),
				k.plain("yes", doc, u1, Text{"assistant", r1}, u2),
			}
			k.session++
			if mode == "salt" {
				k.salt += "b"
			}
			got = append(got, k.plain("x", system, Text{"user", text(40, 77)})) // in mode salt it is isolated from the other session
			if first == nil {
				first = got
			}
			for i, v := range got {
				if !maps.Equal(v.Missed, first[i].Missed) || v.TextIdeal != first[i].TextIdeal {
					t.Errorf("%s, repeat %d, turn %d: %v and %d, in the first %v and %d", mode, repeat+1, i+1,
						v.Missed, v.TextIdeal, first[i].Missed, first[i].TextIdeal)
				}
			}
			if c := first[0].Missed; c[NewText] != first[0].PromptTokens {
				t.Errorf("%s: first turn: %v", mode, c)
			}
			k.h.EndRepeat(repeat)
		}
		if c := first[2].Missed; mode == "salt" && (c[Isolation] != 192 || c[BlockRounding] != 0 || c[NewText] != first[2].PromptTokens-192) {
			t.Errorf("another session of the same repeat: %v", c)
		}
		if len(k.h.byRepeat) != 0 || len(k.h.sent) != 0 {
			t.Errorf("%s: data of ended repeats is left: %d and %d", mode, len(k.h.byRepeat), len(k.h.sent))
		}
	}
}

// Text that was sent before, but in another place, is new.
func TestCausesOfNewText(t *testing.T) {
	system, u1, u2, r1 := opening()
	t.Run("a quotation is new text", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		k.plain(r1, system, u1)
		v := k.plain("x", system, u1, Text{"assistant", r1}, Text{"user", "You said: " + r1})
		if v.Missed[ChangedText] != 0 || v.Missed[NewText] < 50 || v.Divergence != nil {
			t.Errorf("%v %+v", v.Missed, v.Divergence)
		}
	})
	t.Run("a warm-up does not count", func(t *testing.T) {
		h := NewHistory(Options{UnitTokens: 16, CapacityTokens: 0})
		h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 1, Salt: "warm", Messages: []Text{system, u1}, Achieved: 0, Apart: true})
		v := h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 1, Salt: "s", Session: 1, Messages: []Text{system, u1}, Achieved: 0})
		if v.Missed[NewText] != len(prompt(system, u1)) {
			t.Errorf("%v", v.Missed)
		}
	})
	t.Run("a document that only another session had", func(t *testing.T) {
		k := newTalk(t, 16, 0)
		doc := text(120, 9)
		k.plain(r1, Text{"system", text(50, 33) + " " + doc}, u1)
		k.session, k.salt = 1, "other"
		k.plain(r1, system, u1)
		v := k.plain("x", Text{"system", system.Content + " " + doc}, u1, Text{"assistant", r1}, u2)
		if v.Missed[NewText] < 140 || v.Missed[ChangedText] < 70 || v.Missed[Isolation] != 0 {
			t.Errorf("%v", v.Missed)
		}
	})
}

// The server or the client leaves something out.
func TestUnknownCauses(t *testing.T) {
	system, u1, u2, r1 := opening()
	t.Run("no known cause", func(t *testing.T) {
		h := NewHistory(Options{UnitTokens: 16, CapacityTokens: 0})
		for i := range 2 {
			v := h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 1, Session: i, Messages: []Text{system, u1}, Achieved: 0})
			checkSum(t, v)
			if i == 1 && v.Missed[Unknown] < 200 {
				t.Errorf("%v", v.Missed)
			}
		}
	})
	t.Run("the server reports no hits", func(t *testing.T) {
		h := NewHistory(Options{UnitTokens: 16, CapacityTokens: 0})
		h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 1, Messages: []Text{system, u1}, Achieved: -1})
		v := h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 1, Session: 1, Messages: []Text{system, u1}, Achieved: -1})
		if v.Predicted < 200 || v.Missed[Unknown] != 0 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("outputs are not known", func(t *testing.T) {
		h := NewHistory(Options{UnitTokens: 16, CapacityTokens: 0})
		h.Analyse(Turn{Prompt: prompt(system, u1), Generated: 51, Messages: []Text{system, u1}, Reply: r1, Achieved: 0})
		v := h.Analyse(Turn{Prompt: prompt(system, u1, Text{"assistant", r1}, u2), Generated: 2,
			Messages: []Text{system, u1, {"assistant", r1}, u2}, Achieved: 272})
		checkSum(t, v)
		if v.Predicted != 272 || v.Divergence != nil { // 234 and 50 tokens
			t.Errorf("%+v", v)
		}
	})
}
