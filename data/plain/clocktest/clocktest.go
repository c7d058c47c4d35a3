// Package clocktest has a clock for tests. Only tests may import it.
package clocktest

import (
	"sync"
	"time"
)

// Clock is a clock that a test moves. Goroutines may read it at the same time.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// New makes a clock that shows a time.
func New(at time.Time) *Clock { return &Clock{at: at} }

// Now gives the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
