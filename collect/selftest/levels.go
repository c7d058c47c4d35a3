// Package selftest plays streams against a simulator that writes down when it really sent each token. It records what the simulator wrote
// together with what wb measured. It must not know how the two are compared: reports do that.
package selftest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

	"wb/collect/bench"
	"wb/collect/sim"
	"wb/store"
)

// Level is one load of a self-test.
type Level struct {
	Streams int
	Pace    float64  // tokens per second of each stream
	Turns   int      // of each stream
	Faults  []string // of the simulator, as wb sim --fault takes them
	Loop    bool     // all streams begin at once and end together, and a bare client is measured too
}

// Lengths of a reply, in tokens.
const (
	selftestTokens = 50
	loopTokens     = 100
)

func (l Level) tokens() int {
	if l.Loop {
		return loopTokens
	}
	return selftestTokens
}

// turn is how long a turn takes at the server's pace.
func (l Level) turn() time.Duration {
	return sim.PacedFrontend + time.Duration(float64(l.tokens())/l.Pace*float64(time.Second))
}

// Levels lists the levels of wb selftest: more and more streams, then faster ones, then closed loops, then a stall that wb must find.
func Levels() []Level {
	paced := func(streams int, pace float64, turns int) Level {
		return Level{Streams: streams, Pace: pace, Turns: turns}
	}
	loop := func(streams int, pace float64, turns int) Level {
		return Level{Streams: streams, Pace: pace, Turns: turns, Loop: true}
	}
	return []Level{paced(1, 100, 12), paced(8, 100, 13), paced(32, 100, 6), paced(64, 100, 5), paced(128, 100, 4), paced(256, 100, 4),
		paced(64, 200, 8), paced(64, 500, 12), paced(64, 1000, 16),
		loop(64, 100, 5), loop(256, 100, 5), loop(64, 500, 12),
		{Streams: 1, Pace: 100, Turns: 4, Faults: []string{"stall@3:20:500ms"}}}
}

// Name names the level in a few characters.
func (l Level) Name() string {
	switch {
	case l.Faults != nil:
		return "stall"
	case l.Loop:
		return fmt.Sprintf("loop-%dx%g", l.Streams, l.Pace)
	}
	return fmt.Sprintf("%dx%g", l.Streams, l.Pace)
}

// String describes the level for people.
func (l Level) String() string {
	if l.Faults != nil {
		return "a stall of 500 ms"
	}
	if l.Loop {
		return fmt.Sprintf("%d streams of %g tokens/s that end together, and the same with a bare client", l.Streams, l.Pace)
	}
	if l.Streams == 1 {
		return fmt.Sprintf("1 stream of %g tokens/s", l.Pace)
	}
	return fmt.Sprintf("%d streams of %g tokens/s", l.Streams, l.Pace)
}

// run plays a level. It opens the file only for this level and frees memory afterwards, so that one level does not affect the next.
func (l Level) run(ctx context.Context, path, dir string, build bench.Build) (id uuid.UUID, err error) {
	db, err := store.Open(ctx, path)
	if err != nil {
		return id, err
	}
	id, err = l.play(ctx, db, dir, build)
	err = errors.Join(err, db.Close())
	debug.FreeOSMemory()
	return id, err
}

// record records what the simulator wrote down in a file. start is the zero of the run's clock, and bare what a bare client measured.
func (l Level) record(ctx context.Context, db *store.DB, run uuid.UUID, file string, start time.Time, bare closedLoop) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read served log: %w", err)
	}
	defer f.Close()
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	found := map[string]string{"pace_tokens_per_s": number(l.Pace), "turn_ms": number(l.turn().Seconds() * 1e3), "truth_clock": "run"}
	if l.Loop {
		found["bare_kept_ratio"] = strconv.FormatFloat(bare.ratio(), 'f', 5, 64)
	}
	for name, value := range found {
		err = errors.Join(err, store.Add(ctx, rec, store.Setting{RunID: run, Source: "selftest", Name: name, Value: value}))
	}
	dec := json.NewDecoder(bufio.NewReader(f))
	for err == nil {
		var x sim.ServedLine
		if derr := dec.Decode(&x); errors.Is(derr, io.EOF) {
			break
		} else if derr != nil {
			err = fmt.Errorf("read served log: %w", derr)
			break
		}
		zero := x.BeganNs - start.UnixNano() // both processes use the clock of this machine
		rows := []store.Served{{RunID: run, RequestID: x.ID, TNs: zero + x.ReceivedNs}}
		for i, at := range x.SentNs {
			rows = append(rows, store.Served{RunID: run, RequestID: x.ID, Seq: int32(i + 1), TNs: zero + at, Tokens: int32(x.Tokens[i])})
		}
		err = store.Add(ctx, rec, rows...)
	}
	return errors.Join(err, rec.Flush(ctx), rec.Close())
}
