package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"wb/data/plain"
)

// ServedLine is one request in a file of wb sim --truth. Times are ns since the server was made, on its monotonic clock.
type ServedLine struct {
	ID         string  `json:"request_id"`
	BeganNs    int64   `json:"began_unix_ns"` // the zero of the other times, on the wall clock
	ReceivedNs int64   `json:"received_ns"`
	SentNs     []int64 `json:"sent_ns"` // of each event, just before it was handed to the socket
	Tokens     []int   `json:"tokens"`  // it carried
}

// WriteServed writes what the simulator really did into a file; end closes it.
func WriteServed(path string, lines chan Served) (end func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write served log %s: %w", path, plain.PathCause(err))
	}
	done := make(chan error)
	go func() { // whoever serves must not wait for a disk
		w := bufio.NewWriterSize(f, 1<<16)
		enc := json.NewEncoder(w)
		var failed error
		for t := range lines {
			l := ServedLine{ID: t.ID, BeganNs: t.Began.UnixNano(), ReceivedNs: t.Received.Nanoseconds(),
				SentNs: make([]int64, len(t.Sent)), Tokens: make([]int, len(t.Sent))}
			for i, s := range t.Sent {
				l.SentNs[i], l.Tokens[i] = s.At.Nanoseconds(), s.Tokens
			}
			failed = errors.Join(failed, enc.Encode(l))
			if len(lines) == 0 {
				failed = errors.Join(failed, w.Flush())
			}
		}
		done <- errors.Join(failed, w.Flush(), f.Close())
	}()
	return func() error { close(lines); return <-done }, nil
}

// Served is when a request really came and its events were really sent: just before each was handed to the socket.
type Served struct {
	ID       string
	Began    time.Time     // zero of its times
	Received time.Duration // since then, on the monotonic clock
	Sent     []ServedEvent
}

// ServedEvent is one event of a stream.
type ServedEvent struct {
	At     time.Duration
	Tokens int // it carried; 0 for the role, usage and the end
}
