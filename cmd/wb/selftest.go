package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"wb/collect"
	"wb/collect/sim"
	"wb/data"
	"wb/queries"
	"wb/queries/table"
	"wb/store"
)

// level is one load of a self-test.
type level struct {
	streams int
	pace    float64 // tokens a second of each
	turns   int     // of each stream
	faults  []string
	loop    bool // all streams begin at once, and end together; beside them a bare client is measured
}

// Lengths of a reply.
const (
	selftestTokens = 50
	loopTokens     = 100
)

func (l level) tokens() int {
	if l.loop {
		return loopTokens
	}
	return selftestTokens
}

// turn is how long a turn takes by the server's pace.
func (l level) turn() time.Duration {
	return sim.PacedFrontend + time.Duration(float64(l.tokens())/l.pace*float64(time.Second))
}

// levels are those of the command: more streams, then faster ones, then closed loops, then a stall that must be found.
func levels() []level {
	paced := func(streams int, pace float64, turns int) level {
		return level{streams: streams, pace: pace, turns: turns}
	}
	loop := func(streams int, pace float64, turns int) level {
		return level{streams: streams, pace: pace, turns: turns, loop: true}
	}
	return []level{paced(1, 100, 12), paced(8, 100, 13), paced(32, 100, 6), paced(64, 100, 5), paced(128, 100, 4), paced(256, 100, 4),
		paced(64, 200, 8), paced(64, 500, 12), paced(64, 1000, 16),
		loop(64, 100, 5), loop(256, 100, 5), loop(64, 500, 12),
		{streams: 1, pace: 100, turns: 4, faults: []string{"stall@3:20:500ms"}}}
}

func (l level) name() string {
	switch {
	case l.faults != nil:
		return "stall"
	case l.loop:
		return fmt.Sprintf("loop-%dx%g", l.streams, l.pace)
	}
	return fmt.Sprintf("%dx%g", l.streams, l.pace)
}

func newSelftest(stdout, stderr io.Writer) *cobra.Command {
	var q queryOptions
	var streams []int
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Hold wb's own clock against a server that knows the truth",
		Long: `Start a simulator in a process of its own that keeps a rate and writes down when it really sent each token; play streams against it, everything
recorded; and print how far the recorded figures are from the truth. The runs stay in the file, and wb run warns when it carries more tokens a second than what
held within 1 %. It takes a minute and a half, and the machine should do nothing else.`,
		Example: `  wb selftest
  wb selftest --streams 8,64 --format md`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.chooseFormat(cmd); err != nil {
				return err
			}
			all := levels()
			if cmd.Flags().Changed("streams") {
				all = slices.DeleteFunc(all, func(l level) bool {
					return l.pace != 100 || l.faults != nil || l.loop || !slices.Contains(streams, l.streams)
				})
				for _, n := range streams {
					if n < 1 || n > collect.MaxUsers {
						return usagef("flag --streams: wants 1 to %d, not %d", collect.MaxUsers, n)
					}
					if !slices.ContainsFunc(all, func(l level) bool { return l.streams == n }) {
						all = append(all, level{streams: n, pace: 100, turns: 5})
					}
				}
			}
			if len(all) == 0 {
				return usagef("flag --streams: names no number")
			}
			return selftest(cmd.Context(), &q, all, stdout, stderr)
		},
	}
	dbFlag(cmd, &q.db)
	cmd.Flags().IntSliceVar(&streams, "streams", nil, "numbers of `streams` to try, at 100 tokens a second each (default: 1 to 256, faster ones, and a stall)")
	q.outputFlags(cmd)
	return cmd
}

func selftest(ctx context.Context, q *queryOptions, all []level, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "wb-selftest-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var runs []string
	stall := ""
	for i, l := range all {
		fmt.Fprintf(stderr, "%d of %d: %s\n", i+1, len(all), describe(l))
		id, err := l.alone(ctx, q.db, dir)
		if err != nil {
			return interrupted(ctx, err)
		}
		runs = append(runs, id.String())
		if l.faults != nil {
			stall = id.String()
		}
	}
	db, err := store.Open(ctx, q.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	find, err := queries.Builtin("fidelity")
	if err != nil {
		return err
	}
	t, err := find.Run(ctx, db, queries.Options{Runs: strings.Join(runs, ",")})
	if err != nil {
		return err
	}
	holds := holdsTo(t)
	whole := stall != "" && holds > 0 // a few levels, or a busy machine, say nothing about the most that holds
	if !whole {
		return errors.Join(q.write(stdout, stderr, t), tellHolds(stderr, holds), tellLoops(stderr, t))
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	last := uuid.MustParse(runs[len(runs)-1])
	err = errors.Join(store.Add(ctx, rec, store.Setting{RunID: last, Source: "selftest", Name: "holds_to_tokens_per_s", Value: strconv.FormatFloat(holds, 'f', -1, 64)}), rec.Flush(ctx), rec.Close())
	if err != nil {
		return err
	}
	if err := q.write(stdout, stderr, t); err != nil {
		return err
	}
	return errors.Join(tellHolds(stderr, holds), tellLoops(stderr, t), tellStall(ctx, db, stall, stderr))
}

// loopMargin is how much less than a bare client wb may keep in a closed loop.
const loopMargin = 0.01

// tellLoops says what closed loops kept, beside a bare client.
func tellLoops(stderr io.Writer, t *table.Table) error {
	var errs []error
	for _, row := range t.Rows {
		kept, ok := row[t.ColumnIndex("kept_ratio")].(float64)
		bare, known := row[t.ColumnIndex("bare_kept_ratio")].(float64)
		if !ok || !known {
			continue
		}
		verdict := "as much as a bare client"
		if bare-kept > loopMargin {
			verdict = "less than a bare client"
		}
		_, err := fmt.Fprintf(stderr, "%v streams of %v tokens/s in a closed loop keep %.1f %% of their tokens, %s (%.1f %%)\n",
			row[t.ColumnIndex("streams")], row[t.ColumnIndex("pace_tokens_per_s")], 100*kept, verdict, 100*bare)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func tellHolds(stderr io.Writer, holds float64) error {
	if holds > 0 {
		_, err := fmt.Fprintf(stderr, "mean TTFT and ITL, and the load, hold within 1 %% up to %.0f tokens/s on this machine; the table has their p50 and p99\n", holds)
		return err
	}
	_, err := fmt.Fprintln(stderr, "mean TTFT and ITL hold within 1 % at no load that was tried: is the machine busy?")
	return err
}

func describe(l level) string {
	if l.faults != nil {
		return "a stall of 500 ms"
	}
	if l.loop {
		return fmt.Sprintf("%d streams of %g tokens/s that end together, and a bare client beside them", l.streams, l.pace)
	}
	if l.streams == 1 {
		return fmt.Sprintf("1 stream of %g tokens/s", l.pace)
	}
	return fmt.Sprintf("%d streams of %g tokens/s", l.streams, l.pace)
}

// tellStall says whether the planted stall was found where it is.
func tellStall(ctx context.Context, db *store.DB, run string, stderr io.Writer) error {
	find, err := queries.Builtin("stalls")
	if err != nil {
		return err
	}
	t, err := find.Run(ctx, db, queries.Options{Runs: run})
	if err != nil {
		return err
	}
	for _, row := range t.Rows {
		if gap, ok := row[t.ColumnIndex("gap_ms")].(float64); ok && gap >= 500 {
			fmt.Fprintf(stderr, "the planted stall of 500 ms was found: %.1f ms in turn %v (wb query stalls)\n", gap, row[t.ColumnIndex("turn")])
			return nil
		}
	}
	return errors.New("test wb itself: the planted stall of 500 ms was not found")
}

// holdsTo is the load, tokens a second, up to which mean TTFT, mean ITL and the load itself hold within 1 %: of all that were tried, from the least on.
func holdsTo(t *table.Table) float64 {
	type tried struct {
		load float64
		held bool
	}
	var all []tried
	for _, row := range t.Rows {
		get := func(name string) float64 {
			switch v := row[t.ColumnIndex(name)].(type) {
			case float64:
				return v
			case int64:
				return float64(v)
			}
			return math.NaN()
		}
		name := strings.TrimPrefix(fmt.Sprint(row[t.ColumnIndex("run")]), "selftest/")
		if !strings.HasPrefix(name, "stall") && !strings.HasPrefix(name, "loop-") {
			all = append(all, tried{get("streams") * get("pace_tokens_per_s"), math.Abs(get("ttft_error_mean_ratio")) <= 0.01 && math.Abs(get("itl_error_mean_ratio")) <= 0.01 && get("load_kept_ratio") >= 0.99})
		}
	}
	slices.SortStableFunc(all, func(a, b tried) int { return cmp.Compare(a.load, b.load) })
	holds := 0.0
	for _, x := range all {
		if !x.held {
			break
		}
		holds = x.load
	}
	return holds
}

var simulatorURL = regexp.MustCompile(`^simulator at (\S+) `)

// alone plays a level with the file open for it alone, and gives memory back: one level is not to be measured with what others left.
func (l level) alone(ctx context.Context, path, dir string) (id uuid.UUID, err error) {
	db, err := store.Open(ctx, path)
	if err != nil {
		return id, err
	}
	id, err = l.play(ctx, db, dir)
	err = errors.Join(err, db.Close())
	debug.FreeOSMemory()
	return id, err
}

// play runs one level against a truth server of its own and records what both sides saw.
func (l level) play(ctx context.Context, db *store.DB, dir string) (id uuid.UUID, err error) {
	file := filepath.Join(dir, "truth-"+l.name())
	exe, err := os.Executable()
	if err != nil {
		return id, fmt.Errorf("find wb itself: %w", err)
	}
	words := []string{"sim", "--port", "0", "--pace", strconv.FormatFloat(l.pace, 'f', -1, 64), "--jitter", "-1", "--truth", file}
	for _, f := range l.faults {
		words = append(words, "--fault", f)
	}
	server := exec.CommandContext(ctx, exe, words...)
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 10 * time.Second
	said, err := server.StderrPipe()
	if err != nil {
		return id, fmt.Errorf("start truth server: %w", err)
	}
	if err := server.Start(); err != nil {
		return id, fmt.Errorf("start truth server: %w", err)
	}
	lines := bufio.NewScanner(said)
	url := ""
	if lines.Scan() {
		if m := simulatorURL.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	ended := false
	end := func() error {
		if ended {
			return nil
		}
		ended = true
		_ = server.Process.Signal(os.Interrupt)
		for lines.Scan() { // nobody reads more of it
		}
		return server.Wait()
	}
	defer func() { err = errors.Join(err, end()) }()
	if url == "" {
		return id, fmt.Errorf("start truth server: it said %q", lines.Text())
	}
	start := time.Now()
	client, err := collect.NewClient(url, "", func() int64 { return int64(time.Since(start)) })
	if err != nil {
		return id, err
	}
	engine, err := client.Probe(ctx, "", nil)
	if err != nil {
		return id, err
	}
	conversation := &data.Conversation{ID: "selftest", Title: "Self-test", System: "Count."}
	for i := range l.turns {
		conversation.Turns = append(conversation.Turns, data.Turn{User: fmt.Sprintf("Part %d.", i+1)})
	}
	ramp := time.Second
	bare := closedLoop{}
	if l.loop {
		ramp = 0
		if bare, err = l.bareLoop(ctx, url, engine.Model); err != nil {
			return id, err
		}
	}
	plan := collect.Plan{Name: "selftest/" + l.name(), Tags: map[string]string{"selftest": l.name()},
		Conversations: []*data.Conversation{conversation},
		Repeat:        1, Users: l.streams, Ramp: ramp, Warmup: 1, MaxTokens: l.tokens(), IgnoreEOS: true, Timeout: time.Minute,
		Isolation: collect.IsolationSalt, SampleHz: 20, Start: start,
		WbVersion: version, WbCommit: commit(), DuckV: store.DuckDBVersion(), Argv: quoteArgs(os.Args)}
	res, err := collect.Run(ctx, db, client, engine, plan, collect.Watch{})
	if err != nil {
		return id, err
	}
	if res.Failed > 0 {
		return id, fmt.Errorf("test wb itself: %d of %d turns failed: %s", res.Failed, res.Turns, res.FirstError)
	}
	if err := end(); err != nil { // the truth is whole when its writer has ended
		return id, fmt.Errorf("end truth server: %w", err)
	}
	return res.RunID, l.record(ctx, db, res.RunID, file, start, bare)
}

// record puts the truth beside what was measured.
func (l level) record(ctx context.Context, db *store.DB, run uuid.UUID, file string, start time.Time, bare closedLoop) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read truth: %w", err)
	}
	defer f.Close()
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	found := map[string]string{"pace_tokens_per_s": number(l.pace), "turn_ms": number(l.turn().Seconds() * 1e3), "truth_clock": "run"}
	if l.loop {
		found["bare_kept_ratio"] = strconv.FormatFloat(bare.ratio(), 'f', 5, 64)
	}
	for name, value := range found {
		err = errors.Join(err, store.Add(ctx, rec, store.Setting{RunID: run, Source: "selftest", Name: name, Value: value}))
	}
	dec := json.NewDecoder(bufio.NewReader(f))
	for err == nil {
		var x truthLine
		if derr := dec.Decode(&x); errors.Is(derr, io.EOF) {
			break
		} else if derr != nil {
			err = fmt.Errorf("read truth: %w", derr)
			break
		}
		zero := x.BeganNs - start.UnixNano() // both processes' clocks are this machine's
		rows := []store.Truth{{RunID: run, RequestID: x.ID, TNs: zero + x.ReceivedNs}}
		for i, at := range x.SentNs {
			rows = append(rows, store.Truth{RunID: run, RequestID: x.ID, Seq: int32(i + 1), TNs: zero + at, Tokens: int32(x.Tokens[i])})
		}
		err = store.Add(ctx, rec, rows...)
	}
	return errors.Join(err, rec.Flush(ctx), rec.Close())
}
