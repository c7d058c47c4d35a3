package load

import "time"

// closed is a closed loop: each user begins a session when its last one has ended.
type closed struct{ Settings }

func newClosed(s Settings) Arrivals { return closed{s} }

func (closed) Closed() bool { return true }

// At spreads the beginnings of the users evenly over the ramp. When a resumed plan has fewer users left, each keeps its time.
func (c closed) At(i int) time.Duration {
	return c.Ramp * time.Duration(i) / time.Duration(max(c.Users, 1))
}
