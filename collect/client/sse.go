package client

import (
	"bytes"
	"fmt"
)

// sseEvent is one server-sent event, with the stamp of the socket read that completed it.
type sseEvent struct {
	data []byte
	stamp
	failure bool // the server named it "error", in the event field or in place of the data field
	foreign bool // it has another name than the events of a reply, such as a proxy's ping
}

// sseParser splits a stream of bytes into events (WHATWG HTML, "Server-sent events"). Lines end in LF, CRLF or CR. An empty line ends an
// event. The "data" lines of one event are joined by LF. Unknown fields are ignored. The parser does not look into the data.
type sseParser struct {
	line    []byte // the unfinished line
	data    []byte // data lines of the unfinished event
	open    bool   // the event has data
	failure bool   // the event is named "error"
	foreign bool   // the event has another name than "message"
	cr      bool   // the last byte was a CR that ended a line
	first   bool   // the first line was read, and a byte-order mark removed
	known   bool   // a line with a known field was seen
	strange []byte // the first lines without a known field
	more    bool   // lines came after the last event that has data
	damage  error  // an event is longer than wb holds
}

// feed takes the bytes of one read and calls emit for each event that they complete. emit may keep the event's data.
func (p *sseParser) feed(b []byte, emit func(sseEvent)) {
	for len(b) > 0 && p.damage == nil {
		if p.cr && b[0] == '\n' {
			b = b[1:]
			p.cr = false
			continue
		}
		p.cr = false
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			p.line, p.more = p.appendAtMost(p.line, b), true
			return
		}
		p.line = p.appendAtMost(p.line, b[:i])
		p.cr = b[i] == '\r'
		b = b[i+1:]
		p.endLine(emit)
	}
}

// byteOrderMark may come before a text in UTF-8.
const byteOrderMark = "\ufeff"

// WithoutBOM removes a byte-order mark from the start of a text.
func WithoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte(byteOrderMark)) }

func (p *sseParser) appendAtMost(to, b []byte) []byte {
	if len(to)+len(b) > maxEventBytes {
		p.damage = fmt.Errorf("an event longer than %d bytes", maxEventBytes)
		return nil
	}
	return append(to, b...)
}

func (p *sseParser) endLine(emit func(sseEvent)) {
	line := p.line
	p.line = p.line[:0]
	if !p.first {
		p.first = true
		line = WithoutBOM(line)
	}
	if len(line) == 0 {
		if p.open {
			emit(sseEvent{data: p.data, failure: p.failure, foreign: p.foreign})
			p.more = len(p.data) == 0 // a heartbeat is not kept
		}
		p.data, p.open, p.failure, p.foreign = nil, false, false, false
		return
	}
	p.more = true
	p.take(line)
}

func (p *sseParser) take(line []byte) {
	field, value, colon := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "data":
		p.add(value)
	case "error": // llama.cpp sent errors in a field with this name up to and including 2025
		p.add(value)
		p.failure = true
	case "event":
		p.known = true
		p.failure = string(value) == "error"
		p.foreign = !p.failure && len(value) > 0 && string(value) != "message"
	case "id", "retry", "": // a line that begins with a colon is a comment
		p.known = p.known || colon
	default:
		if more := MaxErrorBody - len(p.strange); more > 0 {
			p.strange = append(append(p.strange, line[:min(len(line), more)]...), '\n')
		}
	}
}

func (p *sseParser) add(value []byte) {
	p.known = true
	if p.open {
		p.data = append(p.data, '\n')
	}
	p.data = p.appendAtMost(p.data, value)
	p.open = true
}

// unfinished says whether the stream ended inside an event.
func (p *sseParser) unfinished() bool { return p.open || len(p.line) > 0 }

// end takes the unfinished line at the end of the stream. It gives the data of the unfinished event, and says whether there was one.
func (p *sseParser) end() (rest []byte, unfinished bool) {
	unfinished = p.unfinished()
	if len(p.line) > 0 {
		p.take(p.line)
		p.line = nil
	}
	return p.data, unfinished
}

// nothing says whether lines came, but none of them belonged to a server-sent event.
func (p *sseParser) nothing() bool { return !p.known && p.strange != nil }
