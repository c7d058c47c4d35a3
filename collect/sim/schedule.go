package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"wb/data/prefix"
)

// engine is a small model of vLLM's V1 scheduler. Each step gives every running sequence its token. The rest of the token budget goes to
// chunks of prompts, first come, first served.
type engine struct {
	rules
	tok *tokenizer
	met *metrics
	Clock

	mu      sync.Mutex
	ended   bool
	wake    chan struct{}
	cache   *prefix.Cache
	waiting []*request
	running []*request
	rng     *rand.Rand
}

// rules are the settings of the scheduler.
type rules struct {
	cost        Cost
	seqs, block int     // most sequences at once, and tokens per block
	uncached    bool    // prefix caching is off
	steady      bool    // a new request does not move the times of steps
	jitter      float64 // standard deviation of step times over their mean
}

func newEngine(o Options, cost Cost, tok *tokenizer, met *metrics) *engine {
	e := &engine{
		rules: rules{cost: cost, seqs: o.MaxNumSeqs, block: o.BlockSize, uncached: o.DisablePrefixCaching, steady: o.Pace > 0,
			jitter: o.JitterRatio},
		tok: tok, met: met, Clock: o.Clock, wake: make(chan struct{}, 1), cache: prefix.NewCache(o.BlockSize, o.blocks()),
		rng: rand.New(rand.NewPCG(uint64(o.Seed), 0x5eed+uint64(o.JitterSeed))),
	}
	if o.DisablePrefixCaching {
		e.cache.Disable()
	}
	return e
}

// submit puts a request into the queue. If the engine has ended, it closes the tokens of the request at once.
func (e *engine) submit(r *request) {
	e.mu.Lock()
	if e.ended {
		e.mu.Unlock()
		close(r.tokens)
		return
	}
	r.queued = e.Now()
	e.waiting = append(e.waiting, r)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// reset empties the prefix cache. It returns false when a request holds blocks.
func (e *engine) reset() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cache.Reset()
}

// load returns how many requests run and wait, and which share of the KV cache the running ones hold (0 to 1).
func (e *engine) load() (running, waiting int, used float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.cache.Capacity(); c > 0 {
		used = float64(e.cache.InUse()) / float64(c)
	}
	return len(e.running), len(e.waiting), used
}

// loop runs steps until the context ends. A step ends at the end of the previous step plus its duration, so late wake-ups of this
// process do not add up. After a real pause, and for a step with a new request, the times start from the clock again: no request may
// gain time that passed before it came.
func (e *engine) loop(ctx context.Context) {
	const resync = 100 * time.Millisecond
	var deadline time.Time
	for ctx.Err() == nil {
		e.mu.Lock()
		e.dropGone()
		p := e.plan()
		e.mu.Unlock()
		if len(p.work) == 0 {
			deadline = time.Time{}
			select {
			case <-ctx.Done():
			case <-e.wake:
			}
			continue
		}
		if now := e.Now(); (p.fresh && !e.steady) || deadline.IsZero() || now.Sub(deadline) > resync {
			deadline = now
		}
		deadline = deadline.Add(p.takes)
		if wait := deadline.Sub(e.Now()); wait > 0 {
			e.Sleep(ctx, wait)
		}
		e.mu.Lock()
		e.finish(p)
		e.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	for _, r := range slices.Concat(e.running, e.waiting) {
		e.end(r)
	}
	e.running, e.waiting = nil, nil
}

// dropGone ends the requests whose client has hung up.
func (e *engine) dropGone() {
	gone := func(r *request) bool {
		if r.gone.Err() == nil {
			return false
		}
		e.end(r)
		return true
	}
	e.running = slices.DeleteFunc(e.running, gone)
	e.waiting = slices.DeleteFunc(e.waiting, gone)
}

// end releases the blocks of a request and closes its tokens.
func (e *engine) end(r *request) {
	e.release(r)
	close(r.tokens)
}

// release gives up the blocks of a request.
func (e *engine) release(r *request) {
	if r.seq != nil {
		r.seq.Close()
		r.holding = holding{}
	}
}

// step is the plan of one engine step.
type step struct {
	work  []work
	takes time.Duration
	fresh bool // a request is scheduled for the first time
}

// work is the n tokens that a step computes for one request.
type work struct {
	r *request
	n int
}

// blocks returns how many blocks n tokens take.
func (e *engine) blocks(n int) int { return (n + e.block - 1) / e.block }

// free returns how many blocks no request holds.
func (e *engine) free() int { return e.cache.Capacity() - e.cache.InUse() }

// plan decides what the next step does. A step without work means that there is nothing to do.
func (e *engine) plan() step {
	var p step
	budget := e.cost.MaxNumBatchedTokens
	var prefills []chunk
	var decodes []int
	// schedule gives a request what is left of the budget, if the pool has the blocks. It checks first, because a reservation that
	// fails half-way would evict blocks for nothing.
	schedule := func(r *request) bool {
		n := min(r.all()-r.computed, budget)
		need := e.blocks(r.computed + n)
		if need-r.held > e.free() || !r.seq.Reserve(r.computed+n) {
			return false
		}
		r.held = max(r.held, need)
		// as in vLLM, blocks can be hit as soon as they are scheduled: a step writes them before it reads them
		r.seq.Computed(r.computed + n)
		budget -= n
		p.work = append(p.work, work{r, n})
		if n == 1 && len(r.generated) > 0 {
			decodes = append(decodes, r.all())
		} else {
			prefills = append(prefills, chunk{n, r.computed})
		}
		return true
	}
	preempted := false
	for i := 0; i < len(e.running) && budget > 0; i++ {
		r := e.running[i]
		for !schedule(r) {
			victim := e.running[len(e.running)-1]
			e.preempt(victim)
			preempted = true
			if victim == r {
				break
			}
		}
	}
	// after a preemption no request is admitted: the preempted one would only take back its blocks
	for !preempted && len(e.waiting) > 0 && len(e.running) < e.seqs && budget > 0 {
		r := e.waiting[0]
		r.seq = e.cache.Open(slices.Concat(r.prompt, r.generated), r.salt)
		hit := r.seq.Hit
		r.computed, r.held = hit, hit/e.block
		// as with vLLM's scheduler_reserve_full_isl the whole prompt must fit, not only its first chunk
		if e.blocks(r.all())-r.held > e.free() || !schedule(r) {
			e.release(r)
			break
		}
		if r.scheduled.IsZero() {
			p.fresh = true
			r.scheduled, r.cached = e.Now(), hit
			if !e.uncached { // with prefix caching off, vLLM counts no queries
				e.met.lookedUp(len(r.prompt), hit)
			}
		}
		e.waiting = e.waiting[1:]
		e.running = append(e.running, r)
	}
	if len(p.work) == 0 {
		if len(e.running) == 0 && len(e.waiting) > 0 { // it can never fit; arrival checks this, so it is a bug
			panic("sim: a request larger than the KV cache was accepted")
		}
		return p
	}
	p.takes = e.cost.Step(prefills, decodes)
	if e.jitter > 0 {
		p.takes = time.Duration(float64(p.takes) * max(0.5, 1+e.jitter*e.rng.NormFloat64()))
	}
	return p
}

// finish ends a step: its tokens come out, and requests that have all their tokens leave.
func (e *engine) finish(p step) {
	at := e.Now()
	tokens, prompts := 0, 0
	for _, w := range p.work {
		r := w.r
		r.computed += w.n
		if r.computed < r.all() || r.gone.Err() != nil {
			continue
		}
		tokens++
		if r.first.IsZero() {
			prompts += len(r.prompt) - r.cached
		}
		e.emit(r, at)
	}
	e.running = slices.DeleteFunc(e.running, func(r *request) bool {
		if len(r.generated) < r.length {
			return false
		}
		e.met.finished(r, at)
		e.end(r)
		return true
	})
	e.met.stepped(tokens, prompts)
}

// emit makes the next token of a sequence and sends it to the request.
func (e *engine) emit(r *request, at time.Time) {
	var id int32 = endToken
	if !r.ends || len(r.generated)+1 < r.length {
		id = e.tok.id(r.reply.next())
	}
	if r.first.IsZero() {
		r.first = at
		e.met.firstToken(r)
	} else {
		e.met.interToken(at.Sub(r.last))
	}
	r.last = at
	r.generated = append(r.generated, id)
	r.seq.Computed(r.computed, id)
	r.tokens <- id
}

// preempt takes the blocks of a running request and puts the request at the head of the queue. All of it is computed again later.
func (e *engine) preempt(r *request) {
	e.release(r)
	e.met.preempted()
	e.running = slices.DeleteFunc(e.running, func(x *request) bool { return x == r })
	e.waiting = slices.Insert(e.waiting, 0, r)
}
