package queries

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"wb/data/prefix"
	"wb/queries/table"
	wbsql "wb/sql"
	"wb/store"
)

// WhatIf says which caches to replay recorded prompts through.
type WhatIf struct {
	Runs       string  // selector
	BlockSizes []int   // tokens in a KV block
	PoolTokens []int64 // tokens the KV cache holds; 0: no limit
	Shared     bool    // without isolation between sessions: no salts, no restarts, no resets
}

// replayed is one recorded request.
type replayed struct {
	session   int32
	isolation string
	warmup    bool
	prompt    []int32
	output    []int32
	generated int64
	measured  bool // it counts: it ended well, is not warm-up, and its session was not played again
	guessed   bool // the tokens after it in the next prompt may be taken as its output
}

// ErrNoTokens is returned when the runs hold no token ids.
var ErrNoTokens = errors.New("no token ids were recorded")

// Simulate replays the prompts of recorded runs through vLLM's cache with other block sizes and pools, and gives the hit ratio that each
// would have had. Warm-up is replayed and counts in no figure. ErrNoTokens says that a run has no token ids.
func Simulate(ctx context.Context, db *store.DB, w WhatIf) (*table.Table, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	refs, err := Select(ctx, conn, w.Runs)
	if err != nil {
		return nil, err
	}
	t := &table.Table{Name: "cache_simulate", Title: "Prefix cache by block size and capacity", Runs: refs,
		About: "The recorded prompts, replayed through vLLM's cache with other block sizes and pools. " +
			"hit_ratio: cached over prompt tokens of measured turns. " +
			"Warm-up, failed turns and sessions that were played again are left out. " +
			"refused: turns that the pool could not hold; nothing of them was cached.",
		Charts: []table.Chart{{Kind: "line", X: "block_size_tokens", Y: []string{"hit_ratio"}, Series: "series", LogX: true}}}
	for _, name := range []string{
		"run", "block_size_tokens", "pool", "turns", "prompt_total_tokens", "cached_total_tokens", "hit_ratio", "refused", "series",
	} {
		t.Columns = append(t.Columns, table.Column{Name: name, Unit: table.UnitOf(name)})
	}
	if w.Shared {
		t.Notes = append(t.Notes, "Sessions share one cache here, even if they were isolated when they were recorded.")
	}
	for _, ref := range refs {
		turns, err := readTokens(ctx, conn, ref.ID)
		if err != nil {
			return nil, err
		}
		if len(turns) == 0 {
			return nil, fmt.Errorf("simulate cache over run %s: %w", ref.Name, ErrNoTokens)
		}
		for _, pool := range w.PoolTokens {
			name := "unlimited"
			if pool > 0 {
				name = fmt.Sprint(pool)
			}
			for _, size := range w.BlockSizes {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				n, prompt, cached, refused := replay(turns, size, pool, w.Shared)
				var ratio any
				if prompt > 0 {
					ratio = float64(cached) / float64(prompt)
				}
				series := "pool " + name
				if len(refs) > 1 {
					series += " · " + ref.Name
				}
				t.Rows = append(t.Rows, []any{ref.Name, int64(size), name, n, prompt, cached, ratio, refused, series})
			}
		}
	}
	return t, nil
}

// replay runs requests one after the other, as those of a single user. n and prompt count the measured turns and their prompt tokens, which
// do not depend on the cache. cached counts the tokens that hit, and refused the turns that did not fit, which have no hits.
func replay(turns []replayed, size int, pool int64, shared bool) (n, prompt, cached, refused int64) {
	for _, t := range turns {
		if t.measured {
			n++
			prompt += int64(len(t.prompt))
		}
	}
	blocks := 0
	if pool > 0 {
		if blocks = int(pool)/size - 1; blocks < 1 { // vLLM keeps one block for itself
			return n, prompt, 0, n
		}
	}
	c := prefix.NewCache(size, blocks)
	session := int32(0)
	for _, t := range turns {
		salt := ""
		if !shared {
			if t.session != session && (t.isolation == "restart" || t.isolation == "reset") {
				c.Reset()
			}
			if t.isolation == "salt" {
				salt = fmt.Sprint(t.session)
			}
		}
		if t.warmup { // a warm-up always has a separate salt
			salt = fmt.Sprint("warm-up ", t.session)
		}
		session = t.session
		s := c.Open(t.prompt, salt)
		if s.Reserve(max(len(t.prompt), prefix.Reusable(len(t.prompt), len(t.output)))) {
			s.Computed(len(t.prompt))
			if len(t.output) > 0 {
				s.Computed(prefix.Reusable(len(t.prompt), len(t.output)), t.output...)
			}
			if t.measured {
				cached += int64(s.Hit)
			}
		} else if t.measured {
			refused++
		}
		s.Close()
	}
	return n, prompt, cached, refused
}

// readTokens rebuilds the prompts of a run, in the order in which they were sent. Where the ids of a reply were not recorded, it takes
// the tokens that are in its place in the next prompt.
func readTokens(ctx context.Context, conn *sql.Conn, runID string) ([]replayed, error) {
	rows, err := conn.QueryContext(ctx, wbsql.Statement("recorded_tokens"), runID)
	if err != nil {
		return nil, fmt.Errorf("read token ids: %w", err)
	}
	defer rows.Close()
	var out []replayed
	at := map[int32]int{} // turn → index
	for rows.Next() {
		var turn, part int32
		var kind string
		var sharedTurn sql.NullInt32
		var shared int64
		var tokens any
		var x replayed
		if err := rows.Scan(&turn, &kind, &part, &sharedTurn, &shared, &tokens, &x.session, &x.isolation, &x.warmup,
			&x.generated, &x.measured, &x.guessed); err != nil {
			return nil, fmt.Errorf("read token ids: %w", err)
		}
		list, ok := tokens.([]any)
		if !ok {
			return nil, fmt.Errorf("read token ids: turn %d holds a %T", turn, tokens)
		}
		ids := make([]int32, 0, int(shared)+len(list))
		if sharedTurn.Valid {
			i, ok := at[sharedTurn.Int32]
			if !ok || shared > int64(len(out[i].prompt)) {
				return nil, fmt.Errorf("read token ids: turn %d begins like turn %d, which is missing or incomplete", turn, sharedTurn.Int32)
			}
			ids = append(ids, out[i].prompt[:shared]...)
		}
		for _, v := range list {
			id, ok := v.(int32)
			if !ok {
				return nil, fmt.Errorf("read token ids: turn %d holds a %T", turn, v)
			}
			ids = append(ids, id)
		}
		i, there := at[turn]
		switch {
		case kind == "output":
			if there {
				out[i].output = append(out[i].output, ids...)
			}
			continue
		case there && part > 0:
			out[i].prompt = append(out[i].prompt, ids...)
			continue
		}
		x.prompt = ids
		at[turn] = len(out)
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read token ids: %w", err)
	}
	for i := range out {
		if i+1 < len(out) && out[i].output == nil && out[i].guessed && out[i].generated > 1 && out[i+1].session == out[i].session {
			p, next := len(out[i].prompt), out[i+1].prompt
			if prefix.LCP(out[i].prompt, next) == p && len(next) > p {
				end := min(len(next), p+int(out[i].generated))
				out[i].output = next[p:end]
			}
		}
	}
	return out, nil
}
