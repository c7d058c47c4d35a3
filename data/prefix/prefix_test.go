package prefix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func seq(seed, n int) []int32 {
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	out := make([]int32, n)
	for i := range out {
		out[i] = rng.Int32N(50_000)
	}
	return out
}

// request runs a prompt and its output to the end and returns the hit.
func request(t testing.TB, c *Cache, prompt []int32, salt string, output []int32) int {
	t.Helper()
	s := c.Open(prompt, salt)
	defer s.Close()
	total := len(prompt) + len(output)
	if !s.Reserve(max(total-1, len(prompt))) {
		t.Fatalf("pool of %d blocks is short for %d tokens", c.Capacity(), total)
	}
	s.Computed(len(prompt))
	if len(output) > 0 {
		s.Computed(Reusable(len(prompt), len(output)), output...)
	}
	return s.Hit
}

// vLLM 0.32 with block size 32 answered these hits to prompts around the edges of a block.
func TestEdges(t *testing.T) {
	c := NewCache(32, 0)
	p := seq(1, 200)
	for _, step := range []struct{ n, want int }{{64, 0}, {64, 32}, {65, 64}, {96, 64}} {
		if got := request(t, c, p[:step.n], "", seq(9, 1)); got != step.want {
			t.Errorf("prompt of %d tokens hit %d, vLLM said %d", step.n, got, step.want)
		}
	}
	short := seq(2, 31)
	for range 2 {
		if got := request(t, c, short, "", nil); got != 0 {
			t.Errorf("a prompt shorter than a block hit %d", got)
		}
	}
}

// vLLM 0.32 had block size 32 and a pool of 10,240 tokens. It got four conversations of 3,000 tokens, and then again from the last to
// the first. The oldest lost its tail and still hit 1,152 of 3,010. One block of the pool is vLLM's null block.
func TestEvictionTakesTheTail(t *testing.T) {
	c := NewCache(32, 10_240/32-1)
	var convs [4][]int32
	for i := range convs {
		convs[i] = seq(10+i, 3010)
		if got := request(t, c, convs[i][:3000], "", convs[i][3000:3004]); got != 0 {
			t.Errorf("conversation %d hit %d at first", i, got)
		}
	}
	for _, step := range []struct{ conv, want int }{{3, 2976}, {2, 2976}, {1, 2976}, {0, 1152}, {0, 3008}, {1, 3008}, {2, 3008}, {3, 1152}} {
		if got := request(t, c, convs[step.conv], "", seq(99, 4)); got != step.want {
			t.Errorf("conversation %d hit %d, vLLM said %d", step.conv, got, step.want)
		}
	}
}

// A growing conversation hits the prompt and the output of the previous turn without the last sampled token, in whole blocks.
func TestTurnsReuseOutput(t *testing.T) {
	c := NewCache(16, 0)
	history := seq(3, 50)
	for turn := range 6 {
		out := seq(100+turn, 21+turn)
		want := 0
		if turn > 0 {
			want = IdealHit(len(history)-9-1, len(history), 16) // 9 new tokens follow the reply; its last token was not cached
		}
		if got := request(t, c, history, "s", out); got != want {
			t.Errorf("turn %d: hit %d, want %d", turn+1, got, want)
		}
		history = slices.Concat(history, out, seq(200+turn, 9))
	}
}

func TestSaltIsolatesAndResetForgets(t *testing.T) {
	c := NewCache(16, 100)
	p := seq(4, 160)
	request(t, c, p, "a", nil)
	if got := request(t, c, p, "b", nil); got != 0 {
		t.Errorf("another salt hit %d", got)
	}
	if got := request(t, c, p, "a", nil); got != 144 {
		t.Errorf("the same salt hit %d", got)
	}
	held := c.Open(p, "a")
	if c.Reset() {
		t.Error("reset while a sequence holds blocks")
	}
	held.Close()
	if !c.Reset() {
		t.Error("an idle cache was not reset")
	}
	if got := request(t, c, p, "a", nil); got != 0 {
		t.Errorf("after reset: hit %d", got)
	}
	c.Disable()
	if got := request(t, c, p, "a", nil); got != 0 {
		t.Errorf("disabled: hit %d", got)
	}
}

func TestExhaustedPool(t *testing.T) {
	c := NewCache(16, 4)
	a := c.Open(seq(5, 60), "")
	if !a.Reserve(60) || a.Reserve(80) {
		t.Error("4 blocks of 16 hold 64 tokens, no more")
	}
	if c.InUse() != 4 {
		t.Errorf("%d blocks in use", c.InUse())
	}
	a.Close()
	if c.InUse() != 0 || !c.Open(seq(6, 60), "").Reserve(64) {
		t.Error("blocks were not given back")
	}
}

// Random prompts share random prefixes, in pools of all sizes.
func TestProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 200 {
		size := []int{1, 8, 16, 32, 128}[rng.IntN(5)]
		capacity := 0
		if rng.IntN(2) == 0 {
			capacity = 400/size + 2 + rng.IntN(100)
		}
		c := NewCache(size, capacity)
		var seen [][]int32
		for step := range 30 {
			p := seq(rng.IntN(1000), 1+rng.IntN(150))
			if len(seen) > 0 {
				old := seen[rng.IntN(len(seen))]
				p = slices.Concat(old[:rng.IntN(len(old)+1)], p)
			}
			p = p[:min(len(p), 300)]
			out := seq(round*100+step, rng.IntN(20))
			lcp := 0
			for _, s := range seen {
				lcp = max(lcp, LCP(p, s))
			}
			ideal := IdealHit(lcp, len(p), size)
			got := request(t, c, p, "", out)
			what := fmt.Sprintf("round %d step %d: block %d, capacity %d, prompt %d, lcp %d", round, step, size, capacity, len(p), lcp)
			if got > ideal || got%size != 0 || got >= len(p) {
				t.Fatalf("%s: hit %d, ideal %d", what, got, ideal)
			}
			if capacity == 0 && got != ideal {
				t.Fatalf("%s: nothing is evicted, yet hit %d of ideal %d", what, got, ideal)
			}
			if c.InUse() != 0 {
				t.Fatalf("%s: %d blocks still in use", what, c.InUse())
			}
			seen = append(seen, slices.Concat(p, out)[:Reusable(len(p), len(out))])
		}
	}
	for _, n := range []int{0, 1, 16, 17, 100} { // with larger blocks a whole prompt hits less, and never all of itself
		last := n
		for _, size := range []int{1, 2, 4, 8, 16, 32} {
			hit := IdealHit(n, n, size)
			if hit > last || (n > 0 && hit >= n) {
				t.Errorf("prompt %d, block %d: ideal %d after %d", n, size, hit, last)
			}
			last = hit
		}
	}
}

func BenchmarkOpen128K(b *testing.B) {
	p := seq(1, 131_072)
	c := NewCache(16, 0)
	s := c.Open(p, "")
	s.Reserve(len(p))
	s.Computed(len(p))
	s.Close()
	for b.Loop() {
		c.Open(p, "").Close()
	}
}
