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

// Turn sends one streaming request and follows the answer to its end. It always returns a Reply. Whatever goes wrong is in the reply's
// Status and Err. When parent is cancelled, the turn is interrupted. When limit (if above 0) has passed, the turn times out.
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
	w := &wire{client: c}
	req, err := c.newRequest(httptrace.WithClientTrace(ctx, w.trace()), http.MethodPost, r.path(), body)
	if err != nil {
		re.SubmitNs = c.clock()
		return re.end(c, StatusRefused, err.Error())
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Close = r.Fresh
	re.SubmitNs = c.clock()
	resp, err := c.turns.Do(req)
	w.tell(re)
	if err != nil {
		return re.end(c, c.failure(parent, ctx, err, re.WrittenNs != nil), "send request: "+plainNetError(err))
	}
	defer resp.Body.Close()
	re.HTTPStatus = new(int32(resp.StatusCode))
	from := bufio.NewReaderSize(resp.Body, 16)
	if why := c.noStream(re, resp, from); why != "" {
		return re.end(c, re.Status, why)
	}
	x := stream{client: c, conn: w.conn.Load(), base: int32(w.baseReads.Load()), decoder: re.decoder(c.Clean), tls: resp.TLS != nil}
	defer x.release()
	readErr := x.read(from, cancel)
	broken := func() Status { return c.failure(parent, ctx, readErr, true) }
	return c.finish(re, &x, readErr, broken, r.MaxTokens)
}

// finish decides how a turn ended whose stream was read as far as it went. readErr is the error that ended the reading. broken gives the
// status for it when it is an error of the connection.
func (c *Client) finish(re *Reply, x *stream, readErr error, broken func() Status, maxTokens int) *Reply {
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
		re.Status, why = broken(), "read stream: "+plainNetError(readErr)
	default:
		re.Status, why = re.settle(maxTokens, unfinished)
	}
	if re.Status == StatusCut || re.Status == StatusDamaged {
		re.Status, why = c.lastWords(re, why, &x.parser, rest)
	}
	return re.end(c, re.Status, why)
}

// wire holds what the transport reports about a request while it is sent.
type wire struct {
	client             *Client
	conn               atomic.Pointer[stampedConn]
	baseReads          atomic.Int64 // reads of the connection before this request
	written, headersNs atomic.Int64 // 0: the request did not get that far
	reused             atomic.Bool
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if s := stamped(i.Conn); s != nil {
				w.conn.Store(s)
				w.baseReads.Store(int64(s.reads.Load()))
			}
			w.reused.Store(i.Reused)
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				w.written.Store(w.client.clock())
			}
		},
		GotFirstResponseByte: func() {
			if s := w.conn.Load(); s != nil {
				w.headersNs.Store(s.last.Load())
			}
		},
	}
}

// tell copies the times into the reply.
func (w *wire) tell(re *Reply) {
	set := func(p **int64, v int64) {
		if v != 0 {
			*p = &v
		}
	}
	set(&re.WrittenNs, w.written.Load())
	set(&re.HeadersNs, w.headersNs.Load())
	if w.conn.Load() != nil {
		re.Reused = new(w.reused.Load())
	}
}

// end ends a reply with a status and an error, from which it removes secrets.
func (re *Reply) end(c *Client, status Status, why string) *Reply {
	re.Status, re.Err = status, c.Clean(why)
	if re.DoneNs == 0 {
		re.DoneNs = c.clock()
	}
	return re
}
