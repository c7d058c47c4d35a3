package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/data/plain"
	"wb/data/prefix"
	"wb/store"
)

// promptIDs asks the server for the token ids of a turn's prompt. It gives nil when they are not wanted or cannot be had.
func (r *run) promptIDs(ctx context.Context, c *client.Client, req client.Request) []int32 {
	if !r.engine.HasTokenize || r.job.TokenIDs == TokenIDsNone || r.cache.failures.Load() >= enoughFailures {
		return nil
	}
	text := engine.Text{Messages: req.Messages}
	if req.Text != "" {
		text = engine.Text{Prompt: req.Text}
	}
	ids, err := r.engine.TokenIDs(ctx, c, r.engine.Model, text)
	if err == nil {
		r.cache.failures.Store(0)
		return ids
	}
	if ctx.Err() != nil {
		return nil
	}
	n := r.cache.failures.Add(1)
	if errors.Is(err, context.DeadlineExceeded) { // one that hangs is not asked again
		if r.cache.failures.Swap(enoughFailures) >= enoughFailures && n > 1 {
			return nil // another goroutine told of it
		}
		n = enoughFailures
	}
	switch n {
	case enoughFailures:
		r.event(store.EventNoTokenIDs, "run", err.Error()+"; it is not asked again", nil)
	case 1:
		r.event(store.EventNoTokenIDs, "run", err.Error(), nil)
	}
	return nil
}

// enoughFailures is the number of failures in a row after which wb does not ask the server for token ids any more.
const enoughFailures = 3

// cacheAnalysis is what a run knows about the server's prefix cache.
type cacheAnalysis struct {
	failures atomic.Int32 // failures in a row to get token ids

	mu       sync.Mutex
	history  *prefix.History      // nil when it is not known how the server caches, or it does not cache
	how      engine.Cache         // of the server
	compared bool                 // a prompt rendered by wb has been compared with the server's rendering
	last     map[int32]sentPrompt // the last prompt of each session
	left     map[int]int          // sessions of each repeat that have not ended
}

// sentPrompt is the prompt of a turn as token ids.
type sentPrompt struct {
	turn int32
	ids  []int32
}

// beginCacheAnalysis prepares the analysis for the sessions that will be played.
func (r *run) beginCacheAnalysis(todo []SessionPlan) {
	r.cache.last, r.cache.left = map[int32]sentPrompt{}, map[int]int{}
	for _, s := range todo {
		r.cache.left[s.Repeat]++
	}
	how := r.engine.CacheOf()
	if how == nil {
		return
	}
	r.cache.how = *how
	r.cache.history = prefix.NewHistory(prefix.Options{UnitTokens: how.UnitTokens, BlockTokens: how.BlockTokens,
		CapacityTokens: how.CapacityTokens, AlignTokens: how.AlignTokens, Hybrid: how.Hybrid, Slots: how.Slots,
		Overlapping: r.job.concurrent()})
}

// cold tells the analysis that the server's cache was emptied.
func (r *run) cold() {
	if r.cache.history != nil {
		r.cache.history.Cold()
	}
}

// fetchTokenIDs asks the server for those token ids of a turn that its stream did not bring.
func (r *run) fetchTokenIDs(ctx context.Context, c *client.Client, f *finishedTurn) {
	if f.re.Status == client.StatusOverflow || r.job.TokenIDs == TokenIDsNone {
		return
	}
	switch {
	case f.re.PromptIDs != nil: // what the server really used
		f.ids = f.re.PromptIDs
	case f.ids == nil:
		f.ids = r.promptIDs(ctx, c, f.req)
	}
	if !r.engine.HasTokenize {
		return
	}
	r.compareTemplate(ctx, c, f.req, f.ids)
	if f.ids == nil || f.re.TokenIDs != nil || f.re.Content == "" || r.cache.history == nil {
		return
	}
	if ids, err := r.engine.TokenIDs(ctx, c, r.engine.Model, engine.Text{Part: f.re.Content}); err == nil {
		f.replyIDs = ids
	}
}

// analyse makes the rows of a turn's token ids, of the cached tokens that were possible, and of its misses by cause.
func (r *run) analyse(rows *store.Together, p *liveSession, f *finishedTurn) {
	re, ids := f.re, f.ids
	if ids == nil || re.Status == client.StatusOverflow {
		return
	}
	row, rest := store.TurnToken{RunID: r.id, TurnID: f.id, Kind: "prompt"}, ids
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	if last, ok := r.cache.last[p.id]; ok {
		if n := prefix.LCP(last.ids, ids); n > 0 {
			row.SharedTurnID, row.SharedTokens, rest = &last.turn, int64(n), ids[n:]
		}
	}
	r.cache.last[p.id] = sentPrompt{f.id, ids}
	if !r.job.NoText { // with the tokeniser, token ids can be turned back into text
		store.Put(rows, store.TurnTokens(row, rest)...)
	}
	if len(re.TokenIDs) > 0 && !r.job.NoText {
		store.Put(rows, store.TurnTokens(store.TurnToken{RunID: r.id, TurnID: f.id, Kind: "output"}, re.TokenIDs)...)
	}
	if r.cache.history == nil {
		return
	}
	if re.Status != client.StatusOK && re.FirstNs == nil { // a prompt that failed before its first token was hardly computed
		return
	}
	t := r.seen(p, f)
	v := r.cache.history.Analyse(t)
	if re.Status != client.StatusOK { // a failed turn belongs to the history of the cache, but counts in no figure
		return
	}
	store.Put(rows, r.cacheTurn(f.id, v))
	for _, cause := range prefix.Causes() {
		if n := v.Missed[cause]; n > 0 && t.Achieved >= 0 { // without cached tokens the misses are not known
			store.Put(rows, store.CacheMiss{RunID: r.id, TurnID: f.id, Cause: string(cause), Tokens: int64(n)})
		}
	}
}

// seen describes a turn as the server's cache saw it. Achieved is -1 when the server did not report cached tokens.
func (r *run) seen(p *liveSession, f *finishedTurn) prefix.Turn {
	re := f.re
	t := prefix.Turn{Prompt: f.ids, Output: re.TokenIDs, ReplyIDs: f.replyIDs, Generated: 1, Salt: p.apart,
		Session: int(p.id), Repeat: p.repeat, Apart: p.warmup(), Reply: f.answer, Foreign: f.answer != re.Content, Achieved: -1,
		Reasoning: re.Reasoning != "" || strings.Contains(re.Content, "</think>")}
	for _, m := range f.prompt.Messages {
		t.Messages = append(t.Messages, prefix.Text{Role: m.Role, Content: m.Content})
	}
	if re.CompletionTokens != nil {
		t.Generated = int(*re.CompletionTokens)
	}
	if re.CachedTokens != nil {
		t.Achieved = int(*re.CachedTokens)
	}
	if r.cache.how.Slots != nil {
		t.Salt = "" // slots know no salt: only tokens keep sessions apart
		r.guessOutput(&t, f)
	}
	return t
}

// guessOutput takes the ids of the reply's text for those that were generated, where the stream did not bring these. A server that reuses
// single tokens holds them, and a later prompt may begin with some of them even if its history holds another text.
func (r *run) guessOutput(t *prefix.Turn, f *finishedTurn) {
	if t.Output != nil || f.replyIDs == nil || t.Reasoning {
		return
	}
	t.Output, t.Guessed = slices.Clone(f.replyIDs[:min(len(f.replyIDs), t.Generated)]), true
	if why := f.re.FinishReason; why != nil && *why == "stop" && len(t.Output) < t.Generated {
		t.Output = append(t.Output, endOfReply)
	}
}

// endOfReply stands for the token that ended a reply. It is no token of a prompt.
const endOfReply = -1

// cacheTurn makes the row of an analysis.
func (r *run) cacheTurn(turn int32, v prefix.Analysis) store.CacheTurn {
	c := store.CacheTurn{RunID: r.id, TurnID: turn, BlockSizeTokens: int64(r.cache.how.UnitTokens), CommonTokens: int64(v.Common),
		BlockIdealTokens: int64(v.BlockIdeal), TextIdealTokens: int64(v.TextIdeal), PredictedTokens: int64(v.Predicted)}
	d := v.Divergence
	if d == nil {
		return c
	}
	c.DivergenceToken, c.DivergenceReference = new(int64(d.TokenIndex)), new("session")
	if d.Message >= 0 {
		c.DivergenceMessage, c.DivergenceRole, c.DivergenceCharacter = new(int32(d.Message)), plain.OrNil(d.Role), new(int64(d.Character))
	}
	if d.SameSession {
		c.DivergenceReference = new("turn")
	}
	if !r.job.NoText {
		c.DivergenceBefore, c.DivergenceNow = plain.OrNil(d.Before), plain.OrNil(d.Now)
	}
	return c
}

// endSessionAnalysis drops what is kept for comparisons within the session. After the last session of a repeat it drops what is kept for
// the repeat.
func (r *run) endSessionAnalysis(p *liveSession) {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	delete(r.cache.last, p.id)
	if !p.warmup() {
		r.cache.left[p.repeat]--
	}
	if r.cache.history == nil {
		return
	}
	r.cache.history.Forget(int(p.id), p.apart)
	if p.warmup() || r.cache.left[p.repeat] == 0 {
		r.cache.history.EndRepeat(p.repeat)
		delete(r.cache.left, p.repeat)
	}
}

// compareTemplate compares the first prompt that wb rendered with the server's rendering of the same messages, once per run.
func (r *run) compareTemplate(ctx context.Context, c *client.Client, req client.Request, ids []int32) {
	r.cache.mu.Lock()
	done := req.Text == "" || ids == nil || r.cache.compared
	r.cache.compared = r.cache.compared || !done
	r.cache.mu.Unlock()
	if done {
		return
	}
	servers, err := r.engine.TokenIDs(ctx, c, r.engine.Model, engine.Text{Messages: req.Messages})
	name := r.job.Template.Name
	switch {
	case err != nil:
		r.event(store.EventTemplateNotCompared, "run", err.Error(), nil)
	case slices.Equal(servers, ids):
		text := fmt.Sprintf("the prompt rendered with %s has the token ids of the server's template", name)
		r.event(store.EventTemplateSame, "run", text, nil)
	default:
		text := fmt.Sprintf("the prompt rendered with %s differs from the server's template at token %d (%d tokens here, %d there)",
			name, prefix.LCP(servers, ids), len(ids), len(servers))
		r.warn(store.EventTemplateDiffers, "run", text)
	}
}
