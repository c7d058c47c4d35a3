package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// newHTTP makes an HTTP client whose connections stamp their reads.
func (c *Client) newHTTP() *http.Client {
	dial := (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	if c.dial != nil {
		dial = c.dial
	}
	return &http.Client{
		CheckRedirect: sameServer,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			MaxIdleConnsPerHost:    1,
			DisableCompression:     true, // a compressed stream hides when its tokens came
			ReadBufferSize:         c.size,
			MaxResponseHeaderBytes: maxHeaderBytes,
			Protocols:              http1(),
			TLSHandshakeTimeout:    10 * time.Second,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &stampedConn{Conn: conn, clock: c.clock, emptied: -1, arrivals: newArrivals(conn, c.clock)}, nil
			},
		},
	}
}

// sameServer follows a redirect only to the same server, and only when the request's method stays the same.
func sameServer(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	return nil
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// stampedConn stamps each read from the socket, before anything looks at the bytes.
type stampedConn struct {
	net.Conn
	clock    Clock
	arrivals *arrivals    // nil where the kernel does not say when bytes arrived
	last     atomic.Int64 // when the last read returned, by the clock
	delay    atomic.Int64 // from the kernel's stamp of the last segment to last, ns; -1: not known
	most     atomic.Int64 // the longest that any byte of the last read can have waited before last, ns; -1: not known
	reads    atomic.Int32 // reads so far
	emptied  int64        // when the last read began that took all that the kernel held; -1: none so far
}

// Read reads and stamps. A read that does not fill b has taken all that the kernel held, so what a later read gives arrived after it began.
func (s *stampedConn) Read(b []byte) (n int, err error) {
	at := int64(0)
	if s.arrivals != nil {
		n, at, err = s.arrivals.read(b)
	} else {
		n, err = s.Conn.Read(b)
	}
	now := s.clock()
	s.last.Store(now)
	delay, most := int64(-1), int64(-1)
	if at != 0 {
		delay = max(time.Now().UnixNano()-at, 0)
		if s.emptied >= 0 {
			most = now - s.emptied
		}
	}
	if s.arrivals != nil && n > 0 && n < len(b) {
		s.emptied = s.arrivals.began
	}
	s.delay.Store(delay)
	s.most.Store(most)
	s.reads.Add(1)
	return n, err
}

// stamped finds the stamped connection below a connection, which may be TLS. It gives nil when there is none.
func stamped(c net.Conn) *stampedConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, _ := c.(*stampedConn)
	return s
}
