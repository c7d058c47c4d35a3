package selftest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"

	"wb/collect/bench"
	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/target"
	"wb/data"
	"wb/store"
)

var simulatorURL = regexp.MustCompile(`^simulator at (\S+) `)

// referenceServer is a simulator in a separate process, which writes down when it sent each token.
type referenceServer struct {
	url   string
	cmd   *exec.Cmd
	lines *bufio.Scanner // of its standard error
	ended bool
}

// startReference starts the reference server of a level, which is wb sim. The server writes into file when it sent each token.
func (l Level) startReference(ctx context.Context, file string) (*referenceServer, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find wb itself: %w", err)
	}
	words := []string{"sim", "--port", "0", "--pace", strconv.FormatFloat(l.Pace, 'f', -1, 64), "--jitter", "-1", "--served-log", file}
	for _, f := range l.Faults {
		words = append(words, "--fault", f)
	}
	cmd := exec.CommandContext(ctx, exe, words...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start reference server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start reference server: %w", err)
	}
	s := &referenceServer{cmd: cmd, lines: bufio.NewScanner(said)}
	if s.lines.Scan() {
		if m := simulatorURL.FindStringSubmatch(s.lines.Text()); m != nil {
			s.url = m[1]
			return s, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("start reference server: it said %q", s.lines.Text()), s.end())
}

// end ends the server and waits until its file is complete. A second call does nothing.
func (s *referenceServer) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	_ = s.cmd.Process.Signal(os.Interrupt)
	for s.lines.Scan() { // drop the rest, so that the server can write and end
	}
	return s.cmd.Wait()
}

// play starts a reference server for a level, plays the level against it, and records what both sides saw.
func (l Level) play(ctx context.Context, db *store.DB, dir string, build bench.Build) (id uuid.UUID, err error) {
	file := filepath.Join(dir, "served-"+l.Name())
	server, err := l.startReference(ctx, file)
	if err != nil {
		return id, err
	}
	defer func() { err = errors.Join(err, server.end()) }()
	start := time.Now()
	at := &target.Target{}
	if at.Client, err = client.New(server.url, "", func() int64 { return int64(time.Since(start)) }); err != nil {
		return id, err
	}
	if at.Server, err = engine.Probe(ctx, at.Client, "", nil); err != nil {
		return id, err
	}
	bare := closedLoop{}
	if l.Loop {
		if bare, err = l.bareLoop(ctx, server.url, at.Server.Model); err != nil {
			return id, err
		}
	}
	res, err := bench.Run(ctx, db, at, l.job(start, build), bench.Watch{})
	if err != nil {
		return id, err
	}
	if res.Failed > 0 {
		return id, fmt.Errorf("test wb itself: %d of %d turns failed: %s", res.Failed, res.Turns, res.FirstError)
	}
	if err := server.end(); err != nil { // the server's file is complete only when the server has ended
		return id, fmt.Errorf("end reference server: %w", err)
	}
	return res.RunID, l.record(ctx, db, res.RunID, file, start, bare)
}

// job makes the job that wb plays for a level.
func (l Level) job(start time.Time, build bench.Build) bench.Job {
	conversation := &data.Conversation{ID: "selftest", Title: "Self-test", System: "Count."}
	for i := range l.Turns {
		conversation.Turns = append(conversation.Turns, data.Turn{User: fmt.Sprintf("Part %d.", i+1)})
	}
	ramp := time.Second
	if l.Loop {
		ramp = 0
	}
	return bench.Job{
		RunSpec: bench.RunSpec{
			Name: "selftest/" + l.Name(), Tags: []string{"selftest=" + l.Name()},
			Load:      bench.Load{Users: l.Streams, Ramp: ramp, Warmup: 1, Isolation: bench.IsolationSalt, Timeout: time.Minute},
			Prompting: bench.Prompting{MaxTokens: l.tokens(), IgnoreEOS: true},
			Recording: bench.Recording{SampleHz: 20},
		},
		Repeats: 1, Conversations: []*data.Conversation{conversation}, Start: start, Build: build,
	}
}
