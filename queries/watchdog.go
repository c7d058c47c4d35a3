package queries

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"wb/data/plain"
)

const (
	// A query may take DuckDB's own gigabyte, and its answer as much again and more, since it is turned into rows and then into text.
	answerBytes = 4 << 30
	// DuckDB stops at once when it is interrupted; an answer with one huge value does not stop before the driver has read it.
	stopWithin = 3 * time.Second
	// lookEvery is how often a query is looked at.
	lookEvery = 200 * time.Millisecond
)

// LimitMemory watches over a query that may be a stranger's. It calls end, which must end the program, when the query takes too much memory,
// with why, or when it does not stop within seconds of being told to, with nil. The query reads only, so that nothing is lost.
func LimitMemory(ctx context.Context, end func(why error)) (stop func()) {
	over, cancel := context.WithCancel(context.WithoutCancel(ctx))
	self := process.Process{Pid: int32(os.Getpid())}
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		told := time.Time{}
		for {
			select {
			case <-over.Done():
				return
			case <-tick.C:
			}
			if m, err := self.MemoryInfo(); err == nil && m.RSS > answerBytes {
				end(plain.WithHint(fmt.Errorf("query: it takes %s of memory, and may take 4", plain.BytesIn(int64(m.RSS), plain.GB, 1)),
					"select less, or write it to a file in the DuckDB shell"))
			}
			switch {
			case ctx.Err() == nil:
			case told.IsZero():
				told = time.Now()
			case time.Since(told) > stopWithin:
				end(nil)
			}
		}
	}()
	return cancel
}

// TooLong is why the context of a query ended whose time was over.
type TooLong struct{ Limit time.Duration }

func (t TooLong) Error() string { return fmt.Sprintf("it takes longer than %v", t.Limit) }

// Hint says what to do.
func (t TooLong) Hint() string { return "--timeout gives it more time; 0 sets no limit" }
