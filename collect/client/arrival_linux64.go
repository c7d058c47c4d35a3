//go:build linux && (amd64 || arm64)

package client

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"
)

// arrivals reads a TCP connection together with the time at which the kernel received the bytes (SO_TIMESTAMPING; Linux,
// Documentation/networking/timestamping.rst). Only one goroutine at a time may use it.
type arrivals struct {
	raw   syscall.RawConn
	clock Clock
	try   func(fd uintptr) bool // receive, made into a function once, so that no read allocates

	p   []byte    // where to read to
	oob [128]byte // control messages
	n   int       // bytes read
	at  int64     // when the last segment arrived, ns since 1970; 0: not known
	err error

	began int64 // when the last system call began that gave bytes, by the clock
}

// The values are those of linux/net_tstamp.h and asm-generic/socket.h. They are the same on all of Go's Linux ports except mips, parisc
// and sparc, where setting the option fails or has no effect.
const (
	soTimestamping  = 37
	rxSoftware      = 1 << 3 // stamp received segments
	reportsSoftware = 1 << 4
)

// newArrivals turns on stamps for a connection. It gives nil where the kernel does not give them.
func newArrivals(c net.Conn, clock Clock) *arrivals {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soTimestamping, rxSoftware|reportsSoftware)
	})
	if err != nil || serr != nil {
		return nil
	}
	a := &arrivals{raw: raw, clock: clock}
	a.try = a.receive
	return a
}

// read reads as a connection's Read does. at is when the last segment of the bytes arrived, in ns since 1970 by the wall clock. It is 0
// when the kernel did not say.
func (a *arrivals) read(p []byte) (n int, at int64, err error) {
	if len(p) == 0 {
		return 0, 0, nil
	}
	a.p, a.n, a.at, a.err = p, 0, 0, nil
	err = a.raw.Read(a.try)
	a.p = nil
	switch {
	case err != nil:
		return 0, 0, err
	case a.err != nil:
		return 0, 0, a.err
	case a.n == 0:
		return 0, 0, io.EOF
	}
	return a.n, a.at, nil
}

// receive makes one attempt to read. It gives false when there is nothing to read yet.
func (a *arrivals) receive(fd uintptr) (done bool) {
	for {
		began := a.clock()
		n, oobn, _, _, err := syscall.Recvmsg(int(fd), a.p, a.oob[:], 0)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case nil:
			a.n, a.at, a.began = n, stampIn(a.oob[:oobn]), began
		default:
			a.err = os.NewSyscallError("recvmsg", err)
		}
		return true
	}
}

// stampIn finds the stamp in control messages, in ns since 1970. It is 0 when there is none. A struct scm_timestamping holds three
// timespecs, and the first is the software stamp.
func stampIn(oob []byte) int64 {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == soTimestamping && len(m.Data) >= 16 {
			// Both parts of a timespec have 64 bits on a 64-bit machine.
			return int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
		}
	}
	return 0
}
