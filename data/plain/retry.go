package plain

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how a call is repeated. The zero value repeats it without pauses and without end, after any error.
type Policy struct {
	Again func(error) bool // after which errors to try again; nil: all
	First time.Duration    // pause after the first failure; it doubles with each failure
	Most  time.Duration    // longest pause; 0: no limit
	Tries int              // most calls; 0: no limit
	For   time.Duration    // if a call fails later than this after the start, it was the last; 0: no limit

	// Pause returns how long to wait after failure n (from 1). otherwise is the pause by the other fields. nil: otherwise.
	Pause func(n int, err error, otherwise time.Duration) time.Duration
	// Jitter multiplies each pause by a random factor from 0.5 to 1.5, so that several callers do not try at the same moments.
	Jitter bool
	// Slow is called once, with the error of the first failure after SlowAfter; may be nil.
	Slow      func(err error)
	SlowAfter time.Duration
	// Sleep waits, and returns early when ctx ends. nil: a real pause. Now returns the time. nil: time.Now.
	Sleep func(ctx context.Context, d time.Duration)
	Now   func() time.Time
}

// Retry calls f until it succeeds. When the policy allows no more calls, it returns the last error of f.
// When ctx ends during a pause, it returns the error of ctx.
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
		return otherwise/2 + rand.N(otherwise) //nolint:gosec // the length of a pause need not be secret
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
