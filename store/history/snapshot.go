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

// SnapshotServer lets this user read a file while a run has it open. It listens on a socket beside the file and answers with a snapshot.
// Snapshots are made between turns. While one is made, the next turn waits.
type SnapshotServer struct {
	file    *store.DB
	where   string // folder of the snapshots
	release func() error
	l       net.Listener
	now     func() time.Time
	done    sync.WaitGroup

	mu      sync.Mutex // locked while a snapshot is made, and while a turn begins or ends; guards the fields below
	playing bool
	turns   turns
	waiting []chan snapshot
	last    snapshot
	cost    time.Duration  // time that the last snapshot took
	readers map[string]int // path of a snapshot → how many readers have not opened it yet
	made    int
}

// turns is what a SnapshotServer knows about the turns.
type turns struct {
	ended int
	asked time.Time // when somebody asked last
	began time.Time // when the current turn began
}

// snapshot is the answer to a reader.
type snapshot struct {
	Path    string    `json:"snapshot"`
	TakenAt time.Time `json:"taken_at"`
	Turns   int       `json:"turns"` // turns that had ended since wb started
	Error   string    `json:"error,omitempty"`
}

// Serving holds the settings of a SnapshotServer. A run uses the zero value.
type Serving struct {
	Sockets Sockets
	Now     func() time.Time // nil: time.Now
}

// Serve starts a SnapshotServer. If no socket can be made, it returns nil, whose methods do nothing:
// then nobody can read the file, and the run goes on.
func Serve(ctx context.Context, file *store.DB, how Serving) *SnapshotServer {
	socket, err := how.Sockets.of(file.Path())
	if err != nil {
		return nil
	}
	abs, err := filepath.Abs(file.Path())
	if err != nil {
		return nil
	}
	if abandoned(ctx, socket) { // a killed run left it: this process has the file open now
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
	dir, release, err := store.MakeLocked(filepath.Dir(abs), snapshotsOf(abs)) // only this user can enter it
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

// Close stops the server. Readers that wait are told that the run has ended. Call it before the file is closed.
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
	case s.last.Path != "" && s.last.Turns == s.turns.ended: // the last snapshot has every turn that has ended
		s.readers[s.last.Path]++
		reply <- s.last
	default:
		s.waiting = append(s.waiting, reply)
	}
	s.mu.Unlock()
	given := <-reply
	_ = c.SetDeadline(time.Now().Add(readersHave))
	if err := json.NewEncoder(c).Encode(given); err == nil { // a reader that has left does not need the snapshot
		_, _ = c.Read(make([]byte, 1)) // the reader closes the connection when it has opened the snapshot
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

// After somebody has asked, the server makes a snapshot after each long turn for asksAgain.
// So the next request need not wait for the end of the current turn. A turn shorter than longTurn is worth the wait.
const (
	asksAgain = 30 * time.Second
	longTurn  = time.Second
)

// readersHave is how long a reader has to open its snapshot.
const readersHave = 5 * time.Second

// Turn is called when a turn begins, and with done when it has ended and is committed.
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

// take returns a snapshot for that many readers. It returns the last one again if no turn has ended since and it is less than a second old.
// It also does so if a new one now would take more than a tenth of the run's time. The caller holds mu.
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
