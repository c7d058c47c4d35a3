package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"wb/collect/client/clienttest"
)

// steps is a connection whose reads are given beforehand.
type steps struct {
	conn *stampedConn
	left []step
}

func (s *steps) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	x := s.left[0]
	s.left = s.left[1:]
	s.conn.last.Store(x.tNs)
	s.conn.delay.Store(x.delay)
	s.conn.most.Store(x.mostNs)
	s.conn.reads.Add(1)
	return copy(b, x.text), nil
}

// Of the events that share a read, only the last can have come with the last segment of the read, and it did not when more follows it.
func TestReadDelayIsAtLeastTheWait(t *testing.T) {
	e := func(s string) string { return "data: " + clienttest.Delta(s) + "\n\n" }
	c := &Client{size: 4096, held: newHeld(), clock: func() int64 { return 0 }}
	conn := &stampedConn{}
	from := &steps{conn: conn, left: []step{
		{e("one"), 100, 5, 90},                            // one event: the delay is the kernel's
		{e("two") + e("three"), 200, 7, 80},               // the first may have come right after the read before
		{e("four") + e("five")[:10], 300, 9, 70},          // the last segment may have only the start of "five"
		{e("five")[10:], 400, 3, 60},                      // this read completes it
		{e("six") + e("seven") + e("e")[:3], 500, -1, -1}, // the kernel does not say
	}}
	re := &Reply{}
	x := stream{client: c, conn: conn, decoder: re.decoder(func(s string) string { return s })}
	if err := x.read(from, func() {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for _, ch := range re.Chunks {
		delay := int64(-1)
		if ch.ReadDelayNs != nil {
			delay = *ch.ReadDelayNs
		}
		fmt.Fprint(&got, ch.ReadSeq, ":", delay, " ")
	}
	if want := "1:5 2:80 2:7 3:70 4:3 5:-1 5:-1 "; got.String() != want {
		t.Errorf("%s, want %s", got.String(), want)
	}
}

// On a real connection, no event waited longer than its delay says, also when several events share a read.
func TestReadDelayHolds(t *testing.T) {
	sent := make(chan time.Time, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush := w.(http.Flusher).Flush
		for range 8 {
			fmt.Fprint(w, clienttest.Word("x"))
			sent <- time.Now()
			flush()
			time.Sleep(2 * time.Millisecond)
		}
		fmt.Fprint(w, clienttest.Ended("length")+clienttest.Used(plainUsage))
	}))
	defer srv.Close()
	start := time.Now()
	c, err := New(srv.URL, "", func() int64 {
		time.Sleep(3 * time.Millisecond) // a client that is slow to come back to its socket
		return int64(time.Since(start))
	})
	if err != nil {
		t.Fatal(err)
	}
	re := c.Turn(context.Background(), hello(), time.Minute)
	shared := 0
	for i, ch := range re.Chunks[:8] {
		at := (<-sent).Sub(start).Nanoseconds()
		if ch.ReadDelayNs == nil {
			t.Skip("the kernel gives no stamps")
		}
		if i > 0 && ch.ReadSeq == re.Chunks[i-1].ReadSeq {
			shared++
		}
		if lay := ch.TNs - at; i > 0 && *ch.ReadDelayNs < lay-int64(time.Millisecond) { // the event was sent a little after the time taken
			t.Errorf("event %d of read %d waited up to %v, but its delay is %v", i+1, ch.ReadSeq,
				time.Duration(lay), time.Duration(*ch.ReadDelayNs))
		}
	}
	if shared == 0 {
		t.Log("no two events shared a read")
	}
}

// step is one read from a socket: its text, when it returned, and the longest that its last byte and its first can have waited.
type step struct {
	text               string
	tNs, delay, mostNs int64
}
