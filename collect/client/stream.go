package client

import (
	"cmp"
	"fmt"
	"io"
	"time"
)

// stream reads one answer.
type stream struct {
	client  *Client
	conn    *stampedConn // nil when the transport hides it
	base    int32        // reads of the connection before this answer
	parser  sseParser
	decoder *decoder
	events  []sseEvent // the events of the last read
	count   int        // events of all reads
	total   int64      // bytes of all events
	bytes   int64      // bytes reserved in client.held
	tls     bool       // the connection is TLS: the kernel stamps TLS records, not events
	over    error      // more came than wb holds
	doneNs  int64      // when [DONE] came; 0: it did not come
}

// doneGrace is how long a server has to end its answer after [DONE]. An answer that ends leaves the connection open for the next turn.
const doneGrace = time.Second

// overhead is the memory that an event takes beside its data, in bytes.
const overhead = 128

// damage is the error for a stream that sent more than wb holds. It is nil for any other.
func (s *stream) damage() error { return cmp.Or(s.over, s.parser.damage) }

// release gives back the bytes that the stream still holds.
func (s *stream) release() { s.client.held.give(s.bytes) }

// stamp is what is known about a read from the socket.
type stamp struct {
	tNs     int64 // when it returned, ns since the run's start
	delayNs int64 // time since its last byte arrived, ns; -1: not known
	mostNs  int64 // the longest time since any of its bytes arrived, ns; -1: not known
	seq     int32 // its number, from 1
}

// read reads the answer to its end. It stamps every event with the read that completed it, before the event is decoded. It stops with an
// error when more comes than wb holds. cancel must end the request: it is called when the answer does not end soon after [DONE].
func (s *stream) read(from io.Reader, cancel func()) error {
	c := s.client
	if c.buf == nil {
		c.buf = make([]byte, c.size)
	}
	var now stamp
	stop := func() {}
	defer func() { stop() }()
	emit := func(e sseEvent) {
		if s.doneNs == 0 && isDone(e.data) {
			s.doneNs = now.tNs
			t := time.AfterFunc(doneGrace, cancel)
			stop = func() { t.Stop() }
		}
		e.stamp = now
		s.take(e)
	}
	for s.damage() == nil {
		n, err := from.Read(c.buf)
		before := now.seq
		if s.conn != nil {
			now = stamp{s.conn.last.Load(), s.conn.delay.Load(), s.conn.most.Load(), s.conn.reads.Load() - s.base}
		} else {
			now = stamp{c.clock(), -1, -1, now.seq + 1}
		}
		if now.seq != before {
			s.decode()
		}
		s.parser.feed(c.buf[:n], emit)
		if err != nil {
			s.decode()
			return err
		}
	}
	s.decode()
	return s.damage()
}

// take keeps an event until it is decoded, unless it is a heartbeat or more than wb holds.
func (s *stream) take(e sseEvent) {
	if len(e.data) == 0 || s.over != nil {
		return
	}
	c, n := s.client, int64(len(e.data))+overhead
	s.bytes += n
	s.total += n
	s.count++
	if c.live != nil {
		c.live.Add(1)
	}
	switch together := c.held.take(n); {
	case s.count > maxStreamEvents:
		s.over = fmt.Errorf("a stream of more than %d events", maxStreamEvents)
	case s.total > maxStreamBytes:
		s.over = fmt.Errorf("a stream of more than %d bytes", maxStreamBytes)
	case !together:
		s.over = fmt.Errorf("the streams of all users hold more than %d bytes", c.held.limit)
	default:
		s.events = append(s.events, e)
	}
}

// decode decodes the events of the last read. The kernel says when the last segment of a read arrived. An event that other data followed in
// the same read may have arrived earlier, and so may one inside TLS. For these the longest possible time counts.
func (s *stream) decode() {
	for i := range s.events {
		e := &s.events[i]
		if i < len(s.events)-1 || s.parser.more || s.tls {
			e.delayNs = e.mostNs
		}
		s.decoder.event(e)
		s.bytes -= int64(len(e.data))
		s.client.held.give(int64(len(e.data)))
		e.data = nil
	}
	s.events = s.events[:0]
}
