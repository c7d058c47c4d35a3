//go:build linux && (amd64 || arm64)

package client

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// The kernel's stamp is the time at which the bytes arrived, not the time of the read. Ends and deadlines work as on a plain connection.
func TestArrivals(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	clock := func() int64 { return int64(time.Since(start)) }
	s := &stampedConn{Conn: c, clock: clock, emptied: -1, arrivals: newArrivals(c, clock)}
	if s.arrivals == nil {
		t.Fatal("the kernel gives no stamps")
	}
	buf := make([]byte, 16)
	time.Sleep(100 * time.Millisecond) // the kernel begins to stamp a little after the first socket asks for it
	if _, err := peer.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	n, err := s.Read(buf)
	if d := time.Duration(s.delay.Load()); n != 5 || err != nil || string(buf[:n]) != "first" || d < 45*time.Millisecond ||
		d > 5*time.Second || s.last.Load() < int64(150*time.Millisecond) || s.reads.Load() != 1 ||
		s.most.Load() != -1 {
		t.Errorf("%q (%v), waited for %v", buf[:n], err, d)
	}
	// When parts are read at once, only the arrival of the last part is known. The first came after the read before.
	began := clock()
	for _, part := range []string{"one", "two"} {
		if _, err := peer.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
	}
	n, err = s.Read(buf)
	lay, most := time.Duration(s.delay.Load()), time.Duration(s.most.Load())
	if n != 6 || err != nil || lay < 29*time.Millisecond || most < lay+29*time.Millisecond || most < time.Duration(s.last.Load()-began) {
		t.Errorf("%q (%v), the last byte waited for %v, and the first for at most %v", buf[:n], err, lay, most)
	}
	time.AfterFunc(50*time.Millisecond, func() { peer.Write([]byte("more than sixteen bytes")) })
	for _, want := range []string{"more than sixtee", "n bytes"} { // the read waits for them
		if n, err := s.Read(buf); err != nil || string(buf[:n]) != want || s.delay.Load() < 0 || s.delay.Load() > int64(time.Second) {
			t.Errorf("%q (%v) after %d ns, want %q", buf[:n], err, s.delay.Load(), want)
		}
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("read of no bytes: %d (%v)", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || s.delay.Load() != -1 {
		t.Errorf("deadline: %v, delay %d", err, s.delay.Load())
	}
	if err := errors.Join(c.SetReadDeadline(time.Time{}), peer.Close()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("end: %d (%v)", n, err)
	}
}
