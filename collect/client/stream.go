package client

import (
	"cmp"
	"fmt"
	"io"
	"time"
)

// stream is what is read of one answer.
type stream struct {
	client  *Client
	conn    *stampedConn // nil when the transport hides it
	base    int32        // reads of the connection before this answer
	parser  sseParser
	decoder *decoder
	events  []sseEvent // of the last read
	count   int        // of all reads
	total   int64      // bytes of all events
	bytes   int64      // held
	tls     bool       // what the kernel says is of records, not of events
	over    error      // more came than wb holds
	doneNs  int64      // when the word that ends a stream came; 0: it did not
}

// doneGrace is how long a server has to end its answer after the word that ends a stream. The connection is used again then.
const doneGrace = time.Second

// overhead is what an event takes beside its data.
const overhead = 128

// damage says that more came than wb holds.
func (s *stream) damage() error { return cmp.Or(s.over, s.parser.damage) }

func (s *stream) release() { s.client.held.give(s.bytes) }

// stamp is what is known of a read from the socket.
type stamp struct {
	tNs     int64 // when it gave its bytes, ns since run start
	delayNs int64 // since the last of them came in; -1: not known
	mostNs  int64 // since any of them came in, at most; -1: not known
	seq     int32 // ordinal, from 1
}

// read reads to the end and stamps every event with the read that completed it, before it is decoded. It stops where more comes than wb
// holds; cancel, which ends the request, is called when nothing ends the answer after its last word.
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

// take keeps an event, unless it is a heartbeat or more than wb holds.
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

// decode decodes the events of the last read, of which nothing more comes. The kernel tells when the last segment came in: an event that it
// did not complete, since others or a part of one came after it, may have lain there for longer.
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
