// Package client sends a streaming request to an OpenAI-compatible server and follows the answer to its end. It speaks HTTP, reads
// server-sent events, decodes them, and stamps every read of the socket with a time. It must not know the store, and must not know kinds of
// servers.
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

// Clock gives the nanoseconds since the run's start, on one monotonic clock.
type Clock func() int64

// Client talks to one OpenAI-compatible server over HTTP/1.1 connections that stay open. It plays one turn at a time.
type Client struct {
	base    *url.URL // without api
	api     string   // the part of a path before the name of a call: /v1, or nothing
	key     string
	clock   Clock
	turns   *http.Client // one connection for turns and for the scrapes between them, so that a turn never dials
	side    *http.Client // for scrapes during a turn
	secrets []string

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the network's
	size int                                                               // of one read from a socket, bytes, at most
	buf  []byte                                                            // for the reads of a stream
	live *atomic.Int64                                                     // counts the events of all users as they come; may be nil
	held *held                                                             // counts the bytes that the streams of all users hold
}

// WithClock gives a client of the same server whose times come from another clock. It closes c's idle connections and opens new ones.
func (c *Client) WithClock(ctx context.Context, clock Clock) *Client {
	d := *c
	d.clock = clock
	c.Close()
	return d.Another(ctx, c.size)
}

// Another gives a client of the same server with new connections, and opens the one that turns will use. size is the most that it reads at
// once, in bytes.
func (c *Client) Another(ctx context.Context, size int) *Client {
	d := *c
	d.buf, d.size = nil, size
	d.turns, d.side = d.newHTTP(), d.newHTTP()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// An error is ignored here: the first turn will report it.
	_, _, _ = d.call(ctx, d.turns, http.MethodGet, "/v1/models", nil, MaxModelsBytes)
	return &d
}

// Asking gives a client of the same server with new connections, for requests beside the turns. It keeps up to n connections open.
func (c *Client) Asking(n int) *Client {
	d := *c
	d.turns, d.side = d.newHTTP(), d.newHTTP()
	d.turns.Transport.(*http.Transport).MaxIdleConnsPerHost = n
	return &d
}

// Close closes idle connections. The client can still send requests.
func (c *Client) Close() {
	c.turns.CloseIdleConnections()
	c.side.CloseIdleConnections()
}

// New makes a client for a base URL such as http://localhost:8001. The scheme may be left out, and the URL may end in /v1 or in the path of
// a call. key is sent as a bearer token, "" for none. It never appears in an error.
func New(baseURL, key string, clock Clock) (*Client, error) {
	u, api, err := parseBase(baseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: u, api: api, key: key, clock: clock, size: 64 << 10, held: newHeld()}
	if pw, ok := u.User.Password(); ok && pw != "" {
		c.secrets = append(c.secrets, pw, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+pw))) // the header holds this form
	}
	for _, values := range u.Query() { // some gateways take keys in the query
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

// Clean removes secrets, and bytes that are not UTF-8, from a text that came from outside.
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

// Ask sends one small request on the connection of the turns, and reads the whole answer. An answer of more than limit bytes is an error.
func (c *Client) Ask(ctx context.Context, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	return c.call(ctx, c.turns, method, path, body, limit)
}

// AskBeside is Ask on a separate connection, so that it can be used during a turn.
func (c *Client) AskBeside(ctx context.Context, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	return c.call(ctx, c.side, method, path, body, limit)
}

// Now gives the time on the client's clock, in ns since the run's start.
func (c *Client) Now() int64 { return c.clock() }

// CountEvents makes the client count the events of its streams in n, as they come. Several clients may share n.
func (c *Client) CountEvents(n *atomic.Int64) { c.live = n }

// call sends one small request and reads the whole answer. An answer of more than limit bytes is an error.
func (c *Client) call(ctx context.Context, h *http.Client, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	// small requests may be sent again on a connection that the server has just closed; nil is not sent as a header
	req.Header["Idempotency-Key"] = nil
	resp, err := h.Do(req)
	if err != nil {
		return nil, nil, c.netError(err)
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	switch how := compressed(resp); {
	case strings.EqualFold(how, "gzip"): // wb did not ask for it, but can read a small answer
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return resp, nil, fmt.Errorf("the answer has Content-Encoding: gzip but is not gzip: %w", err)
		}
		from = z
	case how != "":
		return resp, nil, fmt.Errorf("the answer is compressed (Content-Encoding: %s), which wb did not ask for", how)
	}
	text, err := readAtMost(from, limit)
	if err != nil {
		return resp, nil, c.netError(err)
	}
	return resp, text, nil
}
