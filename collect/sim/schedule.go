package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"wb/data/prefix"
)

// request is one sequence on its way through the engine.
type request struct {
	prompt  []int32
	salt    string
	length  int  // tokens it will generate
	ends    bool // the last of them is <|end|>; otherwise the limit stopped it
	reply   reply
	arrived time.Time // at the HTTP server
	queued  time.Time
	tokens  chan int32 // generated tokens, closed at the end; holds all of them, so that the engine never waits
	gone    context.Context

	seq         *prefix.Seq
	computed    int // tokens whose keys and values are there
	generated   []int32
	cached      int // prompt tokens found in the cache when it was first scheduled
	scheduled   time.Time
	first, last time.Time
	preemptions int
}

// all is what must be computed before the next token can be sampled.
func (r *request) all() int { return len(r.prompt) + len(r.generated) }

// engine is vLLM's V1 scheduler in miniature: each step gives running sequences their token and spends the rest of the
// token budget on chunks of prompts, first come first served.
type engine struct {
	cost               Cost
	batch, seqs, block int
	jitter             float64
	tok                *tokenizer
	met                *metrics
	now                func() time.Time
	sleep              func(context.Context, time.Duration)

	mu      sync.Mutex
	wake    chan struct{}
	cache   *prefix.Cache
	waiting []*request
	running []*request
	rng     *rand.Rand
}

// submit queues a request.
func (e *engine) submit(r *request) {
	e.mu.Lock()
	r.queued = e.now()
	e.waiting = append(e.waiting, r)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *engine) reset() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.running) == 0 && e.cache.Reset()
}

// load is how many requests run and wait, and which share of the KV cache running ones hold.
func (e *engine) load() (running, waiting int, used float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.cache.Capacity(); c > 0 {
		used = float64(e.cache.InUse()) / float64(c)
	}
	return len(e.running), len(e.waiting), used
}

// loop runs steps until the context ends. Steps end at absolute times, each the one before plus its duration, so that late
// wake-ups of this process do not add up; only after a real pause does the clock start anew.
func (e *engine) loop(ctx context.Context) {
	const resync = 100 * time.Millisecond
	var deadline time.Time
	for ctx.Err() == nil {
		e.mu.Lock()
		e.dropGone()
		d, emit := e.step()
		e.mu.Unlock()
		if emit == nil {
			deadline = time.Time{}
			select {
			case <-ctx.Done():
			case <-e.wake:
			}
			continue
		}
		if now := e.now(); deadline.IsZero() || now.Sub(deadline) > resync {
			deadline = now
		}
		deadline = deadline.Add(d)
		if wait := deadline.Sub(e.now()); wait > 0 {
			e.sleep(ctx, wait)
		}
		e.mu.Lock()
		emit(deadline)
		e.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range slices.Concat(e.running, e.waiting) {
		e.end(r)
	}
	e.running, e.waiting = nil, nil
}

// dropGone frees requests whose client hung up.
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

func (e *engine) end(r *request) {
	if r.seq != nil {
		r.seq.Close()
		r.seq = nil
	}
	close(r.tokens)
}

// step plans one step: its duration, and what happens at its end. nil: there is nothing to do.
func (e *engine) step() (time.Duration, func(at time.Time)) {
	budget := e.batch
	type work struct {
		r *request
		n int
	}
	var plan []work
	var prefills []chunk
	var decodes []int
	schedule := func(r *request) bool {
		n := min(r.all()-r.computed, budget)
		if n <= 0 || !r.seq.Reserve(r.computed+n) {
			return false
		}
		budget -= n
		plan = append(plan, work{r, n})
		if n == 1 && len(r.generated) > 0 {
			decodes = append(decodes, r.all())
		} else {
			prefills = append(prefills, chunk{n, r.computed})
		}
		return true
	}
	for i := 0; i < len(e.running) && budget > 0; i++ {
		r := e.running[i]
		for !schedule(r) {
			victim := e.running[len(e.running)-1]
			e.preempt(victim)
			if victim == r {
				break
			}
		}
	}
	for len(e.waiting) > 0 && len(e.running) < e.seqs && budget > 0 {
		r := e.waiting[0]
		r.seq = e.cache.Open(slices.Concat(r.prompt, r.generated), r.salt)
		r.computed = r.seq.Hit
		if !schedule(r) {
			r.seq.Close()
			r.seq, r.computed = nil, 0
			break
		}
		if r.scheduled.IsZero() {
			r.scheduled, r.cached = e.now(), r.seq.Hit
			e.met.lookedUp(len(r.prompt), r.cached)
		}
		e.waiting = e.waiting[1:]
		e.running = append(e.running, r)
	}
	if len(plan) == 0 {
		if len(e.running) == 0 && len(e.waiting) > 0 { // it can never fit; checked on arrival, so this is a defect
			panic("sim: a request larger than the KV cache was accepted")
		}
		return 0, nil
	}
	d := e.cost.Step(prefills, decodes)
	if e.jitter > 0 {
		d = time.Duration(float64(d) * max(0.5, 1+e.jitter*e.rng.NormFloat64()))
	}
	return d, func(at time.Time) {
		emitted := 0
		for _, w := range plan {
			r := w.r
			r.computed += w.n
			r.seq.Computed(r.computed)
			if r.computed < r.all() || r.gone.Err() != nil {
				continue
			}
			emitted++
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
		e.met.stepped(emitted)
	}
}

// emit samples the next token of a sequence.
func (e *engine) emit(r *request, at time.Time) {
	var id int32 = endToken
	if !r.ends || len(r.generated)+1 < r.length {
		e.tok.mu.Lock()
		id = e.tok.id(r.reply.next())
		e.tok.mu.Unlock()
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

// preempt takes a running sequence's blocks away; it is computed again when it gets its turn.
func (e *engine) preempt(r *request) {
	r.seq.Close()
	r.seq, r.computed = nil, 0
	r.preemptions++
	e.met.preempted()
	e.running = slices.DeleteFunc(e.running, func(x *request) bool { return x == r })
	e.waiting = slices.Insert(e.waiting, 0, r)
}
