package prefix

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// slotTurn is a turn that llama.cpp's server b10434 answered.
type slotTurn struct {
	Session, Turn, Generated, Cached int
	Prompt, Output                   []int32
}

// The hits of every turn are predicted, in each setting of slots and host memory. Conversations follow each other without isolation, in
// two repeats, so that prompts leave their slot and come back.
func TestRecordedSlots(t *testing.T) {
	const tokenBytes = 30 * 2 * 3 * 64 * 2 // SmolLM2-135M: layers, keys and values, KV heads, their size, f16
	for name, o := range map[string]SlotOptions{
		"live_ram20":      {Slots: 1, HostBytes: 20 << 20},   // -np 1 --cache-ram 20
		"live_ram0":       {Slots: 1},                        // -np 1 --cache-ram 0
		"scripted_slots2": {Slots: 2, HostBytes: 8192 << 20}, // -np 2
		"live_auto":       {Slots: 4, HostBytes: 8192 << 20, Unified: true},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile("testdata/slots/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var turns []slotTurn
			if err := json.Unmarshal(b, &turns); err != nil || len(turns) != 24 {
				t.Fatalf("%d turns (%v)", len(turns), err)
			}
			o.ContextTokens, o.TokenBytes, o.Similarity, o.SaveIdle = 8192, tokenBytes, 0.1, true
			h := NewHistory(Options{UnitTokens: 1, Slots: &o})
			causes := map[Cause]int{}
			for _, x := range turns {
				v := h.Analyse(Turn{Prompt: x.Prompt, Output: x.Output, Guessed: true, Generated: x.Generated, Session: x.Session,
					Achieved: x.Cached})
				if v.Predicted != x.Cached {
					t.Errorf("session %d, turn %d: predicted %d, the server said %d", x.Session, x.Turn, v.Predicted, x.Cached)
				}
				checkSum(t, v)
				for c, n := range v.Missed {
					causes[c] += n
				}
			}
			t.Log(causes)
			if causes[Unknown] > 0 || causes[Evicted] > 0 {
				t.Errorf("causes: %v", causes)
			}
		})
	}
}

// slotTalk sends prompts to a cache of slots.
type slotTalk struct {
	t *testing.T
	h *History
}

// send sends a prompt with an output of n tokens, and checks the hit and the causes of tokens that were held once.
func (k slotTalk) send(session int, prompt []int32, n, hit int, want string) {
	k.t.Helper()
	out := seq(1000+session*100+len(prompt), n)
	v := k.h.Analyse(Turn{Prompt: prompt, Output: out, Generated: n, Session: session, Achieved: -1})
	got := ""
	for _, c := range []Cause{SlotTaken, HostMemoryFull, SmallShare, NotRestorable, ContextShifted, Unknown} {
		if v.Missed[c] > 0 {
			got += fmt.Sprintf("%s %d ", c, v.Missed[c])
		}
	}
	if v.Predicted != hit || got != want {
		k.t.Errorf("session %d: hit %d, causes %q; want %d, %q", session, v.Predicted, got, hit, want)
	}
}

// startSlots makes an empty cache of slots with llama-server's similarity.
func startSlots(t *testing.T, o SlotOptions) slotTalk {
	if o.Similarity == 0 {
		o.Similarity = 0.1
	}
	return slotTalk{t, NewHistory(Options{UnitTokens: 1, Slots: &o})}
}

func TestSlotCauses(t *testing.T) {
	start := func(o SlotOptions) slotTalk { return startSlots(t, o) }
	a, b := seq(1, 100), seq(2, 100)
	t.Run("host memory brings a prompt back", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 100, "")
	})
	t.Run("without host memory the slot is taken", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 0, "slot_taken 100 ")
	})
	t.Run("host memory has room for one", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: 150, TokenBytes: 1})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(3, seq(4, 100), 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 0, "host_memory_full 100 ")
	})
	t.Run("a prompt that shares little is not brought back", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(3, slices.Concat(a[:20], seq(5, 300)), 5, 0, "small_share 20 ")
	})
	t.Run("a slot of which too little is shared", func(t *testing.T) {
		k := start(SlotOptions{Slots: 2})
		k.send(1, a, 5, 0, "")
		k.send(2, slices.Concat(a[:20], seq(5, 300)), 5, 0, "small_share 20 ")
	})
}

// Settings that change which slot is taken and what is kept.
func TestSlotSettings(t *testing.T) {
	start := func(o SlotOptions) slotTalk { return startSlots(t, o) }
	a, b := seq(1, 100), seq(2, 100)
	t.Run("without similarity the slot used longest ago is taken", func(t *testing.T) {
		k := start(SlotOptions{Slots: 2, Similarity: -1})
		k.h.cache.(*slots).o.Similarity = 0
		k.send(1, a, 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 0, "small_share 100 ")
	})
	t.Run("host memory without a limit of bytes holds a context", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1, ContextTokens: 150})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(3, seq(4, 100), 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 0, "host_memory_full 100 ")
	})
	t.Run("idle slots that are not saved", func(t *testing.T) {
		k := start(SlotOptions{Slots: 2, HostBytes: 1 << 30, Unified: true})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 100, "")
	})
	t.Run("several users", func(t *testing.T) {
		k := slotTalk{t, NewHistory(Options{UnitTokens: 1, Overlapping: true, Slots: &SlotOptions{Slots: 1, Similarity: 0.1}})}
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 0, "unknown 100 ")
	})
	t.Run("a slot that is most of the prompt is taken over in place", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1})
		k.send(1, a, 5, 0, "")
		k.send(2, slices.Concat(a[:80], seq(6, 10)), 5, 80, "")
		k.send(1, slices.Concat(a, seq(3, 10)), 5, 80, "slot_taken 20 ")
	})
	t.Run("generating beyond the context shifts it", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1, ContextTokens: 110})
		k.send(1, a, 20, 0, "")
		k.send(1, slices.Concat(a[:90], seq(3, 10)), 2, 0, "context_shifted 90 ")
	})
	t.Run("at least one token is computed", func(t *testing.T) {
		k := start(SlotOptions{Slots: 2, HostBytes: -1})
		k.send(1, a, 1, 0, "")
		k.send(1, a, 1, 99, "")
	})
	t.Run("a restart empties slots and host memory", func(t *testing.T) {
		k := start(SlotOptions{Slots: 1, HostBytes: -1})
		k.send(1, a, 5, 0, "")
		k.send(2, b, 5, 0, "")
		k.h.Cold()
		k.send(3, a, 5, 0, "")
	})
}

// What a server holds and does not give back has a cause where its kind of model explains it.
func TestHeldButNotGivenBack(t *testing.T) {
	a := seq(1, 400)
	for _, c := range []struct {
		name string
		o    Options
		hit  int // that the server reports for the second prompt
		want map[Cause]int
	}{
		{"a window", Options{UnitTokens: 1, Slots: &SlotOptions{Slots: 1, Partial: true}}, 16, map[Cause]int{NotRestorable: 384}},
		{"no window", Options{UnitTokens: 1, Slots: &SlotOptions{Slots: 1}}, 16, map[Cause]int{Unknown: 384}},
		{"a hybrid model that hits at multiples of 256", Options{UnitTokens: 16, AlignTokens: 256, Hybrid: true}, 256,
			map[Cause]int{HybridState: 144}},
		{"a hybrid model that hits less", Options{UnitTokens: 16, AlignTokens: 256, Hybrid: true}, 0, map[Cause]int{HybridState: 400}},
		{"a hybrid model that hits elsewhere", Options{UnitTokens: 16, AlignTokens: 256, Hybrid: true}, 16,
			map[Cause]int{Unknown: 240, HybridState: 144}},
		{"a pool", Options{UnitTokens: 16}, 384, map[Cause]int{Unknown: 16}},
	} {
		h := NewHistory(c.o)
		h.Analyse(Turn{Prompt: a, Generated: 1, Output: seq(9, 1), Session: 1, Achieved: 0})
		v := h.Analyse(Turn{Prompt: slices.Concat(a, seq(3, 40)), Generated: 1, Session: 1, Achieved: c.hit})
		checkSum(t, v)
		for _, cause := range []Cause{NotRestorable, HybridState, Unknown, SlotTaken, Evicted} {
			if v.Missed[cause] != c.want[cause] {
				t.Errorf("%s: %s %d, want %d (%v)", c.name, cause, v.Missed[cause], c.want[cause], v.Missed)
			}
		}
	}
}
