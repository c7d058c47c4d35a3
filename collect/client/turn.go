package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Turn sends one streaming chat completion and watches it to the end. It always returns a Reply; whatever goes wrong is in
// its Status and Err. Cancelling parent makes the turn interrupted; limit (if > 0) makes it time out.
func (c *Client) Turn(parent context.Context, r Request, limit time.Duration) *Reply {
	re := &Reply{}
	body, err := r.body()
	if err != nil {
		re.SubmitNs = c.clock()
		return re.end(c, StatusRefused, "encode request: "+err.Error())
	}
	re.RequestBytes = int64(len(body))
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	if limit > 0 {
		ctx, cancel = context.WithTimeout(parent, limit)
		defer cancel()
	}
	var conn atomic.Pointer[stampedConn]
	var baseReads, written, headers atomic.Int64
	var reused atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if s := stamped(i.Conn); s != nil {
				conn.Store(s)
				baseReads.Store(int64(s.reads.Load()))
			}
			reused.Store(i.Reused)
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				written.Store(c.clock())
			}
		},
		GotFirstResponseByte: func() {
			if s := conn.Load(); s != nil {
				headers.Store(s.last.Load())
			}
		},
	})
	path := "/v1/chat/completions"
	if r.Text != "" {
		path = "/v1/completions"
	}
	req, err := c.newRequest(ctx, http.MethodPost, path, body)
	if err != nil {
		re.SubmitNs = c.clock()
		return re.end(c, StatusRefused, err.Error())
	}
	req.Header.Set("Accept", "text/event-stream")
	re.SubmitNs = c.clock()
	resp, err := c.turns.Do(req)
	set := func(p **int64, v int64) {
		if v != 0 {
			*p = &v
		}
	}
	set(&re.WrittenNs, written.Load())
	set(&re.HeadersNs, headers.Load())
	if conn.Load() != nil {
		re.Reused = new(reused.Load())
	}
	if err != nil {
		return re.end(c, c.failure(parent, ctx, err, re.WrittenNs != nil), "send request: "+plainNetError(err))
	}
	defer resp.Body.Close()
	re.HTTPStatus = new(int32(resp.StatusCode))
	from := bufio.NewReaderSize(resp.Body, 16)
	if why := c.noStream(re, resp, from); why != "" {
		return re.end(c, re.Status, why)
	}
	x := stream{client: c, conn: conn.Load(), base: int32(baseReads.Load()), decoder: re.decoder(c.Clean), tls: resp.TLS != nil}
	defer x.release()
	readErr := x.read(from, cancel)
	if re.DoneNs = c.clock(); x.doneNs != 0 && !errors.Is(readErr, io.EOF) {
		re.DoneNs = x.doneNs
	}
	rest, unfinished := x.parser.end()
	x.decoder.end()
	re.Streamed = int64(x.count)
	var why string
	switch {
	case re.Status != "" && x.damage() == nil: // an error inside the stream
		return re
	case x.damage() != nil:
		re.Status, why = StatusDamaged, "read stream: "+x.damage().Error()
	case x.doneNs == 0 && !errors.Is(readErr, io.EOF):
		re.Status, why = c.failure(parent, ctx, readErr, true), "read stream: "+plainNetError(readErr)
	default:
		re.Status, why = re.settle(r.MaxTokens, unfinished)
	}
	if re.Status == StatusCut || re.Status == StatusDamaged {
		re.Status, why = c.lastWords(re, why, &x.parser, rest)
	}
	return re.end(c, re.Status, why)
}

func (re *Reply) end(c *Client, status Status, why string) *Reply {
	re.Status, re.Err = status, c.Clean(why)
	if re.DoneNs == 0 {
		re.DoneNs = c.clock()
	}
	return re
}
