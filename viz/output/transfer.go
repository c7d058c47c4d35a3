package output

import (
	"fmt"
	"io"
	"sync"
	"time"

	"wb/data/plain"
)

// Transferred says how much of a transfer of files is done.
type Transferred struct {
	Files, FilesDone              int
	Bytes, BytesDone, BytesBefore int64 // BytesBefore were there before the transfer began
}

// Transfer shows the rate and the time left: one line that changes on a terminal, one line every ten seconds elsewhere.
type Transfer struct {
	*LiveLine
	mu    sync.Mutex
	last  time.Time
	marks []mark // of the last 15 s, so that the rate follows a download that becomes slower
}

type mark struct {
	at   time.Time
	done int64
}

// NewTransfer makes a Transfer that writes to w.
func NewTransfer(w io.Writer) *Transfer {
	return &Transfer{LiveLine: NewLiveLine(w), last: time.Now()}
}

// Report shows x, unless the last report is too recent.
func (p *Transfer) Report(x Transferred) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	every := 10 * time.Second
	if p.Live {
		every = 200 * time.Millisecond
	}
	if len(p.marks) == 0 {
		p.marks = []mark{{now, x.BytesDone}}
		if x.BytesBefore > 0 && x.BytesBefore < x.Bytes {
			p.Say(fmt.Sprintf("continuing: %s of %s are there", plain.Bytes(x.BytesBefore), plain.Bytes(x.Bytes)))
		}
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	p.marks = append(p.marks, mark{now, x.BytesDone})
	for len(p.marks) > 2 && now.Sub(p.marks[0].at) > 15*time.Second {
		p.marks = p.marks[1:]
	}
	if p.Live {
		p.Show(transferLine(x, p.marks))
	} else {
		p.Say(transferLine(x, p.marks))
	}
}

func transferLine(x Transferred, marks []mark) string {
	line := fmt.Sprintf("%s of %s, %d of %d files", plain.Bytes(x.BytesDone), plain.Bytes(x.Bytes), x.FilesDone, x.Files)
	first, last := marks[0], marks[len(marks)-1]
	if s := last.at.Sub(first.at).Seconds(); s > 0 && last.done > first.done {
		rate := float64(last.done-first.done) / s
		left := time.Duration(float64(x.Bytes-x.BytesDone) / rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %s/s, %v left", plain.Bytes(int64(rate)), left)
	}
	return line
}

// End removes the current line from the screen.
func (p *Transfer) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Clear()
}
