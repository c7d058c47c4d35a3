// Package client sends one streaming request to an OpenAI-compatible server and watches it to the end: HTTP, server-sent events,
// decoding, and a stamp for every read of the socket. It knows no store and no kind of server.
package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"wb/data/plain"
)

// Clock gives nanoseconds since the run's start on one monotonic clock.
type Clock func() int64

// Client talks to one OpenAI-compatible server over HTTP/1.1 connections that stay open.
type Client struct {
	base    *url.URL // without api
	api     string   // what stands before the names of calls: /v1, or nothing
	key     string
	clock   Clock
	turns   *http.Client // one connection for turns and the scrapes beside them, so that a turn never dials
	side    *http.Client // for scrapes during a turn
	secrets []string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the network's
	size    int                                                               // of a read from a socket, bytes, at most
	buf     []byte                                                            // what is read of a stream; one turn at a time
	live    *atomic.Int64                                                     // counts events as they come, those of all users; nil: nobody looks
	held    *held                                                             // what the streams of all users hold
}

// WithClock gives a client of the same server whose times are on another clock, connections included.
func (c *Client) WithClock(ctx context.Context, clock Clock) *Client {
	d := *c
	d.clock = clock
	c.Close()
	return d.Another(ctx, c.size)
}

// Another gives a client with connections of its own and opens the one that turns will use. It reads up to so many bytes at once.
func (c *Client) Another(ctx context.Context, size int) *Client {
	d := *c
	d.buf, d.size = nil, size
	d.turns, d.side = d.newHTTP(), d.newHTTP()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// who does not answer now is found out by the first turn
	_, _, _ = d.call(ctx, d.turns, http.MethodGet, "/v1/models", nil, MaxModelsBytes)
	return &d
}

// Asking gives a client for questions beside the turns, so many at once, on connections of its own.
func (c *Client) Asking(n int) *Client {
	d := *c
	d.turns, d.side = d.newHTTP(), d.newHTTP()
	d.turns.Transport.(*http.Transport).MaxIdleConnsPerHost = n
	return &d
}

// Close closes connections that are idle; requests can be sent still.
func (c *Client) Close() {
	c.turns.CloseIdleConnections()
	c.side.CloseIdleConnections()
}

// New makes a client for a base URL such as http://localhost:8001 (with or without /v1 or what follows it; localhost:8001 will do).
// key is sent as a bearer token, "" for none; it never appears in an error.
func New(baseURL, key string, clock Clock) (*Client, error) {
	u, api, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: u, api: api, key: key, clock: clock, size: 64 << 10, held: newHeld()}
	if pw, ok := u.User.Password(); ok && pw != "" {
		c.secrets = append(c.secrets, pw, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+pw))) // as it is sent
	}
	for _, values := range u.Query() { // gateways take keys there
		for _, v := range values {
			if len(v) >= 8 {
				c.secrets = append(c.secrets, v)
			}
		}
	}
	if key != "" {
		c.secrets = append(c.secrets, key)
	}
	c.turns, c.side = c.newHTTP(), c.newHTTP()
	return c, nil
}

// Clean takes secrets out of text that came from outside, and bytes that are not UTF-8.
func (c *Client) Clean(s string) string {
	return plain.WithoutSecrets(strings.ToValidUTF8(s, "\ufffd"), c.secrets)
}

func (c *Client) newRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.address(path), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request: %s", c.Clean(err.Error()))
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// Ask makes one small request on the connection of turns and reads the answer whole; one that is longer than limit bytes is an error.
func (c *Client) Ask(ctx context.Context, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	return c.call(ctx, c.turns, method, path, body, limit)
}

// AskBeside is Ask on a connection of its own, while a turn may be under way.
func (c *Client) AskBeside(ctx context.Context, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	return c.call(ctx, c.side, method, path, body, limit)
}

// Now gives the time on the client's clock, ns since the run's start.
func (c *Client) Now() int64 { return c.clock() }

// CountEvents adds events to n as they come; several clients may share one.
func (c *Client) CountEvents(n *atomic.Int64) { c.live = n }

// call makes one small request and reads the answer whole; one that is longer than limit bytes is an error.
func (c *Client) call(ctx context.Context, h *http.Client, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, nil, c.netError(err)
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	switch how := compressed(resp); {
	case strings.EqualFold(how, "gzip"): // wb asked for none, and a small answer can be read all the same
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return resp, nil, fmt.Errorf("the answer says that it is compressed (Content-Encoding: gzip) and is not: %w", err)
		}
		from = z
	case how != "":
		return resp, nil, fmt.Errorf("the answer is compressed (Content-Encoding: %s), and wb asks for none", how)
	}
	text, err := readAtMost(from, limit)
	if err != nil {
		return resp, nil, c.netError(err)
	}
	return resp, text, nil
}
