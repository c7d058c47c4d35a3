package plain

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how something is tried again. The zero value tries at once and for ever, whatever the error.
type Policy struct {
	Again func(error) bool // which errors may be gone the next time; nil: all
	First time.Duration    // pause after the first failure; it doubles with each
	Most  time.Duration    // longest pause; 0: no bound
	Tries int              // most calls; 0: no bound
	For   time.Duration    // no call begins later than this after the first; 0: no bound

	// Pause says how long to wait after failure n (from 1), where the answer asks for another time than otherwise; nil: otherwise.
	Pause func(n int, err error, otherwise time.Duration) time.Duration
	// Jitter spreads each pause between half and one and a half of it, for callers that would meet again.
	Jitter bool
	// Slow is called once, when failures go on after SlowAfter; nil: nobody is told.
	Slow      func(err error)
	SlowAfter time.Duration
	// Sleep waits, or ends with ctx; nil: by the clock. Now is the time; nil: the clock's.
	Sleep func(ctx context.Context, d time.Duration)
	Now   func() time.Time
}

// Retry calls f until it succeeds, and gives its last error when the policy lets it try no more.
// When ctx ends during a pause it gives the error of ctx.
func Retry(ctx context.Context, p Policy, f func() error) error {
	now, sleep := p.Now, p.Sleep
	if now == nil {
		now = time.Now
	}
	if sleep == nil {
		sleep = wait
	}
	began, pause, told := now(), p.First, p.Slow == nil
	for n := 1; ; n++ {
		err := f()
		if err == nil || p.Again != nil && !p.Again(err) || n == p.Tries {
			return err
		}
		past := now().Sub(began)
		if p.For > 0 && past > p.For {
			return err
		}
		if !told && past > p.SlowAfter {
			p.Slow(err)
			told = true
		}
		sleep(ctx, p.pause(n, err, pause))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause *= 2
		if p.Most > 0 {
			pause = min(pause, p.Most)
		}
	}
}

func (p Policy) pause(n int, err error, otherwise time.Duration) time.Duration {
	if p.Pause != nil {
		otherwise = p.Pause(n, err, otherwise)
	}
	if p.Jitter && otherwise > 0 {
		return otherwise/2 + rand.N(otherwise) //nolint:gosec // who waits how long is no secret
	}
	return otherwise
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
