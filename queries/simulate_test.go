//go:build duckdb_arrow

package queries

import (
	"context"
	"slices"
	"testing"

	"wb/queries/internal/fixture"
)

// The counts of turns and prompt tokens do not depend on the cache: all rows of the table have the same denominator.
func TestReplayDenominators(t *testing.T) {
	ids := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = int32(i)
		}
		return out
	}
	turns := []replayed{
		{session: 1, warmup: true, prompt: ids(64)},
		{session: 2, prompt: ids(64), measured: true},
		{session: 2, prompt: ids(96), measured: true},
		{session: 3, prompt: ids(2000)}, // failed, or of a session that was played again
		{session: 4, prompt: ids(1000), measured: true},
	}
	for _, c := range []struct {
		pool            int64
		cached, refused int64
	}{
		{0, 0 + 64 + 992, 0},
		{512, 64, 1}, // the last one does not fit
		{16, 0, 3},   // nothing fits
	} {
		n, prompt, cached, refused := replay(turns, 16, c.pool, true)
		if n != 3 || prompt != 64+96+1000 || refused != c.refused {
			t.Errorf("pool %d: %d turns, %d prompt tokens, %d refused; want 3, 1160, %d", c.pool, n, prompt, refused, c.refused)
		}
		if cached != c.cached {
			t.Errorf("pool %d: %d cached, want %d", c.pool, cached, c.cached)
		}
	}
}

// Prompts and replies are rebuilt from their parts, and from rows of an older wb, which hold all of the ids.
func TestReadTokens(t *testing.T) {
	ctx := context.Background()
	turns, err := readTokens(ctx, fixture.Conn(t, fixture.History(t)), fixture.LateID)
	if err != nil {
		t.Fatal(err)
	}
	if len(turns) != 2 || !slices.Equal(turns[0].prompt, fixture.IDs(0, 100)) ||
		!slices.Equal(turns[0].output, fixture.IDs(100, 111)) ||
		!slices.Equal(turns[1].prompt, fixture.IDs(0, 200)) {
		t.Errorf("%v", turns)
	}
}
