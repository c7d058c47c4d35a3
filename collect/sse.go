package collect

import (
	"bytes"
	"fmt"
)

// sseEvent is the data of one server-sent event, with the stamp of the socket read that completed it.
type sseEvent struct {
	data    []byte
	tNs     int64 // ns since run start
	delayNs int64 // the bytes lay in the kernel before that; -1: not known
	readSeq int32 // ordinal of the read, from 1
}

// sseParser splits a byte stream into events (WHATWG HTML, "Server-sent events"): lines end in LF, CRLF or CR, an empty
// line ends an event, "data" lines of one event are joined by LF. It only splits; nothing is decoded while a turn runs.
type sseParser struct {
	line   []byte // the unfinished line
	data   []byte // data lines of the unfinished event
	open   bool   // the event has data
	cr     bool   // the last byte was a CR that ended a line
	first  bool   // the byte-order mark was dealt with
	damage error  // the first thing seen that is no event stream
}

// maxEventBytes bounds one event: the longest real one, the first with the prompt's token ids at 128K tokens, has about 1 MB.
const maxEventBytes = 32 << 20

// feed takes the bytes of one read and calls emit for each event they complete. The data is the callee's to keep.
func (p *sseParser) feed(b []byte, emit func(data []byte)) {
	for len(b) > 0 {
		if p.cr && b[0] == '\n' {
			b = b[1:]
			p.cr = false
			continue
		}
		p.cr = false
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			p.line = p.bounded(p.line, b)
			return
		}
		p.line = p.bounded(p.line, b[:i])
		p.cr = b[i] == '\r'
		b = b[i+1:]
		p.endLine(emit)
	}
}

func (p *sseParser) bounded(to, b []byte) []byte {
	if len(to)+len(b) > maxEventBytes {
		p.fail(fmt.Errorf("an event longer than %d bytes", maxEventBytes))
		return to
	}
	return append(to, b...)
}

func (p *sseParser) fail(err error) {
	if p.damage == nil {
		p.damage = err
	}
}

func (p *sseParser) endLine(emit func([]byte)) {
	line := p.line
	p.line = p.line[:0]
	if !p.first {
		p.first = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if len(line) == 0 {
		if p.open {
			emit(p.data)
			p.data, p.open = nil, false
		}
		return
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "data":
		if p.open {
			p.data = append(p.data, '\n')
		}
		p.data = p.bounded(p.data, value)
		p.open = true
	case "", "event", "id", "retry": // comments and fields that chat streams do not use
	default:
		p.fail(fmt.Errorf("a line that is no server-sent event: %.60q", line))
	}
}

// unfinished says whether the stream ended inside an event.
func (p *sseParser) unfinished() bool { return p.open || len(p.line) > 0 }
