package client

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// lastWords adds to why what the server said outside of events, most often an error. It is for a stream that did not end well. rest is the
// data of an unfinished event.
func (c *Client) lastWords(re *Reply, why string, p *sseParser, rest []byte) (status Status, said string) {
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
		return StatusDamaged, "read stream: no line of it belongs to a server-sent event: " + said
	}
	return re.Status, why + ": " + said
}

// noStream says why an answer is not a stream of events, and sets the status of the reply. It gives "" when the answer may be one.
func (c *Client) noStream(re *Reply, resp *http.Response, from *bufio.Reader) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	ok := resp.StatusCode == http.StatusOK
	how := compressed(resp)
	// With one of these types, the content decides.
	streams := slices.Contains([]string{"text/event-stream", "", "text/plain", "application/octet-stream"}, kind)
	if ok && how == "" && (streams || beginsAsStream(from)) {
		return ""
	}
	if re.Status = StatusDamaged; !ok {
		re.Status = StatusHTTPError
	}
	var body io.Reader = from
	if !ok && strings.HasSuffix(how, "gzip") { // a compressed error can be read
		if z, err := gzip.NewReader(from); err == nil {
			body, how = z, ""
		}
	}
	if how != "" {
		return fmt.Sprintf("HTTP %d: the answer is compressed (Content-Encoding: %s), which wb did not ask for: "+
			"a compressed stream hides when its tokens came", resp.StatusCode, how)
	}
	text, _ := io.ReadAll(io.LimitReader(body, maxListBytes)) // what came before an error may still give the reason
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
		return "the server sent the whole reply as one JSON document: it does not stream, so it is not known when its tokens came"
	case kind == "application/json" && said != "":
		re.Status = StatusServerError
		return "the server answered 200 with an error: " + said
	case said != "":
		return fmt.Sprintf("the answer is %q, not an event stream: %s", kind, said)
	}
	return fmt.Sprintf("the answer is %q, not an event stream", kind)
}

// beginsAsStream says whether an answer begins with a line of a server-sent event, whatever its Content-Type.
func beginsAsStream(from *bufio.Reader) bool {
	head, _ := from.Peek(len(byteOrderMark + "event:"))
	head = bytes.TrimLeft(WithoutBOM(head), "\r\n")
	return slices.ContainsFunc([]string{"data:", "event:", "id:", ": "}, func(field string) bool {
		return bytes.HasPrefix(head, []byte(field))
	})
}

// refused describes an answer with an HTTP status other than 200. said is the reason that the server gave.
func (c *Client) refused(resp *http.Response, said string) string {
	text := fmt.Sprintf("HTTP %d: %s", resp.StatusCode, cmp.Or(said, resp.Status))
	if to := c.Leads(resp.Request.URL.String(), resp.Header.Get("Location")); to != "" && resp.StatusCode/100 == 3 {
		return text + " (it leads to " + to + "; " + ElsewhereHint + ")"
	}
	// wb does not send the turn again: that would hide what the server did.
	if after := resp.Header.Get("Retry-After"); after != "" && len(after) < 64 {
		text += " (retry after " + Clip(after)
		if _, err := strconv.Atoi(after); err == nil {
			text += " s"
		}
		text += ")"
	}
	return text
}
