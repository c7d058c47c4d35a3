package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"wb/collect/bench"
	"wb/data/plain"
)

const (
	// A query may take DuckDB's own gigabyte, and its answer as much again and more, since it is turned into rows and then into text.
	answerBytes = 4 << 30
	// DuckDB stops at once when it is interrupted; an answer with one huge value does not stop before the driver has read it.
	stopWithin = 3 * time.Second
)

// bounded watches over a query that may be a stranger's: wb ends when it takes too much memory, or does not stop within seconds of being told to. It reads only, so
// that nothing is lost; leave does what is left to do then.
func bounded(ctx context.Context, stderr io.Writer, leave func()) (stop func()) {
	over, cancel := context.WithCancel(context.WithoutCancel(ctx))
	self := process.Process{Pid: int32(os.Getpid())}
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		told := time.Time{}
		for {
			select {
			case <-over.Done():
				return
			case <-tick.C:
			}
			if m, err := self.MemoryInfo(); err == nil && m.RSS > answerBytes {
				fmt.Fprintf(stderr, "wb: query: it takes %s of memory, and may take 4\n"+
					"hint: select less, or write it to a file in the DuckDB shell\n", plain.BytesIn(int64(m.RSS), plain.GB, 1))
				leave()
				os.Exit(exitFailed)
			}
			switch {
			case ctx.Err() == nil:
			case told.IsZero():
				told = time.Now()
			case time.Since(told) > stopWithin:
				leave()
				os.Exit(report(stderr, stopped(ctx, "query")))
			}
		}
	}()
	return cancel
}

// tooLong is why the context of a query ended.
type tooLong struct{ limit time.Duration }

func (t tooLong) Error() string { return fmt.Sprintf("it takes longer than %v", t.limit) }
func (t tooLong) Hint() string  { return "--timeout gives it more time; 0 sets no limit" }

// stopped says why a query was stopped: its time was over, or Ctrl-C.
func stopped(ctx context.Context, what string) error {
	if long := (tooLong{}); errors.As(context.Cause(ctx), &long) {
		return fmt.Errorf("%s: %w", what, long)
	}
	return fmt.Errorf("%s: %w", what, bench.ErrInterrupted)
}
