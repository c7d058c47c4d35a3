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
// Documentation/networking/timestamping.rst). Its methods are for one goroutine at a time.
type arrivals struct {
	raw   syscall.RawConn
	clock Clock
	try   func(fd uintptr) bool // made once: a closure each read would be garbage each read

	p   []byte
	oob [128]byte
	n   int
	at  int64
	err error

	began int64 // by the clock: when the last call that gave bytes began
}

// The values are those of linux/net_tstamp.h and asm-generic/socket.h. They are the same on all of Go's Linux ports except mips, parisc
// and sparc, where setting the option fails or has no effect.
const (
	soTimestamping  = 37
	rxSoftware      = 1 << 3 // stamp received segments
	reportsSoftware = 1 << 4
)

// newArrivals gives nil where the kernel does not tell.
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

// read is Read, and at is when the last segment of what it gives came in: ns since 1970 on the wall clock, 0 when the kernel did not say.
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

// stampIn finds struct scm_timestamping in control messages: three timespecs, of which software stamps use the first. 0 when there is none.
func stampIn(oob []byte) int64 {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == soTimestamping && len(m.Data) >= 16 {
			return int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:])) // of a 64-bit machine
		}
	}
	return 0
}
