package client

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/shirou/gopsutil/v4/mem"
)

// Limits on what a server may send. Whatever a server does, wb holds no more than this.
const (
	// One event of a stream, in bytes. The longest real one has about 8 MB: the first event with the ids of a prompt of a million tokens.
	maxEventBytes = 16 << 20
	// What is held of one stream until it ends. A reply of 128K tokens has that many events of about 350 bytes.
	maxStreamEvents = 1 << 18
	maxStreamBytes  = 64 << 20
	// The text of a reply, in bytes, and the ids of its tokens. A reply of a million tokens has about 4 MB of text.
	maxReplyText = 12 << 20
	maxReplyIDs  = 2 << 20
	// A name that a server gives, such as that of a model, a request or a finish reason, in bytes.
	maxName = 512
	// Lists take much more memory than their text. A list of more bytes than this is read with a limit on its length, or not at all.
	maxListBytes = 256 << 10
	maxChoices   = 16
	// All streams of a run together, in bytes. Where an eighth of the machine's memory is more, that is the limit.
	heldBytes = 128 << 20
	heldShare = 8
	// The headers of an answer, in bytes.
	maxHeaderBytes = 256 << 10
	// What is kept of an answer that is an error, in bytes.
	MaxErrorBody = 4 << 10
	// A list of models, in bytes. Gateways list some thousands of models, with about a kilobyte each.
	MaxModelsBytes = 8 << 20
	MaxSmallAnswer = 1 << 20
	// One reading of /metrics: its bytes, its series and the bytes of one line.
	MaxMetricsBytes = 12 << 20
	MaxSeries       = 150_000
	MaxMetricLine   = 16 << 10
	// The bytes of one token in an answer of /tokenize: an id of seven digits, a comma and a space take less.
	BytesPerTokenID = 16
)

// tooLong is the error for an answer that is longer than wb holds.
type tooLong struct{ limit int64 }

func (t tooLong) Error() string { return fmt.Sprintf("the answer is longer than %d bytes", t.limit) }

// readAtMost reads a whole answer. It fails with tooLong when the answer has more than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, tooLong{limit}
	}
	return text, nil
}

// held counts the bytes that the streams of all users of a run hold together.
type held struct {
	limit int64
	bytes atomic.Int64
}

func newHeld() *held {
	h := &held{limit: heldBytes}
	if m, err := mem.VirtualMemory(); err == nil && m.Total < 1<<60 {
		h.limit = max(h.limit, int64(m.Total)/heldShare)
	}
	return h
}

// take reserves n bytes, and says whether the sum is within the limit. They are reserved in both cases.
func (h *held) take(n int64) bool { return h.bytes.Add(n) <= h.limit }

// give releases n bytes.
func (h *held) give(n int64) { h.bytes.Add(-n) }
