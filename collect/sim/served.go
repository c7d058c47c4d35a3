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

// ServedLine is one request in the file that WriteServed writes. Times are ns since the server was made, on its monotonic clock.
type ServedLine struct {
	ID         string  `json:"request_id"`
	BeganNs    int64   `json:"began_unix_ns"` // the zero of the other times, on the wall clock
	ReceivedNs int64   `json:"received_ns"`
	SentNs     []int64 `json:"sent_ns"` // of each event, just before it was handed to the socket
	Tokens     []int   `json:"tokens"`  // how many each event carried
}

// WriteServed writes what the simulator really did into the file at path, one JSON line per request. end closes lines, waits until all of
// them are written, and closes the file.
func WriteServed(path string, lines chan Served) (end func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write served log %s: %w", path, plain.PathCause(err))
	}
	done := make(chan error)
	go func() { // serving a request must not wait for the disk
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

// Served tells when a request really arrived and when its events were really sent. An event's time is taken just before the event is
// handed to the socket.
type Served struct {
	ID       string
	Began    time.Time     // zero of the times below
	Received time.Duration // since Began, on the monotonic clock
	Sent     []ServedEvent
}

// ServedEvent is one event of a stream.
type ServedEvent struct {
	At     time.Duration // since Began
	Tokens int           // tokens that it carried; 0 for the role, the usage and the end
}
