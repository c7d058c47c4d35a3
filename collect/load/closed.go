package load

import "time"

// closed is a closed loop: a user's session begins when the one before has ended.
type closed struct{ Settings }

func newClosed(s Settings) Arrivals { return closed{s} }

func (closed) Closed() bool { return true }

// At spreads the users over the ramp. Those that are left when a plan is resumed keep their places.
func (c closed) At(i int) time.Duration {
	return c.Ramp * time.Duration(i) / time.Duration(max(c.Users, 1))
}
