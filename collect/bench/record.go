package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/data"
	"wb/data/plain"
	"wb/store"
)

// record records the beginning, a turn or the end of a session. For a single user it is committed when record returns, between two turns.
// Several users put it into the backlog, so that it does not delay their next turn.
func (r *player) record(ctx context.Context, f finished) error {
	if !r.alone {
		return r.users.backlog.push(f)
	}
	end := context.WithoutCancel(ctx)
	if f.turn != nil {
		r.fetchTokenIDs(ctx, r.client, f.turn)
	}
	if err := r.write(end, f); err != nil {
		return err
	}
	switch {
	case f.begin != nil:
		return nil
	case f.end != nil:
		return errors.Join(r.rec.FinishSessions(end, r.id, *f.end), r.rec.Relieve(end))
	}
	return errors.Join(r.rec.Flush(end), r.rec.Relieve(end))
}

// backlog holds what several users have finished and what is not recorded yet. Several goroutines ask the server for token ids while the
// users play. One goroutine makes the rows, in the order in which the turns ended.
type backlog struct {
	order  chan *job
	unread chan *job // turns whose token ids are not asked for yet

	mu      sync.Mutex
	room    sync.Cond
	asking  int    // goroutines that ask for token ids now
	ended   bool   // the users have ended, and nothing more comes
	bytes   int64  // in the backlog, about
	jobs    int    // in the backlog
	stopped error  // the error after which nothing is accepted; nil: none
	full    func() // called once, when users first have to wait
	told    bool   // full was called
}

type job struct {
	finished
	bytes   int64
	learned chan struct{} // closed when the token ids are there, or will not come
}

const (
	// Users wait while the backlog holds this much.
	backlogBytes = 24 << 20
	backlogJobs  = 1 << 14
	// At first fewAsking goroutines ask for token ids at once, because answering is work for the server that is measured. Up to maxAsking
	// do so when the users have ended, or when the backlog holds muchBytes.
	fewAsking, maxAsking = 2, 16
	muchBytes            = backlogBytes / 4
)

func newBacklog(full func()) *backlog {
	b := &backlog{order: make(chan *job, backlogJobs), unread: make(chan *job, backlogJobs), full: full}
	b.room.L = &b.mu
	return b
}

// push adds something that a user finished. It waits only while the backlog is full, and gives the error with which recording stopped.
func (b *backlog) push(f finished) error {
	j := &job{finished: f, bytes: 1 << 10, learned: make(chan struct{})}
	if t := f.turn; t != nil {
		j.bytes += t.re.RequestBytes + int64(len(t.re.Content)+len(t.re.Reasoning)) + 128*int64(len(t.re.Chunks))
	} else {
		close(j.learned)
	}
	b.mu.Lock()
	for b.stopped == nil && b.jobs > 0 && (b.bytes+j.bytes > backlogBytes || b.jobs == backlogJobs) {
		if !b.told {
			b.told = true
			b.full()
		}
		b.room.Wait()
	}
	stopped := b.stopped
	if stopped == nil {
		if b.bytes += j.bytes; b.bytes >= muchBytes {
			b.room.Broadcast()
		}
		b.jobs++
		b.order <- j // under the lock, so that a session's turns keep their order
		if f.turn != nil {
			b.unread <- j
		}
	}
	b.mu.Unlock()
	return stopped
}

// done takes a job out of the backlog. After an error nothing more is accepted.
func (b *backlog) done(j *job, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= j.bytes
	b.jobs--
	if b.stopped == nil {
		b.stopped = err
	}
	b.room.Broadcast()
}

// begin waits until one more goroutine may ask for token ids. end lets the next one ask.
func (b *backlog) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.asking >= fewAsking && !b.ended && b.bytes < muchBytes {
		b.room.Wait()
	}
	b.asking++
}

func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	b.room.Broadcast()
}

// failed says whether recording has stopped with an error.
func (b *backlog) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped != nil
}

// close tells the recording goroutines that the users have ended and nothing more comes.
func (b *backlog) close() {
	b.mu.Lock()
	b.ended = true
	b.room.Broadcast()
	b.mu.Unlock()
	close(b.order)
	close(b.unread)
}

// waiting is the number of jobs that are not recorded yet.
func (b *backlog) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs
}

// recordUsers records what users finish, until the backlog is closed and empty. It calls stop with the first error.
func (r *run) recordUsers(ctx context.Context, stop func(error)) {
	b := r.users.backlog
	var asking sync.WaitGroup
	askers := min(r.job.users(), maxAsking)
	asker := r.client.Asking(askers)
	defer asker.Close()
	for range askers {
		asking.Go(func() {
			for {
				b.begin() // before a turn is taken, so that token ids are asked for in the order of the turns
				j, more := <-b.unread
				if more && !b.failed() {
					r.fetchTokenIDs(ctx, asker, j.turn)
				}
				b.end()
				if !more {
					return
				}
				close(j.learned)
			}
		})
	}
	end := context.WithoutCancel(ctx)
	for j := range b.order {
		<-j.learned
		var err error
		if !b.failed() {
			if err = r.write(end, j.finished); err != nil {
				stop(err)
			} else if j.end != nil {
				r.users.ended(*j.end)
			}
		}
		b.done(j, err)
	}
	asking.Wait()
}

// write gives the recorder the rows of something finished. All rows of a turn are added together.
func (r *run) write(ctx context.Context, f finished) error {
	switch {
	case f.begin != nil:
		return store.Add(ctx, r.rec, *f.begin)
	case f.end != nil:
		r.endSessionAnalysis(f.session)
		return nil
	}
	var rows store.Together
	r.doubt(&rows, f.session, f.turn)
	r.turnRows(&rows, f.session, f.turn)
	r.analyse(&rows, f.session, f.turn)
	return r.rec.AddTogether(ctx, &rows)
}

// turnRows makes the rows of a turn, its messages and its chunks.
func (r *run) turnRows(rows *store.Together, p *liveSession, f *finishedTurn) {
	re, prompt := f.re, f.prompt
	row := store.Turn{RunID: r.id, TurnID: f.id, SessionID: p.id, Turn: int32(f.number),
		Status: string(re.Status), Error: plain.OrNil(re.Err), HTTPStatus: re.HTTPStatus, ErrorBody: re.ErrorBody, RequestID: re.RequestID,
		SubmitNs: re.SubmitNs, WrittenNs: re.WrittenNs, HeadersNs: re.HeadersNs, FirstChunkNs: re.FirstChunkNs, FirstNs: re.FirstNs,
		FirstContentNs: re.FirstContentNs, LastNs: re.LastNs, DoneNs: re.DoneNs, ConnectionReused: re.Reused,
		PromptTokens: re.PromptTokens, CachedTokens: re.CachedTokens, CompletionTokens: re.CompletionTokens,
		ReasoningTokens: re.ReasoningTokens, FinishReason: re.FinishReason, Messages: int32(len(prompt.Messages)),
		Documents: int32(len(prompt.Documents)), RequestBytes: re.RequestBytes, PromptSHA256: prompt.SHA256(),
		Checks: f.checks, ChecksPassed: f.passed}
	if re.Events > 0 {
		row.TokenEvents, row.TokenReads, row.FirstReadEvents = &re.Events, &re.Reads, &re.FirstReadEvents
		row.StreamedTokens, row.FirstReadTokens = re.Tokens, re.FirstReadTokens
	}
	if f.number == 1 {
		row.IntendedNs = p.intendedNs
	}
	if f.req.MaxTokens > 0 {
		row.MaxTokens = new(int64(f.req.MaxTokens))
	}
	for i, m := range prompt.Messages {
		h := m.SHA256()
		store.Put(rows, store.TurnMessage{RunID: r.id, TurnID: f.id, Position: int32(i + 1), SHA256: h})
		rows.PutMessages(r.message(h, m.Role, m.Content, ""))
	}
	if re.Content != "" || re.Reasoning != "" {
		h := data.Message{Role: "assistant", Content: re.Content}.SHA256()
		row.ReplySHA256 = &h
		rows.PutMessages(r.message(h, "assistant", re.Content, re.Reasoning))
	}
	store.Put(rows, row)
	if s := re.Server; s != nil && re.Status == client.StatusOK { // a reply that was cut has those of an event in the middle
		store.Put(rows, store.TurnServer{RunID: r.id, TurnID: f.id, Source: s.Source, QueueMs: s.QueueMs, PrefillMs: s.PrefillMs,
			DecodeMs: s.DecodeMs, TTFTMs: s.TTFTMs, CachedTokens: s.CachedTokens, PrefillTokens: s.PrefillTokens,
			DecodeTokens: s.DecodeTokens, DraftTokens: s.DraftTokens, DraftTokensAccepted: s.DraftTokensAccepted})
	}
	chunks := make([]store.Chunk, len(re.Chunks))
	for i, c := range re.Chunks {
		chunks[i] = store.Chunk{RunID: r.id, TurnID: f.id, Seq: c.Seq, ReadSeq: c.ReadSeq, TNs: c.TNs, ReadDelayNs: c.ReadDelayNs,
			Kind: c.Kind, Tokens: c.Tokens, TextBytes: c.TextBytes}
	}
	store.Put(rows, chunks...)
}

// turnEvent makes an event of a turn. It has the time at which the turn ended, and is recorded with the turn.
func (r *run) turnEvent(f *finishedTurn, kind store.EventKind, message string) store.Event {
	return store.Event{RunID: r.id, TNs: f.re.DoneNs, Kind: kind, Source: "run", TurnID: &f.id, Message: message}
}

// doubt makes events about figures of a turn that are impossible or contradict each other.
func (r *run) doubt(rows *store.Together, p *liveSession, f *finishedTurn) {
	re, ids := f.re, f.ids
	where := fmt.Sprintf("turn %d of %s: ", f.number, p.what)
	tell := func(kind store.EventKind, format string, a ...any) {
		store.Put(rows, r.turnEvent(f, kind, where+fmt.Sprintf(format, a...)))
	}
	if re.Status == client.StatusOK && re.Content == "" {
		tell(store.EventNoAnswer, "%s", re.NoAnswer())
	}
	if len(re.Doubts) > 0 {
		tell(store.EventUsageRefused, "impossible figures in the server's usage are left out: %s", r.client.Clean(strings.Join(re.Doubts, "; ")))
	}
	if re.Status != client.StatusOK {
		return
	}
	if n := re.Tokens; n != nil && *n != *re.CompletionTokens && !r.endToken(re, *n) {
		tell(store.EventUsageDisagrees, "the usage says %d completion tokens, and the stream brought %d; "+
			"tokens per second and ITL are those of the stream", *re.CompletionTokens, *n)
	}
	if n := *re.CompletionTokens; re.Tokens == nil && int64(re.Events) > n+max(1, n/50) && !re.ByCharacter() {
		tell(store.EventUsageDisagrees, "the usage says %d completion tokens, and %d events brought text", n, re.Events)
	}
	if re.Held() {
		reads := "1 read"
		if re.Reads != 1 {
			reads = fmt.Sprintf("%d reads", re.Reads)
		}
		tell(store.EventBuffered, "%d events came in %s: something on the way holds them back, so TTFT is the time of the first burst, "+
			"and times per token are times between bursts", re.Events, reads)
	}
	n := re.PromptTokens
	if n == nil {
		return
	}
	switch known := int64(len(ids)); {
	case p.longest.tokens >= *n && p.longest.within(f.prompt) && p.longest.shorter(f.prompt):
		tell(store.EventContextTruncated, "the usage says %d prompt tokens, and an earlier, shorter prompt that this one holds had %d: "+
			"the server cut the history; the turn is not compared", *n, p.longest.tokens)
	case ids != nil && re.PromptIDs == nil && *n < known*9/10:
		tell(store.EventContextTruncated, "the usage says %d prompt tokens, and /tokenize says %d: "+
			"the server cut the prompt; the turn is not compared", *n, known)
	case ids != nil && re.PromptIDs == nil && *n != known:
		tell(store.EventUsageDisagrees, "the usage says %d prompt tokens, and /tokenize says %d", *n, known)
	case ids == nil && bytesOf(f.prompt.Messages) > *n*bytesPerToken:
		tell(store.EventUsageDisagrees, "the usage says %d prompt tokens, and the messages have %d bytes", *n, bytesOf(f.prompt.Messages))
	}
	if *n >= p.longest.tokens {
		p.longest = sentTurn{f.prompt.Messages, *n}
	}
}

// endToken says whether a server counts one token more than its events bring: the one that ended the reply, which has no text.
func (r *run) endToken(re *client.Reply, streamed int64) bool {
	return r.engine.Takes().Timings && re.FinishReason != nil && *re.FinishReason == "stop" && streamed+1 == *re.CompletionTokens
}

// sentTurn is a prompt that was sent, with the number of tokens that the server counted in it.
type sentTurn struct {
	messages []data.Message
	tokens   int64
}

// shorter says whether a prompt that contains this one is clearly longer.
// It is when it has more messages, or more text than fits into the same tokens.
func (s sentTurn) shorter(p data.Prompt) bool {
	return len(p.Messages) > len(s.messages) || bytesOf(p.Messages) > bytesOf(s.messages)+bytesPerToken
}

// bytesPerToken is more bytes than a token has in ordinary text. The mean is about 4, and only rows of spaces reach 32.
const bytesPerToken = 32

func bytesOf(messages []data.Message) (n int64) {
	for _, m := range messages {
		n += int64(len(m.Content))
	}
	return n
}

// within says whether a prompt contains all messages of this one, in their order.
func (s sentTurn) within(p data.Prompt) bool {
	rest := p.Messages
	for _, m := range s.messages {
		i := slices.IndexFunc(rest, func(x data.Message) bool { return x.Role == m.Role && strings.Contains(x.Content, m.Content) })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// maxPromptTokens gives a number of tokens that a prompt does not exceed. Each byte makes one token at most, and messages that were sent
// before have no more tokens than the server counted then. text is the rendered prompt, or "".
func (p *liveSession) maxPromptTokens(prompt data.Prompt, text string) int64 {
	if text != "" {
		return int64(len(text)) + engine.TokenizeSlack
	}
	messages := prompt.Messages
	all := bytesOf(messages) + int64(len(messages)*engine.MessageSlack+engine.TemplateSlack)
	if p.sent.tokens == 0 {
		return all
	}
	known := p.sent.tokens
	for _, m := range messages {
		if !slices.Contains(p.sent.messages, m) {
			known += int64(len(m.Content)) + engine.MessageSlack
		}
	}
	return min(all, known)
}
