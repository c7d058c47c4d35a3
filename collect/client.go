package collect

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
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
	base    string
	key     string
	clock   Clock
	turns   *http.Client // one connection for turns and the scrapes beside them, so that a turn never dials
	side    *http.Client // for scrapes during a turn
	secrets []string
	size    int           // of a read from a socket, bytes, at most
	buf     []byte        // what is read of a stream; one turn at a time
	after   chan struct{} // of several users: how many may work on what they read while others still read; nil: no limit
}

// Limits on what a server may send.
const (
	maxReplyBytes   = 1 << 30
	maxErrorBody    = 4 << 10
	maxMetricsBytes = 64 << 20
)

// WithClock gives a client of the same server whose times are on another clock, connections included.
func (c *Client) WithClock(ctx context.Context, clock Clock) *Client {
	d := *c
	d.clock = clock
	c.Close()
	return d.another(ctx, c.size)
}

// another gives a client with connections of its own and opens the one that turns will use. It reads up to so many bytes at once.
func (c *Client) another(ctx context.Context, size int) *Client {
	d := *c
	d.buf, d.size = nil, size
	d.turns, d.side = d.newHTTP(), d.newHTTP()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _, _ = d.call(ctx, d.turns, http.MethodGet, "/v1/models", nil, maxReplyBytes) // who does not answer now is found out by the first turn
	return &d
}

// wait takes part in the work after a turn, which must leave processors to those whose stream goes on.
func (c *Client) wait() {
	if c.after != nil {
		c.after <- struct{}{}
	}
}

func (c *Client) leave() {
	if c.after != nil {
		<-c.after
	}
}

// Close closes connections that are idle; requests can be sent still.
func (c *Client) Close() {
	c.turns.CloseIdleConnections()
	c.side.CloseIdleConnections()
}

// NewClient makes a client for a base URL such as http://localhost:8001 (with or without /v1; localhost:8001 will do). key is
// sent as a bearer token, "" for none; it never appears in an error.
func NewClient(baseURL, key string, clock Clock) (*Client, error) {
	if !strings.Contains(baseURL, "://") {
		baseURL = "http://" + baseURL
	}
	u, err := url.Parse(strings.TrimSpace(baseURL))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("parse url %q: wants http://HOST:PORT", RedactURL(baseURL))
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	u.Fragment = ""
	c := &Client{base: strings.TrimRight(u.String(), "/"), key: key, clock: clock, size: 64 << 10}
	if pw, ok := u.User.Password(); ok {
		c.secrets = append(c.secrets, pw)
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
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConnsPerHost: 1,
			DisableCompression:  true, // a compressed stream hides when its tokens came
			ReadBufferSize:      c.size,
			Protocols:           http1(),
			TLSHandshakeTimeout: 10 * time.Second,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := d.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &stampedConn{Conn: conn, clock: c.clock, arrivals: newArrivals(conn)}, nil
			},
		},
	}
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
	reads    atomic.Int32
}

func (s *stampedConn) Read(b []byte) (n int, err error) {
	at := int64(0)
	if s.arrivals != nil {
		n, at, err = s.arrivals.read(b)
	} else {
		n, err = s.Conn.Read(b)
	}
	s.last.Store(s.clock())
	delay := int64(-1)
	if at != 0 {
		delay = max(time.Now().UnixNano()-at, 0)
	}
	s.delay.Store(delay)
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

// Base is the server's base URL without credentials, for people and for the file.
func (c *Client) Base() string { return RedactURL(c.base) }

// RedactURL takes credentials and query values out of a URL.
func RedactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a url)"
	}
	if u.Opaque != "" || (u.Scheme == "" && strings.Contains(raw, "@")) { // user:password@host without a scheme
		return "(redacted)"
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.String()
}

// clean takes secrets out of text that came from outside.
func (c *Client) clean(s string) string {
	for _, secret := range c.secrets {
		s = strings.ReplaceAll(s, secret, "(secret)")
	}
	return s
}

func (c *Client) newRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request: %s", c.clean(err.Error()))
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// call makes one small request and reads the answer whole.
func (c *Client) call(ctx context.Context, h *http.Client, method, path string, body []byte, limit int64) (*http.Response, []byte, error) {
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, nil, errors.New(c.clean(plainNetError(err)))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return resp, nil, errors.New(c.clean(plainNetError(err)))
	}
	return resp, text, nil
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
		return ue.Err.Error()
	}
	return err.Error()
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
	IgnoreEOS   bool
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
	}{r.Model, messages, r.Text, plain, true, streamOptions{true, r.VLLM}, r.MaxTokens, r.Temperature, r.Seed, r.IgnoreEOS && r.VLLM, r.CacheSalt, r.TokenIDs && r.VLLM})
}

// Chunk is one streamed event, decoded after the turn.
type Chunk struct {
	Seq         int32 // from 1
	ReadSeq     int32 // socket read, from 1
	TNs         int64
	ReadDelayNs *int64 // before TNs, in the kernel; nil when that does not say
	Kind        string // role, content, reasoning, tool, empty, usage, error or other
	Tokens      *int32 // nil when the server does not say
	TextBytes   int32
}

// Reply is everything observed of one request. Times are ns since run start; nil means it did not come to that.
type Reply struct {
	Status       string
	Err          string
	HTTPStatus   *int32
	ErrorBody    *string
	RequestID    *string
	RequestBytes int64

	SubmitNs       int64
	WrittenNs      *int64
	HeadersNs      *int64
	FirstChunkNs   *int64
	FirstNs        *int64
	FirstContentNs *int64
	LastNs         *int64
	DoneNs         int64
	Reused         *bool

	PromptTokens     *int64
	CachedTokens     *int64
	CompletionTokens *int64
	ReasoningTokens  *int64
	FinishReason     *string
	Content          string
	Reasoning        string
	Chunks           []Chunk
	PromptIDs        []int32 // nil: not told
	TokenIDs         []int32 // generated ones; nil unless told for every event

	counted   *int64 // completion tokens that the events brought; nil when one did not say
	usageSeen bool   // the closing usage chunk, not only running figures
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
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return re.refusedBy(c, resp, text)
	}
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		re.ErrorBody = new(c.clean(strings.ToValidUTF8(string(text), "\ufffd")))
		return re.end(c, StatusDamaged, fmt.Sprintf("the answer is %q, not an event stream", ct))
	}
	var events []sseEvent
	var p sseParser
	var readErr error
	s, base := conn.Load(), int32(baseReads.Load())
	if c.buf == nil {
		c.buf = make([]byte, c.size)
	}
	buf := c.buf
	total, last, delay, seen := 0, int64(0), int64(-1), int32(0)
	for readErr == nil {
		var n int
		n, readErr = resp.Body.Read(buf)
		if s != nil {
			last, delay, seen = s.last.Load(), s.delay.Load(), s.reads.Load()-base
		} else {
			last, seen = c.clock(), seen+1
		}
		if n > 0 {
			p.feed(buf[:n], func(d []byte) { events = append(events, sseEvent{d, last, delay, seen}) })
		}
		if total += n; total > maxReplyBytes {
			readErr = fmt.Errorf("a reply longer than %d bytes", maxReplyBytes)
		}
	}
	re.DoneNs = c.clock()
	c.wait()
	re.decode(c, events)
	c.leave()
	switch {
	case p.damage != nil && re.Status == StatusDamaged: // what could not be decoded was cut short here
		re.end(c, StatusDamaged, "read stream: "+p.damage.Error())
	case re.Status != "": // an error inside the stream
	case !errors.Is(readErr, io.EOF):
		re.end(c, c.failure(parent, ctx, readErr, true), "read stream: "+plainNetError(readErr))
	case p.damage != nil:
		re.end(c, StatusDamaged, "read stream: "+p.damage.Error())
	case re.FinishReason == nil || !re.usageSeen:
		what := "usage"
		if re.FinishReason == nil {
			what = "a finish reason"
		}
		if p.unfinished() {
			what += ", inside an event"
		}
		if re.FinishReason != nil && re.PromptTokens == nil {
			what += "; the server must support stream_options.include_usage"
		}
		re.end(c, StatusCut, "the stream ended without "+what)
	default:
		re.Status = StatusOK
	}
	return re
}

func (re *Reply) end(c *Client, status, why string) *Reply {
	re.Status, re.Err = status, c.clean(why)
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

// refusedBy reads an HTTP error: vLLM answers {"error": {"message": …}}, or {"detail": …} on wrong paths.
func (re *Reply) refusedBy(c *Client, resp *http.Response, text []byte) *Reply {
	body := c.clean(strings.ToValidUTF8(string(text), "\ufffd"))
	re.ErrorBody = &body
	later := ""
	if after := resp.Header.Get("Retry-After"); after != "" && len(after) < 64 { // wb does not try again: that would hide what the server did
		later = " (retry after " + after
		if _, err := strconv.Atoi(after); err == nil {
			later += " s"
		}
		later += ")"
	}
	return re.end(c, StatusHTTPError, fmt.Sprintf("HTTP %d: %s%s", resp.StatusCode, serverMessage(text, resp.Status), later))
}

func serverMessage(text []byte, otherwise string) string {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Detail  any             `json:"detail"`
		Message string          `json:"message"`
	}
	msg := ""
	if json.Unmarshal(text, &e) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(e.Error, &inner) == nil && inner.Message != "":
			msg = inner.Message
		case e.Message != "":
			msg = e.Message
		case e.Detail != nil:
			msg = fmt.Sprint(e.Detail)
		}
		if msg == "" {
			var plain string
			if json.Unmarshal(e.Error, &plain) == nil {
				msg = plain
			}
		}
	}
	if msg == "" {
		msg = otherwise
	}
	return strings.Join(strings.Fields(msg), " ")
}

// wireChunk is what wb reads of a chat.completion.chunk.
type wireChunk struct {
	ID        string  `json:"id"`
	PromptIDs []int32 `json:"prompt_token_ids"` // of a chat completion
	Choices   []struct {
		Text      *string `json:"text"` // of a plain completion
		PromptIDs []int32 `json:"prompt_token_ids"`
		Delta     struct {
			Role             string            `json:"role"`
			Content          *string           `json:"content"`
			Reasoning        *string           `json:"reasoning"`         // vLLM since 0.12
			ReasoningContent *string           `json:"reasoning_content"` // before, and other servers
			ToolCalls        []json.RawMessage `json:"tool_calls"`
		} `json:"delta"`
		FinishReason *string `json:"finish_reason"`
		TokenIDs     []int32 `json:"token_ids"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
		PromptDetails    *struct {
			CachedTokens *int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionDetails *struct {
			ReasoningTokens *int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// decode reads the events once the turn is over. Token counts of a chunk come from its token ids, else from the growth of
// the running usage, else they stay unknown: chunks are not tokens.
func (re *Reply) decode(c *Client, events []sseEvent) {
	var content, reasoning strings.Builder
	var counted int64
	running := false // usage comes with every event
	allIDs := true   // so do token ids
	re.counted = new(int64)
	var w wireChunk // one for all of them: it is most of what decoding takes from the heap
	for i, e := range events {
		if i == 0 {
			re.FirstChunkNs = new(e.tNs)
		}
		if string(e.data) == "[DONE]" {
			continue
		}
		ch := Chunk{Seq: int32(len(re.Chunks) + 1), ReadSeq: e.readSeq, TNs: e.tNs, Kind: "other"}
		if e.delayNs >= 0 {
			ch.ReadDelayNs = &events[i].delayNs
		}
		w = wireChunk{}
		if err := json.Unmarshal(e.data, &w); err != nil {
			ch.Kind = "error"
			re.Chunks = append(re.Chunks, ch)
			if re.Status == "" {
				re.end(c, StatusDamaged, fmt.Sprintf("decode event %d: %v", i+1, err))
			}
			continue
		}
		if len(w.Error) > 0 && string(w.Error) != "null" {
			ch.Kind = "error"
			re.Chunks = append(re.Chunks, ch)
			if re.Status == "" {
				body := string(e.data)
				if len(body) > maxErrorBody {
					body = body[:maxErrorBody]
				}
				re.ErrorBody = new(c.clean(strings.ToValidUTF8(body, "\ufffd")))
				re.end(c, StatusServerError, "the server failed mid-stream: "+serverMessage(e.data, "no message"))
			}
			continue
		}
		if w.ID != "" && re.RequestID == nil {
			re.RequestID = new(w.ID)
		}
		hasIDs := false
		for _, choice := range w.Choices {
			d := choice.Delta
			think := d.Reasoning
			if think == nil {
				think = d.ReasoningContent
			}
			if choice.Text != nil && d.Content == nil {
				d.Content = choice.Text
			}
			if re.PromptIDs == nil {
				re.PromptIDs = choice.PromptIDs
			}
			switch {
			case d.Content != nil && *d.Content != "":
				ch.Kind = "content"
				content.WriteString(*d.Content)
				ch.TextBytes += int32(len(*d.Content))
				if re.FirstContentNs == nil {
					re.FirstContentNs = new(e.tNs)
				}
			case think != nil && *think != "":
				ch.Kind = "reasoning"
				reasoning.WriteString(*think)
				ch.TextBytes += int32(len(*think))
			case len(d.ToolCalls) > 0:
				ch.Kind = "tool"
				for _, t := range d.ToolCalls {
					ch.TextBytes += int32(len(t))
				}
			case d.Role != "":
				ch.Kind = "role"
			default:
				ch.Kind = "empty"
			}
			if choice.TokenIDs != nil {
				hasIDs = true
				re.TokenIDs = append(re.TokenIDs, choice.TokenIDs...)
				ch.Tokens = new(int32(len(choice.TokenIDs)))
			}
			if choice.FinishReason != nil {
				re.FinishReason = choice.FinishReason
			}
		}
		if w.PromptIDs != nil {
			re.PromptIDs = w.PromptIDs
		}
		allIDs = allIDs && (hasIDs || ch.TextBytes == 0)
		if u := w.Usage; u != nil {
			if !hasIDs && len(w.Choices) > 0 {
				ch.Tokens = new(int32(max(u.CompletionTokens-counted, 0)))
			}
			counted = u.CompletionTokens
			// the running figures are kept too: a stream that is cut still tells how far it came
			re.PromptTokens, re.CompletionTokens = new(u.PromptTokens), new(u.CompletionTokens)
			if u.PromptDetails != nil {
				re.CachedTokens = u.PromptDetails.CachedTokens
			}
			if u.CompletionDetails != nil {
				re.ReasoningTokens = u.CompletionDetails.ReasoningTokens
			}
			// vLLM closes with an event of its own; servers without running usage may put it beside the finish reason
			switch {
			case len(w.Choices) == 0:
				ch.Kind = "usage"
				re.usageSeen = true
			case re.FinishReason == nil:
				running = true
			case !running:
				re.usageSeen = true
			}
		}
		switch {
		case ch.Tokens != nil && re.counted != nil:
			*re.counted += int64(*ch.Tokens)
		case ch.TextBytes > 0:
			re.counted = nil
		}
		if ch.TextBytes > 0 || (ch.Tokens != nil && *ch.Tokens > 0) {
			if re.FirstNs == nil {
				re.FirstNs = new(e.tNs)
			}
			re.LastNs = new(e.tNs)
		}
		re.Chunks = append(re.Chunks, ch)
	}
	re.Content, re.Reasoning = content.String(), reasoning.String()
	if !allIDs || (re.CompletionTokens != nil && int64(len(re.TokenIDs)) != *re.CompletionTokens) {
		re.TokenIDs = nil
	}
}
