// Package client sends one streaming request to an OpenAI-compatible server and watches it to the end: HTTP, server-sent events,
// decoding, and a stamp for every read of the socket. It knows no store and no kind of server.
package client

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"wb/data"
)

// Clock gives nanoseconds since the run's start on one monotonic clock.
type Clock func() int64

// Statuses of a turn. Only OK counts as success: a finish reason and the usage were both seen.
const (
	StatusOK          = "ok"
	StatusRefused     = "refused"      // no connection
	StatusHTTPError   = "http_error"   // an answer other than 200
	StatusTimeout     = "timeout"      // the limit of the turn passed
	StatusCut         = "cut"          // the stream ended before it was complete
	StatusDamaged     = "damaged"      // bytes that are no SSE or no JSON
	StatusServerError = "server_error" // an error inside a stream whose status was 200
	StatusInterrupted = "interrupted"  // wb was told to stop
	StatusOverflow    = "overflow"     // longer than the server's context; not sent
)

// Client talks to one OpenAI-compatible server over HTTP/1.1 connections that stay open.
type Client struct {
	base    *url.URL // without api
	api     string   // what stands before the names of calls: /v1, or nothing
	key     string
	clock   Clock
	turns   *http.Client // one connection for turns and the scrapes beside them, so that a turn never dials
	side    *http.Client // for scrapes during a turn
	secrets []string
	size    int           // of a read from a socket, bytes, at most
	buf     []byte        // what is read of a stream; one turn at a time
	live    *atomic.Int64 // counts events as they come, those of all users; nil: nobody looks
	held    *held         // what the streams of all users hold
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

func (c *Client) newHTTP() *http.Client {
	d := &net.Dialer{Timeout: 10 * time.Second}
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
				conn, err := d.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &stampedConn{Conn: conn, clock: c.clock, emptied: -1, arrivals: newArrivals(conn, c.clock)}, nil
			},
		},
	}
}

// sameServer follows redirects on one server, and where the request stays what it is.
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
	arrivals *arrivals // nil where the kernel does not say when bytes came in
	last     atomic.Int64
	delay    atomic.Int64 // from the kernel's own stamp of the last segment to last, ns; -1: not known
	most     atomic.Int64 // no byte of the last read came in longer before last, ns; -1: not known
	reads    atomic.Int32
	emptied  int64 // when the kernel held no more than a read then took; -1: it was not seen to
}

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

func stamped(c net.Conn) *stampedConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, _ := c.(*stampedConn)
	return s
}

// clean takes secrets out of text that came from outside, and bytes that are not UTF-8.
func (c *Client) Clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	for _, secret := range c.secrets {
		s = strings.ReplaceAll(s, secret, "(secret)")
	}
	return s
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
	text, err := readBounded(from, limit)
	if err != nil {
		return resp, nil, c.netError(err)
	}
	return resp, text, nil
}

// NetError is what went wrong on the wire, in a few words and without secrets.
type NetError struct {
	text string
	hint string
	err  error
}

func (e *NetError) Error() string { return e.text }

// Unwrap gives the error below.
func (e *NetError) Unwrap() error { return e.err }

// Hint says what to do; "" when nothing is known.
func (e *NetError) Hint() string { return e.hint }

func (c *Client) netError(err error) error {
	return &NetError{c.Clean(plainNetError(err)), netHint(err), err}
}

// netHint names the remedy of a failure on the wire.
func netHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "the server's certificate is of an authority that this machine does not know: " +
			"SSL_CERT_FILE names a file with that authority's certificate"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now, or not for this; look at its dates, or at this machine's clock"
	case errors.As(err, &name):
		return "the server's certificate is for another name: use the one that it is for"
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS: use http:// in the URL"
	case strings.Contains(err.Error(), "malformed HTTP response"):
		return "this is no HTTP; does the server want https:// in the URL?"
	case strings.Contains(err.Error(), "TLS handshake timeout"):
		return "nothing answers as TLS does; does the server want http:// in the URL?"
	}
	return ""
}

// plainNetError says in a few words what went wrong on the wire.
func plainNetError(err error) string {
	var dns *net.DNSError
	var ue *url.Error
	switch {
	case errors.As(err, &dns):
		return "host " + dns.Name + " is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset by the server"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the server closed the connection"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &ue):
		err = ue.Err
	}
	return Clip(err.Error())
}

// Request is one turn's request.
type Request struct {
	Model       string
	Prompt      data.Prompt
	Text        string // the prompt rendered here, for /v1/completions; "" sends the messages to the chat API
	TokenIDs    bool   // ask for token ids
	MaxTokens   int    // 0: the server's own limit
	Temperature float64
	Seed        int64
	IgnoreEOS   bool   // the server is known to understand it
	CacheSalt   string // "" for none
	VLLM        bool   // the server takes vLLM's extra fields
}

// body is the JSON of the request. Servers other than vLLM get standard fields only: some refuse what they do not know.
func (r Request) body() ([]byte, error) {
	type streamOptions struct {
		IncludeUsage    bool `json:"include_usage"`
		ContinuousUsage bool `json:"continuous_usage_stats,omitempty"`
	}
	var plain *bool
	messages := r.Prompt.Messages
	if r.Text != "" {
		messages = nil
		if r.VLLM { // the template wrote the special tokens
			plain = new(false)
		}
	}
	return json.Marshal(struct {
		Model         string         `json:"model"`
		Messages      []data.Message `json:"messages,omitempty"`
		Prompt        string         `json:"prompt,omitempty"`
		AddSpecial    *bool          `json:"add_special_tokens,omitempty"`
		Stream        bool           `json:"stream"`
		StreamOptions streamOptions  `json:"stream_options"`
		MaxTokens     int            `json:"max_tokens,omitempty"`
		Temperature   float64        `json:"temperature"`
		Seed          int64          `json:"seed"`
		IgnoreEOS     bool           `json:"ignore_eos,omitempty"`
		CacheSalt     string         `json:"cache_salt,omitempty"`
		TokenIDs      bool           `json:"return_token_ids,omitempty"`
	}{r.Model, messages, r.Text, plain, true, streamOptions{true, r.VLLM}, r.MaxTokens,
		r.Temperature, r.Seed, r.IgnoreEOS, r.CacheSalt, r.TokenIDs && r.VLLM})
}

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

// lastWords adds to the reason of a stream that did not end well what the server said in it that is no event's: an error, most often.
func (c *Client) lastWords(re *Reply, why string, p *sseParser, rest []byte) (status, said string) {
	text := p.strange
	var w wireChunk
	failed := func(b []byte) bool {
		b = bytes.TrimSpace(b)
		return len(b) > 0 && b[0] == '{' && parseChunk(b, &w) == nil && w.failed()
	}
	if len(text) == 0 && failed(rest) {
		text = rest
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return re.Status, why
	}
	re.ErrorBody = new(c.Clean(string(text[:min(len(text), MaxErrorBody)])))
	said = reasonOrText(text)
	switch {
	case failed(text):
		return StatusServerError, "the server failed instead of going on: " + said
	case p.nothing():
		return StatusDamaged, "read stream: no line of it is a server-sent event's: " + said
	}
	return re.Status, why + ": " + said
}

// noStream says why an answer is no stream of events, "" when it may be one. The status is set then.
func (c *Client) noStream(re *Reply, resp *http.Response, from *bufio.Reader) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	ok := resp.StatusCode == http.StatusOK
	how := compressed(resp)
	// what is inside decides
	streams := slices.Contains([]string{"text/event-stream", "", "text/plain", "application/octet-stream"}, kind)
	if ok && how == "" && (streams || beginsAsStream(from)) {
		return ""
	}
	if re.Status = StatusDamaged; !ok {
		re.Status = StatusHTTPError
	}
	var body io.Reader = from
	if !ok && strings.HasSuffix(how, "gzip") { // an error can be read all the same
		if z, err := gzip.NewReader(from); err == nil {
			body, how = z, ""
		}
	}
	if how != "" {
		return fmt.Sprintf("HTTP %d: the answer is compressed (Content-Encoding: %s), and wb asks for none: "+
			"a compressed stream hides when its tokens came", resp.StatusCode, how)
	}
	text, _ := io.ReadAll(io.LimitReader(body, maxListBytes)) // what came before the connection broke says more than nothing
	re.ErrorBody = new(c.Clean(string(text[:min(len(text), MaxErrorBody)])))
	said := Reason(text)
	var w wireChunk
	switch {
	case !ok:
		return c.refused(resp, reasonOrText(text))
	case parseChunk(bytes.TrimSpace(text), &w) == nil && w.failed():
		re.Status = StatusServerError
		return "the server answered 200 with an error: " + reasonOrText(text)
	case kind == "application/json" && bytes.Contains(text, []byte(`"choices"`)):
		return "the server sent the whole reply as one JSON document: it does not stream, and when its tokens came cannot be told"
	case kind == "application/json" && said != "":
		re.Status = StatusServerError
		return "the server answered 200 with an error: " + said
	case said != "":
		return fmt.Sprintf("the answer is %q, not an event stream: %s", kind, said)
	}
	return fmt.Sprintf("the answer is %q, not an event stream", kind)
}

// beginsAsStream says whether an answer begins with a line of a server-sent event, whatever its type is said to be.
func beginsAsStream(from *bufio.Reader) bool {
	head, _ := from.Peek(len(byteOrderMark + "event:"))
	head = bytes.TrimLeft(WithoutBOM(head), "\r\n")
	return slices.ContainsFunc([]string{"data:", "event:", "id:", ": "}, func(field string) bool {
		return bytes.HasPrefix(head, []byte(field))
	})
}

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

func (re *Reply) end(c *Client, status, why string) *Reply {
	re.Status, re.Err = status, c.Clean(why)
	if re.DoneNs == 0 {
		re.DoneNs = c.clock()
	}
	return re
}

// failure classifies an error of the transport.
func (c *Client) failure(parent, ctx context.Context, err error, sent bool) string {
	switch {
	case parent.Err() != nil:
		return StatusInterrupted
	case ctx.Err() != nil:
		return StatusTimeout
	case !sent:
		return StatusRefused
	default:
		return StatusCut
	}
}

// refused tells an HTTP status other than 200, with what the server said.
func (c *Client) refused(resp *http.Response, said string) string {
	text := fmt.Sprintf("HTTP %d: %s", resp.StatusCode, cmp.Or(said, resp.Status))
	if to := c.Leads(resp.Request.URL.String(), resp.Header.Get("Location")); to != "" && resp.StatusCode/100 == 3 {
		return text + " (it leads to " + to + "; " + ElsewhereHint + ")"
	}
	if after := resp.Header.Get("Retry-After"); after != "" && len(after) < 64 { // wb does not try again: that would hide what the server did
		text += " (retry after " + Clip(after)
		if _, err := strconv.Atoi(after); err == nil {
			text += " s"
		}
		text += ")"
	}
	return text
}
