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
	// A query may take the gigabyte that DuckDB may use. Its answer takes as much again and more, as it becomes rows and then text.
	answerBytes = 4 << 30
	// DuckDB stops at once when it is interrupted, but an answer with one huge value stops only after the driver has read it.
	stopWithin = 3 * time.Second
	// lookEvery is how often the memory of a query is checked.
	lookEvery = 200 * time.Millisecond
)

// LimitMemory watches a query, which somebody else may have written. It calls end, which must end the program, in two cases: with the
// reason when the query takes too much memory, and with nil when it does not stop within seconds after ctx has ended. Nothing is lost, as
// queries only read.
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
				end(plain.WithHint(fmt.Errorf("query: it takes %s of memory, and 4 are allowed", plain.BytesIn(int64(m.RSS), plain.GB, 1)),
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

// TooLong is the cause of the end of a query's context when its time was over.
type TooLong struct{ Limit time.Duration }

func (t TooLong) Error() string { return fmt.Sprintf("it takes longer than %v", t.Limit) }

// Hint says what to do.
func (t TooLong) Hint() string { return "--timeout gives it more time; 0 sets no limit" }
