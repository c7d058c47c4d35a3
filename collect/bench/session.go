package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/data"
	"wb/store"
)

// liveSession is a session while a user plays it.
type liveSession struct {
	id         int32
	what       string // its conversation and placement, for messages
	repeat     int    // 0: a warm-up
	salt       string // "" for none
	apart      string // what keeps its prompts apart in the cache: the salt, or the line; "" for nothing
	intendedNs *int64 // when it was to begin, on the run's clock; nil: as soon as possible

	sent        sentTurn // the last prompt that the server counted
	firstCached *int64   // cached tokens of its first prompt; nil: the server did not report them
	longest     sentTurn // of the recorded prompts, the one with the most tokens
}

func (p *liveSession) warmup() bool { return p.repeat == 0 }

// finished is a part of a session that is to be recorded: its beginning, a turn, or its end. Exactly one of the three is set.
type finished struct {
	session *liveSession
	begin   *store.Session
	turn    *finishedTurn
	end     *store.SessionEnd
}

// finishedTurn is a turn that has ended.
type finishedTurn struct {
	id       int32
	number   int // in its session, from 1
	prompt   data.Prompt
	req      client.Request
	re       *client.Reply
	answer   string  // as it goes into the history
	checks   int32   // facts that a good answer contains
	passed   *int32  // how many of these it contains; nil: the turn failed
	ids      []int32 // token ids of the prompt; nil: not known
	replyIDs []int32 // token ids of the reply's text, where the stream does not bring those of the generated tokens
}

// session plays one conversation. An error ends the run. A failed turn ends only the session, because later turns would lack its reply.
func (r *player) session(ctx context.Context, c *data.Conversation, variant data.Placement, repeat, maxTurns, left int) error {
	p := &liveSession{id: r.sessions.Add(1), what: c.ID + "/" + string(variant), repeat: repeat, intendedNs: r.intendedNs}
	row := &store.Session{
		RunID:              r.id,
		SessionID:          p.id,
		ClientUser:         int32(r.number),
		Conversation:       c.ID,
		ConversationSHA256: c.SHA256(),
		Variant:            string(variant),
		Repeat:             int32(repeat),
		Warmup:             p.warmup(),
		Isolation:          string(r.job.Isolation),
		StartedNs:          r.clock(),
		Status:             store.SessionRunning,
	}
	if r.server.Process != nil {
		row.StartID = new(r.server.start)
		r.server.fresh = false
	}
	style := data.Style{Placement: variant, Scripted: r.job.Scripted()}
	switch {
	case r.takesSalt() && (p.warmup() || r.job.Isolation == IsolationSalt):
		p.salt = fmt.Sprintf("%s-%d", r.id, p.id)
		p.apart, row.Isolation = p.salt, string(IsolationSalt)
	case p.warmup() || r.job.Isolation == IsolationLine:
		// without a salt a warm-up would leave its prompt in the cache, and the first measured turn would not start cold
		style.Head = isolationLine(r.id, p.id)
		p.apart, row.Isolation = style.Head, string(IsolationLine)
	}
	total := len(c.Turns)
	if maxTurns > 0 {
		total = min(total, maxTurns)
	}
	if err := r.record(ctx, finished{session: p, begin: row}); err != nil {
		return err
	}
	info := TurnInfo{Conversation: c.ID, Repeat: repeat, Turns: total, Warmup: p.warmup(), SessionsLeft: left,
		ContextTokens: r.engine.MaxModelLenTokens}
	status, stop := r.turnsOf(ctx, p, c.Start(style), info)
	end := &store.SessionEnd{SessionID: p.id, EndedNs: r.clock(), Status: status, FirstCachedTokens: p.firstCached}
	if stop = errors.Join(stop, r.record(ctx, finished{session: p, end: end})); stop != nil {
		return stop
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	return nil
}

// turnsOf plays the turns of a session and gives the status with which it ended. An error ends the run.
func (r *player) turnsOf(ctx context.Context, p *liveSession, d *data.Dialogue, info TurnInfo) (status store.SessionStatus, stop error) {
	for d.Next() && d.Turn() <= info.Turns {
		if ctx.Err() != nil {
			return store.SessionInterrupted, nil
		}
		id := r.turns.Add(1)
		info.Turn, info.TurnID, info.Done, info.Reply = d.Turn(), int(id), false, nil
		r.tellTurn(info)
		f, err := r.turn(ctx, p, d, id)
		re := f.re
		r.last = re
		err = errors.Join(err, r.record(ctx, finished{session: p, turn: f}))
		info.Done, info.Reply, info.GPUWatts = true, re, r.env.GPUWatts()
		r.tellTurn(info) // after it is recorded
		r.count(p, re)
		if err != nil {
			return store.SessionFailed, err
		}
		switch re.Status {
		case client.StatusOK:
			r.notIsolated(p, d.Turn(), re)
			d.Reply(re.Content)
		case client.StatusInterrupted:
			return store.SessionInterrupted, nil
		default:
			if stop = r.endsRun(ctx, info, re); stop == nil && info.Turn < info.Turns {
				r.skipped(info)
			}
			return store.SessionFailed, stop
		}
	}
	return store.SessionOK, nil
}

// count counts a turn in the result of the run.
func (r *player) count(p *liveSession, re *client.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.warmup() && re.Status != client.StatusInterrupted {
		r.result.Turns++
	}
	if re.Status == client.StatusOK || re.Status == client.StatusInterrupted {
		return
	}
	if !p.warmup() {
		r.result.Failed++
	}
	r.result.LastError = re.Err
	if r.result.FirstError == "" {
		r.result.FirstError = re.Err
	}
}

// notIsolated warns of a session that began warm in spite of its isolation.
func (r *player) notIsolated(p *liveSession, number int, re *client.Reply) {
	isolated := !p.warmup() && r.job.Isolation != IsolationNone
	if number == 1 && isolated && p.firstCached != nil && re.PromptTokens != nil && warm(*p.firstCached, *re.PromptTokens) {
		r.warn(store.EventNotIsolated, "run", fmt.Sprintf("%s: its first turn found %d of %d tokens in the prefix cache "+
			"in spite of --isolation %s", p.what, *p.firstCached, *re.PromptTokens, r.job.Isolation))
	}
}

// warm says whether a session began warm: its first prompt had more cached tokens than the beginning of a chat template has, which all
// prompts share. The view sessions has the same rule.
func warm(cached, prompt int64) bool { return cached > min(64, prompt/2) }

// endsRun gives the reason why a failed turn ends the run, such as a server that is gone. It gives nil when the run goes on.
func (r *player) endsRun(ctx context.Context, info TurnInfo, re *client.Reply) error {
	answered := re.Status == client.StatusHTTPError || re.Status == client.StatusOverflow
	broken := !answered || (re.HTTPStatus != nil && *re.HTTPStatus >= 500)
	if cause := r.serverGone(ctx, broken); cause != nil {
		return fmt.Errorf("turn %d of %s: %w", info.Turn, info.Conversation, cause)
	}
	if broken && !engine.Alive(ctx, r.client) && ctx.Err() == nil {
		return engine.Unreachable(r.client.Base(), fmt.Errorf(" since turn %d of %s: %s", info.Turn, info.Conversation, re.Err))
	}
	return nil
}

// skipped warns of the turns that are not sent after a failed one, and counts them.
func (r *player) skipped(t TurnInfo) {
	r.warn(store.EventTurnsSkipped, "run", fmt.Sprintf("%s: turns %d to %d are skipped, since they would lack the reply to turn %d",
		t.Conversation, t.Turn+1, t.Turns, t.Turn))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Skipped += t.Turns - t.Turn
}

// serverGone explains why a server that wb started has ended. It gives nil while the server runs, and for other servers.
func (r *run) serverGone(ctx context.Context, broken bool) error {
	if r.server.Process == nil || !broken || ctx.Err() != nil {
		return nil
	}
	return r.server.Err(ctx)
}

// request makes the request of the next turn, and gives its prompt too.
func (r *player) request(p *liveSession, d *data.Dialogue) (client.Request, data.Prompt, error) {
	prompt := d.Prompt()
	req := client.Request{
		Model:       r.engine.Model,
		Messages:    messagesOf(prompt),
		MaxTokens:   r.job.MaxTokens,
		Temperature: r.job.Temperature,
		Seed:        r.job.Seed,
		IgnoreEOS:   r.job.IgnoreEOS && r.engine.Takes().IgnoreEOS,
		CacheSalt:   p.salt,
		VLLM:        r.engine.Takes().VLLM,
		Timings:     r.engine.Takes().Timings,
		Fresh:       r.engine.Takes().Fresh,
		TokenIDs:    r.job.TokenIDs == TokenIDsAll,
	}
	if limit := d.Current().MaxTokens; limit > 0 && (req.MaxTokens == 0 || limit < req.MaxTokens) {
		req.MaxTokens = limit
	}
	if r.job.Template == nil {
		return req, prompt, nil
	}
	var err error
	req.Text, err = r.job.Template.Render(prompt.Messages)
	return req, prompt, err
}

// notSent makes the reply for a request that was not sent, or whose answer wb did not wait for.
func notSent(status client.Status, why string, now int64) *client.Reply {
	return &client.Reply{Status: status, Err: why, Times: client.Times{SubmitNs: now, DoneNs: now}}
}

// messagesOf gives the messages of a prompt as the client sends them.
func messagesOf(p data.Prompt) []client.Message {
	out := make([]client.Message, len(p.Messages))
	for i, m := range p.Messages {
		out[i] = client.Message(m)
	}
	return out
}

// turn sends the request of one turn and waits for the end of its reply. A prompt that does not fit into the context is not sent.
func (r *player) turn(ctx context.Context, p *liveSession, d *data.Dialogue, id int32) (*finishedTurn, error) {
	req, prompt, err := r.request(p, d)
	f := &finishedTurn{id: id, prompt: prompt, number: d.Turn(), checks: int32(len(d.Current().Checks))}
	if err != nil {
		f.req, f.re = req, notSent(client.StatusRefused, err.Error(), r.clock())
		return f, err
	}
	if limit := r.engine.MaxModelLenTokens; limit != nil && p.maxPromptTokens(prompt, req.Text)+int64(req.MaxTokens) > *limit {
		if f.ids = r.promptIDs(ctx, r.client, req); int64(len(f.ids)) >= *limit {
			why := fmt.Sprintf("the prompt has %d tokens and the context %d; not sent", len(f.ids), *limit)
			f.req, f.re = req, notSent(client.StatusOverflow, why, r.clock())
			f.re.PromptTokens = new(int64(len(f.ids)))
			return f, nil
		}
		if left := *limit - int64(len(f.ids)); f.ids != nil && int64(req.MaxTokens) > left {
			req.MaxTokens = int(left)
		}
	}
	f.req = req
	if r.alone {
		f.re = r.sendAlone(ctx, req, p, id)
	} else {
		r.users.begun()
		f.re = r.send(ctx, req, p, id)
		r.users.done(f.re)
	}
	f.answer = d.Answer(f.re.Content)
	if f.re.Status == client.StatusOK {
		f.passed = new(d.Current().Passed(f.re.Content))
		if n := f.re.PromptTokens; n != nil {
			p.sent = sentTurn{prompt.Messages, *n}
		}
		if f.number == 1 && p.firstCached == nil {
			p.firstCached = f.re.CachedTokens
		}
	}
	return f, nil
}

// sendAlone sends a turn of the only user, between two scrapes. When the reply does not say how many tokens were cached, the counters can
// show it.
func (r *player) sendAlone(ctx context.Context, req client.Request, p *liveSession, id int32) *client.Reply {
	var before, after engine.Counters
	if r.engine.HasMetrics {
		before = r.scrape(ctx, "before", id, false, 0)
	}
	r.since.Store(r.clock())
	r.active.Store(id)
	re := r.send(ctx, req, p, id)
	r.active.Store(0)
	if !r.engine.HasMetrics || ctx.Err() != nil {
		return re
	}
	past := 0.0
	if re.Status == client.StatusOK {
		past = before.Finished + 1
	}
	after = r.scrape(ctx, "after", id, false, past)
	if re.Status != client.StatusOK || r.engine.Kind() != engine.KindVLLM || re.PromptTokens == nil {
		return re
	}
	only := after.Finished == before.Finished+1 && after.Queries == before.Queries+float64(*re.PromptTokens)
	re.CachedTokens = r.engine.Cached(re.CachedTokens, only && after.Hits == before.Hits)
	if hits := after.Hits - before.Hits; re.CachedTokens == nil && only && p.sent.tokens == 0 && hits >= 0 {
		p.firstCached = new(int64(hits))
	}
	return re
}

// send sends a turn. When the server is still loading its model, send waits and sends the turn again, and an event tells of it.
func (r *player) send(ctx context.Context, req client.Request, p *liveSession, id int32) *client.Reply {
	began := time.Now()
	for told := false; ; told = true {
		re := r.client.Turn(ctx, req, r.job.Timeout)
		if re.HTTPStatus == nil || !engine.Loading(int(*re.HTTPStatus), re.Err) || time.Since(began) > engine.LoadingLimit {
			if told && ctx.Err() == nil {
				text := fmt.Sprintf("%s: the server was loading its model for %.1f s; the turn was sent again afterwards",
					p.what, time.Since(began).Seconds())
				r.event(store.EventServerLoading, "run", text, &id)
			}
			return re
		}
		if !told {
			r.watch.Warn("the server is loading its model: waiting (it says: " + re.Err + ")")
		}
		if engine.Sleep(ctx, engine.AskAgain); ctx.Err() != nil {
			given := notSent(client.StatusInterrupted, re.Err, r.clock())
			given.SubmitNs, given.RequestBytes = re.SubmitNs, re.RequestBytes
			return given
		}
	}
}
