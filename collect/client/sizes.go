package client

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/shirou/gopsutil/v4/mem"
)

// Limits on what a server may send. Whatever a server does, wb holds no more of it than this.
const (
	// maxEventBytes bounds one event of a stream: the longest real one, the first with the ids of a prompt of a million tokens, has about 8
	// MB.
	maxEventBytes = 16 << 20
	// maxStreamEvents and maxStreamBytes bound what is held of one stream until it ends: a reply of 128K tokens has that many events of
	// some 350 bytes.
	maxStreamEvents = 1 << 18
	maxStreamBytes  = 64 << 20
	// maxReplyText bounds the text of a reply, and maxReplyIDs the ids of its tokens: a reply of a million tokens has some 4 MB.
	maxReplyText = 12 << 20
	maxReplyIDs  = 2 << 20
	// maxName bounds what a server calls something: a model, a request, a reason to end.
	maxName = 512
	// Lists take much more memory than their text: one of more bytes than this is read with a limit on its length, or not at all.
	maxListBytes = 256 << 10
	maxChoices   = 16
	// What all streams of a run hold together is bounded by this, or by a share of the machine's memory where that is more.
	heldBytes = 128 << 20
	heldShare = 8
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 256 << 10
	MaxErrorBody   = 4 << 10
	// maxModelsBytes bounds a list of models: gateways list some thousands, with about a kilobyte each.
	MaxModelsBytes = 8 << 20
	MaxSmallAnswer = 1 << 20
	// maxMetricsBytes and maxSeries bound one reading of /metrics.
	MaxMetricsBytes = 12 << 20
	MaxSeries       = 150_000
	MaxMetricLine   = 16 << 10
	// A token takes at most so many bytes in an answer of /tokenize: an id of seven digits, a comma and a space.
	BytesPerTokenID = 16
)

// tooLong says that an answer is longer than wb holds.
type tooLong struct{ limit int64 }

func (t tooLong) Error() string { return fmt.Sprintf("the answer is longer than %d bytes", t.limit) }

// readAtMost reads an answer whole, or fails when it is longer than limit bytes.
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

// held counts what streams hold, those of all users of a run together.
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

// take reserves n bytes and says whether they may be held.
func (h *held) take(n int64) bool { return h.bytes.Add(n) <= h.limit }

func (h *held) give(n int64) { h.bytes.Add(-n) }
