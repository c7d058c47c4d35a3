package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"wb/collect/client"
	"wb/collect/load"
	"wb/store"
)

// sharedReadBytes is the size of one read of one of several users: room for many events, and little memory for each user.
const sharedReadBytes = 8 << 10

// LoadInfo is what a person who watches several users sees.
type LoadInfo struct {
	Ahead           Ahead // how far the job is
	Elapsed         time.Duration
	Streams         int // turns under way
	Turns           int // that have ended, failed ones included
	Sessions, Total int // that have ended, and all
	Behind          int // turns that have ended and are not recorded yet
	TokensPerS      float64
}

// sharedLoad is what several users share. One goroutine commits the rows once per second, so that no turn waits for the disk.
type sharedLoad struct {
	streams, turns, sessions atomic.Int32
	tokens                   atomic.Int64 // an event counts as one token until the turn's usage gives the number
	backlog                  *backlog

	mu      sync.Mutex
	ends    []store.SessionEnd // that are not committed yet
	clients []*client.Client   // of all users
}

func (c *sharedLoad) begun() { c.streams.Add(1) }

// done counts a finished turn, and corrects the number of tokens by its usage.
func (c *sharedLoad) done(re *client.Reply) {
	c.streams.Add(-1)
	c.turns.Add(1)
	n := re.CompletionTokens
	if n == nil {
		n = new(int64(re.Events))
	}
	c.tokens.Add(*n - re.Streamed)
}

// ended notes the end of a session. Its turns are already with the recorder.
func (c *sharedLoad) ended(e store.SessionEnd) {
	c.sessions.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, e)
}

// takeEnds gives the ends of sessions that came since the last call.
func (c *sharedLoad) takeEnds() []store.SessionEnd {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.ends
	c.ends = nil
	return out
}

// playUsers plays the sessions of several users at once. In a closed loop each user plays its sessions one after another. At a rate each
// session begins at the time that was drawn for it, and any free user plays it. The first error ends all.
func (r *run) playUsers(ctx context.Context, todo []SessionPlan) error {
	arrivals, err := r.job.arrivals()
	if err != nil {
		return err
	}
	playing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer r.users.closeClients()
	var side sync.WaitGroup
	flushing, done := context.WithCancel(context.WithoutCancel(ctx))
	side.Go(func() {
		if err := r.flushUsers(flushing, todo); err != nil {
			stop(err)
		}
	})
	var recording sync.WaitGroup
	recording.Go(func() { r.recordUsers(ctx, stop) })
	var players sync.WaitGroup
	if arrivals.Closed() {
		r.allPlay(playing, &players, arrivals, todo, stop)
	} else {
		err = r.arrive(playing, &players, arrivals, todo, stop)
	}
	players.Wait()
	r.users.backlog.close()
	recording.Wait()
	done()
	side.Wait()
	if cause := context.Cause(playing); cause != nil && ctx.Err() == nil {
		err = errors.Join(err, cause)
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// newPlayer makes a user with separate connections. The connection for turns is already open.
func (r *run) newPlayer(ctx context.Context, number int) *player {
	p := &player{run: r, client: r.client.Another(ctx, sharedReadBytes), number: number}
	p.client.CountEvents(&r.users.tokens)
	r.users.mu.Lock()
	defer r.users.mu.Unlock()
	r.users.clients = append(r.users.clients, p.client)
	return p
}

// closeClients closes the connections of all users.
func (c *sharedLoad) closeClients() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.clients {
		x.Close()
	}
	c.clients = nil
}

// allPlay lets each user play its sessions, one after another. It calls stop with an error that ends the run.
func (r *run) allPlay(ctx context.Context, wg *sync.WaitGroup, arrivals load.Arrivals, todo []SessionPlan, stop context.CancelCauseFunc) {
	byUser := map[int][]SessionPlan{}
	for _, s := range todo {
		byUser[s.User] = append(byUser[s.User], s)
	}
	ready := make(chan struct{}) // closed when every user has a connection
	var connected sync.WaitGroup
	slots := make(chan struct{}, 32) // for users that connect at the same time
	for user, sessions := range byUser {
		connected.Add(1)
		wg.Go(func() {
			slots <- struct{}{}
			p := r.newPlayer(ctx, user)
			<-slots
			connected.Done()
			<-ready
			t := time.NewTimer(arrivals.At(user - 1))
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
			for i, s := range sessions {
				if err := p.session(ctx, s.Conversation, s.Placement, s.Repeat, r.job.MaxTurns, len(sessions)-1-i); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	connected.Wait()
	close(ready)
}

// arrive begins sessions at the times that the rate gives, whether others have ended or not. A session that finds no free user waits.
// Its first turn records when the session was to begin, which shows how late it was.
func (r *run) arrive(
	ctx context.Context, wg *sync.WaitGroup, arrivals load.Arrivals, todo []SessionPlan, stop context.CancelCauseFunc,
) error {
	limit := r.job.users()
	free := make(chan *player, limit)
	made := 0
	for range min(limit, 16, len(todo)) { // connected before the first session
		made++
		free <- r.newPlayer(ctx, made)
	}
	began := r.clock()
	for i, s := range todo {
		intendedNs := began + int64(arrivals.At(i))
		t := time.NewTimer(time.Duration(intendedNs - r.clock()))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		var p *player
		number := 0 // of a new user; it connects in its goroutine, so that other sessions do not wait for that
		select {
		case p = <-free:
		default:
			if made < limit {
				made++
				number = made
				break
			}
			select {
			case p = <-free:
			case <-ctx.Done():
				return nil
			}
		}
		wg.Go(func() {
			if p == nil {
				p = r.newPlayer(ctx, number)
			}
			p.intendedNs = &intendedNs
			if err := p.session(ctx, s.Conversation, s.Placement, s.Repeat, r.job.MaxTurns, 0); err != nil {
				stop(err)
			}
			free <- p
		})
	}
	return nil
}

// shortPace is the shortest time, in ns, over which flushUsers computes a rate. The last interval ends with the users and may be shorter.
const shortPace = int64(time.Second / 2)

// flushUsers commits rows and shows the load once per second until ctx is cancelled, and once more then.
func (r *run) flushUsers(ctx context.Context, todo []SessionPlan) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	type mark struct{ ns, tokens int64 }
	began := mark{ns: r.clock()}
	last, rate := began, 0.0
	turns := 0
	for _, s := range todo {
		turns += len(expectedPrompts(s, r.job.MaxTurns))
	}
	for end := false; !end; {
		select {
		case <-ctx.Done():
			end = true
		case <-t.C:
		}
		if err := r.rec.FinishSessions(context.WithoutCancel(ctx), r.id, r.users.takeEnds()...); err != nil {
			return err
		}
		if err := r.rec.Relieve(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if now := (mark{r.clock(), r.users.tokens.Load()}); now.ns-last.ns >= shortPace {
			rate = max(float64(now.tokens-last.tokens)*1e9/float64(now.ns-last.ns), 0)
			last = now
		}
		if r.watch.Load != nil {
			elapsed := time.Duration(r.clock() - began.ns)
			r.watch.Load(LoadInfo{Elapsed: elapsed, Ahead: aheadOfUsers(elapsed, r.ended(), turns, r.job.users()),
				Streams: int(r.users.streams.Load()), Turns: int(r.users.turns.Load()), Sessions: int(r.users.sessions.Load()), Total: len(todo),
				Behind: r.users.backlog.waiting(), TokensPerS: rate})
		}
	}
	return nil
}

// ended counts the turns that have ended, and those that will not be sent after a failed one.
func (r *run) ended() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.users.turns.Load()) + r.result.Skipped
}
