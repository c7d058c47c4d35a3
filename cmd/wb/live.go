package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"wb/collect/bench"
	"wb/store"
)

// window lets others look at a file that a run holds: it answers on a socket beside the file, for its owner only, with a snapshot.
// Snapshots are taken between turns; while one is taken, the next turn waits.
type window struct {
	file    *store.DB
	where   string // of the snapshots
	release func() error
	l       net.Listener
	done    sync.WaitGroup

	mu      sync.Mutex // held while a snapshot is taken, and while a turn begins or ends
	playing bool
	turns   int
	asked   time.Time // when somebody asked last
	began   time.Time // the turn under way
	waiting []chan glimpse
	last    glimpse
	cost    time.Duration  // of the last one
	readers map[string]int // who still has a snapshot to open
	n       int
}

// glimpse is what a run answers.
type glimpse struct {
	Snapshot string    `json:"snapshot"`
	TakenAt  time.Time `json:"taken_at"`
	Turns    int       `json:"turns"` // finished since wb began
	Error    string    `json:"error,omitempty"`
}

// socketOf is where the run that holds a file answers: beside the file, or, since the path of a socket may have about a hundred bytes only,
// in a folder that only this user can enter.
func socketOf(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if s := abs + ".sock"; len(s) < 100 {
		return s, nil
	}
	dir, err := runtimeDir()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256([]byte(abs))
	return filepath.Join(dir, hex.EncodeToString(h[:8])+".sock"), nil
}

// runtimeDir is a folder for sockets, this user's alone; it is made when it is not there. One that somebody else made, or may enter, is
// refused.
func runtimeDir() (string, error) {
	base := os.Getenv("XDG_RUNTIME_DIR")
	dir := filepath.Join(base, "wb")
	if base == "" || len(dir) > 70 {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("wb-%d", os.Getuid()))
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make directory %s: %w", dir, plainPathError(err))
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, plainPathError(err))
	}
	if !st.IsDir() || !store.IsOwn(st) || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("use %s: it is not a folder that only you can enter", dir)
	}
	return dir, nil
}

func snapshotsOf(path string) string { return "." + filepath.Base(path) + "-snapshot-" }

// sweep removes what a killed run left beside a file.
func sweep(path string) { store.SweepOwned(filepath.Dir(path), snapshotsOf(path)) }

// openWindow begins to answer. Where no socket can be made, nobody can look, and the run goes on.
func openWindow(ctx context.Context, file *store.DB) *window {
	socket, err := socketOf(file.Path())
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
	abs, err := filepath.Abs(file.Path())
	if err != nil {
		l.Close()
		return nil
	}
	dir, release, err := store.MakeOwned(filepath.Dir(abs), snapshotsOf(abs)) // for its owner only
	if err != nil {
		l.Close()
		return nil
	}
	w := &window{file: file, where: dir, release: release, l: l, readers: map[string]int{}}
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if uid, err := peer(c); err != nil || (uid != os.Getuid() && uid != 0) {
				c.Close()
				continue
			}
			w.done.Go(func() { w.answer(ctx, c) })
		}
	})
	return w
}

// close ends it before the file is closed; nil does nothing.
func (w *window) close() error {
	if w == nil {
		return nil
	}
	err := w.l.Close()
	w.mu.Lock()
	for _, c := range w.waiting {
		c <- glimpse{Error: "the run has ended"}
	}
	w.waiting = nil
	w.mu.Unlock()
	w.done.Wait()
	return errors.Join(err, w.release())
}

func (w *window) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	reply := make(chan glimpse, 1)
	w.mu.Lock()
	w.asked = time.Now()
	switch {
	case !w.playing:
		reply <- w.take(ctx, 1)
	case w.last.Snapshot != "" && w.last.Turns == w.turns: // it has every finished turn
		w.readers[w.last.Snapshot]++
		reply <- w.last
	default:
		w.waiting = append(w.waiting, reply)
	}
	w.mu.Unlock()
	g := <-reply
	_ = c.SetDeadline(time.Now().Add(readersHave))
	if err := json.NewEncoder(c).Encode(g); err == nil { // who left has no use for it
		_, _ = c.Read(make([]byte, 1)) // it hangs up when it has opened the snapshot
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readers[g.Snapshot]--; w.readers[g.Snapshot] <= 0 {
		delete(w.readers, g.Snapshot)
		if g.Snapshot != w.last.Snapshot {
			_ = os.Remove(g.Snapshot)
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

// turn is told when a turn begins and when it has ended and is committed.
func (w *window) turn(ctx context.Context, t bench.TurnInfo) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.playing = !t.Done
	if !t.Done {
		w.began = time.Now()
		return
	}
	w.turns++
	if len(w.waiting) == 0 && (time.Since(w.asked) > asksAgain || time.Since(w.began) < longTurn) {
		return
	}
	g := w.take(ctx, len(w.waiting))
	for _, c := range w.waiting {
		c <- g
	}
	w.waiting = nil
}

// take makes a snapshot for so many readers, or gives the last one: when nothing has ended since, and when another at once would cost the
// run more than a tenth of its time. The caller holds mu.
func (w *window) take(ctx context.Context, readers int) glimpse {
	if age := time.Since(w.last.TakenAt); w.last.Snapshot != "" && ((w.last.Turns == w.turns && age < time.Second) || age < 9*w.cost) {
		w.readers[w.last.Snapshot] += readers
		return w.last
	}
	w.n++
	g := glimpse{Snapshot: filepath.Join(w.where, fmt.Sprintf("%d.duckdb", w.n)), TakenAt: time.Now(), Turns: w.turns}
	if err := w.file.Snapshot(ctx, g.Snapshot); err != nil {
		return glimpse{Error: err.Error()}
	}
	w.cost = time.Since(g.TakenAt)
	if old := w.last.Snapshot; old != "" && w.readers[old] == 0 {
		_ = os.Remove(old)
	}
	w.last = g
	w.readers[g.Snapshot] += readers
	return g
}

// openRead opens a file for queries. One that a run holds is asked for a snapshot, and stderr says how old that is. A run that ends
// meanwhile leaves the file to be opened as it is.
func openRead(ctx context.Context, path string, stderr io.Writer) (*store.DB, error) {
	var db *store.DB
	release, err := reading(ctx, path, stderr, func(p string) (err error) {
		db, err = store.OpenRead(ctx, p)
		return err
	})
	release() // the snapshot is open
	return db, err
}

// reading calls open with the path of a file, or with that of a snapshot of it where a run holds the file. The snapshot stays until release
// is called.
func reading(ctx context.Context, path string, stderr io.Writer, open func(path string) error) (release func(), err error) {
	nothing := func() {}
	for try := 0; ; try++ {
		err := open(path)
		if err == nil {
			if socket, serr := socketOf(path); serr == nil && abandoned(ctx, socket) { // of a run that was killed
				_ = os.Remove(socket)
				sweep(path)
			}
			return nothing, nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return nothing, err
		}
		snapshot, release, lookErr := look(ctx, path, stderr)
		switch {
		case lookErr == nil:
			if err := open(snapshot); err != nil {
				release()
				return nothing, err
			}
			return release, nil
		case ctx.Err() != nil:
			return nothing, bench.ErrInterrupted
		case try == 10 && errors.Is(lookErr, errNobody): // another program holds it
			return nothing, err
		case try == 10:
			return nothing, lookErr
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// abandoned says whether there is a socket of this user at a path that nobody listens on any more.
func abandoned(ctx context.Context, socket string) bool {
	if !isOwnSocket(socket) {
		return false
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// errNobody is returned when no run answers for a file.
var errNobody = errors.New("nobody answers")

// look asks the run that holds a file for a snapshot; release says that it is no longer needed.
func look(ctx context.Context, path string, stderr io.Writer) (snapshot string, release func(), err error) {
	socket, err := socketOf(path)
	if err != nil {
		return "", nil, errors.Join(errNobody, err)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", nil, errors.Join(errNobody, err)
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := trusted(c, path); err != nil {
		return "", nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	answer := make(chan glimpse, 1)
	go func() {
		var g glimpse
		if err := json.NewDecoder(io.LimitReader(c, 64<<10)).Decode(&g); err != nil {
			g.Error = err.Error()
		}
		answer <- g
	}()
	var g glimpse
	select {
	case g = <-answer:
	case <-time.After(time.Second):
		fmt.Fprintf(stderr, "%s is held by a run: waiting for the turn under way to end\n", path)
		g = <-answer
	}
	if g.Error != "" {
		return "", nil, fmt.Errorf("look at %s: the run that holds it: %s", path, g.Error)
	}
	if !isSnapshotOf(path, g.Snapshot) {
		return "", nil, fmt.Errorf("look at %s: the run that holds it names %s, which is no snapshot of it", path, g.Snapshot)
	}
	fmt.Fprintf(stderr, "note: %s is held by a run: this is a snapshot of it, %.1f s old\n", path, time.Since(g.TakenAt).Seconds())
	return g.Snapshot, func() { stop(); c.Close() }, nil // hanging up tells the run
}

// trusted refuses whoever answers for a file and is neither its owner nor this user nor root.
func trusted(c net.Conn, path string) error {
	uid, err := peer(c)
	if err != nil {
		return fmt.Errorf("look at %s: who answers cannot be told: %w", path, err)
	}
	st, err := os.Stat(path)
	if err == nil && ownedBy(st, uid) || uid == os.Getuid() || uid == 0 {
		return nil
	}
	return fmt.Errorf("look at %s: user %d answers for it, and is not its owner", path, uid)
}

// isSnapshotOf says whether a path is where a run that holds a file puts its snapshots.
func isSnapshotOf(path, snapshot string) bool {
	dir := filepath.Dir(snapshot)
	if !filepath.IsAbs(snapshot) || !strings.HasPrefix(filepath.Base(dir), snapshotsOf(path)) {
		return false
	}
	return sameFile(filepath.Dir(dir), filepath.Dir(path))
}
