package prefix

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

type captured struct {
	Conversation string
	Turn         int
	Prompt       []int32
	Output       []int32
	Cached       int
}

// The token ids and hits were recorded from vLLM 0.32 (CPU). Conversations grow, some turns have a document in the system prompt, and
// one conversation has a salt. The hits of every turn are predicted, and the causes add up.
func TestRecordedTurns(t *testing.T) {
	for _, size := range []int{32, 128} {
		b, err := os.ReadFile(fmt.Sprintf("testdata/turns_bs%d.json", size))
		if err != nil {
			t.Fatal(err)
		}
		var turns []captured
		if err := json.Unmarshal(b, &turns); err != nil || len(turns) < 21 {
			t.Fatalf("%d turns (%v)", len(turns), err)
		}
		h := NewHistory(Options{UnitTokens: size, CapacityTokens: 0})
		sessions := map[string]int{}
		for _, c := range turns {
			if _, ok := sessions[c.Conversation]; !ok {
				sessions[c.Conversation] = len(sessions)
			}
			salt := ""
			if c.Conversation == "salted" {
				salt = "s"
			}
			v := h.Analyse(Turn{Prompt: c.Prompt, Output: c.Output, Generated: len(c.Output), Salt: salt, Session: sessions[c.Conversation],
				Achieved: c.Cached})
			if v.Predicted != c.Cached || v.BlockIdeal != c.Cached {
				t.Errorf("block %d, %s turn %d: predicted %d, ideal %d, vLLM said %d", size, c.Conversation, c.Turn, v.Predicted, v.BlockIdeal,
					c.Cached)
			}
			checkSum(t, v)
		}
	}
}

func checkSum(t *testing.T, v Analysis) {
	t.Helper()
	sum := 0
	for c, n := range v.Missed {
		if n < 0 {
			t.Errorf("%s is %d", c, n)
		}
		sum += n
	}
	from := v.Achieved
	if from < 0 {
		from = v.Predicted
	}
	if sum != v.PromptTokens-from {
		t.Errorf("causes add up to %d of %d: %v", sum, v.PromptTokens-from, v.Missed)
	}
}

// For any prompts the causes add up, no hit is above the ideal, larger blocks never allow more, and a longer history never shares
// less.
func TestHistoryProperties(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 11))
		capacity := 0
		if seed%3 == 0 {
			capacity = 16 * (60 + rng.IntN(60))
		}
		k := newTalk(t, 16, capacity)
		shared := seq(1, 400)
		var prompts [][]int32
		last := map[int][]int32{}
		for range 40 {
			k.session, k.salt = rng.IntN(4), fmt.Sprint(rng.IntN(2))
			p := slices.Clone(last[k.session])
			switch rng.IntN(4) {
			case 0:
				p = slices.Clone(shared[:rng.IntN(len(shared))])
			case 1:
				if len(p) > 0 {
					p[rng.IntN(len(p))]++
				}
			}
			p = append(p, seq(int(seed)*1000+len(prompts), 1+rng.IntN(60))...)
			p = p[:min(len(p), 600)]
			out := seq(int(seed)*7+len(prompts), 1+rng.IntN(30))
			last[k.session] = append(slices.Clone(p), out...)
			probe := slices.Clone(p)
			before, _ := k.h.ofRepeat(0).find(probe)
			v := k.turn(p, out, "", false)
			if v.Achieved > v.BlockIdeal || v.BlockIdeal > v.Common || v.BlockIdeal >= v.PromptTokens || v.TextIdeal < v.BlockIdeal {
				t.Fatalf("seed %d: %+v", seed, v)
			}
			if capacity == 0 && v.Missed[Evicted]+v.Missed[Unknown] != 0 {
				t.Fatalf("seed %d: %v without a limit", seed, v.Missed)
			}
			if after, _ := k.h.ofRepeat(0).find(probe); after < before || after != len(probe) {
				t.Fatalf("seed %d: shared %d, then %d", seed, before, after)
			}
			// the tree finds what comparing all sequences finds
			want := 0
			for _, q := range prompts {
				want = max(want, LCP(q, p))
			}
			if before != want {
				t.Fatalf("seed %d: the tree shares %d, the sequences %d", seed, before, want)
			}
			prompts = append(prompts, append(slices.Clone(p), out[:len(out)-1]...))
			for _, size := range []int{16, 32, 64, 128} {
				if IdealHit(v.Common, len(p), size) > IdealHit(v.Common, len(p), size/2) {
					t.Fatalf("seed %d: blocks of %d allow more", seed, size)
				}
			}
		}
	}
}

// A conversation of 128K tokens is analysed in 20 turns. A document comes and goes.
func BenchmarkAnalyse(b *testing.B) {
	const turns, length = 20, 128_000
	text := seq(5, length)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		h := NewHistory(Options{UnitTokens: 16, CapacityTokens: 0})
		for i := range turns {
			p := slices.Clone(text[:length*(i+1)/turns])
			if i%4 == 3 {
				p = slices.Insert(p, 1000, seq(9, 2000)...)
			}
			h.Analyse(Turn{Prompt: p, Output: seq(i, 64), Generated: 64, Achieved: -1})
		}
		runtime.ReadMemStats(&after)
		b.ReportMetric(time.Since(began).Seconds(), "s/conversation")
		b.ReportMetric(float64(after.HeapInuse-min(after.HeapInuse, before.HeapInuse))/1e6, "MB")
	}
}
