//go:build duckdb_arrow

package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"wb/store"
)

// SnapshotServer lets others look at a file that a run holds: it answers on a socket beside the file, for its owner only, with a snapshot.
// Snapshots are taken between turns; while one is taken, the next turn waits.
type SnapshotServer struct {
	file    *store.DB
	where   string // of the snapshots
	release func() error
	l       net.Listener
	now     func() time.Time
	done    sync.WaitGroup

	mu      sync.Mutex // held while a snapshot is taken, and while a turn begins or ends; guards what is below
	playing bool
	turns   turns
	waiting []chan snapshot
	last    snapshot
	cost    time.Duration  // of the last one
	readers map[string]int // who still has a snapshot to open
	made    int
}

// turns is what a SnapshotServer knows of the turns.
type turns struct {
	ended int
	asked time.Time // when somebody asked last
	began time.Time // the turn under way
}

// snapshot is what a run answers.
type snapshot struct {
	Path    string    `json:"snapshot"`
	TakenAt time.Time `json:"taken_at"`
	Turns   int       `json:"turns"` // finished since wb began
	Error   string    `json:"error,omitempty"`
}

// Serving is how a SnapshotServer answers; the zero value is what a run wants.
type Serving struct {
	Sockets Sockets
	Now     func() time.Time // nil: the clock's
}

// Serve begins to answer. Where no socket can be made, nobody can look, and the run goes on: it gives nil, whose methods do nothing.
func Serve(ctx context.Context, file *store.DB, how Serving) *SnapshotServer {
	socket, err := how.Sockets.of(file.Path())
	if err != nil {
		return nil
	}
	abs, err := filepath.Abs(file.Path())
	if err != nil {
		return nil
	}
	if abandoned(ctx, socket) { // of a run that was killed: this process holds the file now
		_ = os.Remove(socket)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return nil
	}
	sweep(file.Path())
	dir, release, err := store.MakeLocked(filepath.Dir(abs), snapshotsOf(abs)) // for its owner only
	if err != nil {
		l.Close()
		return nil
	}
	s := &SnapshotServer{file: file, where: dir, release: release, l: l, now: how.Now, readers: map[string]int{}}
	if s.now == nil {
		s.now = time.Now
	}
	s.done.Go(func() { s.accept(ctx) })
	return s
}

func (s *SnapshotServer) accept(ctx context.Context) {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		if uid, err := peer(c); err != nil || (uid != os.Getuid() && uid != 0) {
			c.Close()
			continue
		}
		s.done.Go(func() { s.answer(ctx, c) })
	}
}

// Close ends it, before the file is closed. Who waits is told that the run has ended.
func (s *SnapshotServer) Close() error {
	if s == nil {
		return nil
	}
	err := s.l.Close()
	s.mu.Lock()
	for _, c := range s.waiting {
		c <- snapshot{Error: "the run has ended"}
	}
	s.waiting = nil
	s.mu.Unlock()
	s.done.Wait()
	return errors.Join(err, s.release())
}

func (s *SnapshotServer) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	reply := make(chan snapshot, 1)
	s.mu.Lock()
	s.turns.asked = s.now()
	switch {
	case !s.playing:
		reply <- s.take(ctx, 1)
	case s.last.Path != "" && s.last.Turns == s.turns.ended: // it has every finished turn
		s.readers[s.last.Path]++
		reply <- s.last
	default:
		s.waiting = append(s.waiting, reply)
	}
	s.mu.Unlock()
	given := <-reply
	_ = c.SetDeadline(time.Now().Add(readersHave))
	if err := json.NewEncoder(c).Encode(given); err == nil { // who left has no use for it
		_, _ = c.Read(make([]byte, 1)) // it hangs up when it has opened the snapshot
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers[given.Path]--; s.readers[given.Path] <= 0 {
		delete(s.readers, given.Path)
		if given.Path != s.last.Path {
			_ = os.Remove(given.Path)
		}
	}
}

// asksAgain is how long a run goes on making a snapshot after each long turn for somebody who has asked, so that the next question need not
// wait for the turn under way. Where turns are short, waiting is too.
const (
	asksAgain = 30 * time.Second
	longTurn  = time.Second
)

// readersHave is how long whoever was given a snapshot has to open it.
const readersHave = 5 * time.Second

// Turn is told when a turn begins, and with done when it has ended and is committed.
func (s *SnapshotServer) Turn(ctx context.Context, done bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing = !done
	if !done {
		s.turns.began = s.now()
		return
	}
	s.turns.ended++
	if len(s.waiting) == 0 && (s.now().Sub(s.turns.asked) > asksAgain || s.now().Sub(s.turns.began) < longTurn) {
		return
	}
	taken := s.take(ctx, len(s.waiting))
	for _, c := range s.waiting {
		c <- taken
	}
	s.waiting = nil
}

// take makes a snapshot for so many readers, or gives the last one: when nothing has ended since, and when another at once would cost the
// run more than a tenth of its time. The caller holds mu.
func (s *SnapshotServer) take(ctx context.Context, readers int) snapshot {
	age := s.now().Sub(s.last.TakenAt)
	if s.last.Path != "" && ((s.last.Turns == s.turns.ended && age < time.Second) || age < 9*s.cost) {
		s.readers[s.last.Path] += readers
		return s.last
	}
	s.made++
	made := snapshot{Path: filepath.Join(s.where, fmt.Sprintf("%d.duckdb", s.made)), TakenAt: s.now(), Turns: s.turns.ended}
	if err := s.file.Snapshot(ctx, made.Path); err != nil {
		return snapshot{Error: err.Error()}
	}
	s.cost = s.now().Sub(made.TakenAt)
	if old := s.last.Path; old != "" && s.readers[old] == 0 {
		_ = os.Remove(old)
	}
	s.last = made
	s.readers[made.Path] += readers
	return made
}
