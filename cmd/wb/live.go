package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"wb/collect"
	"wb/store"
)

// window lets others look at a file that a run holds: it answers on a socket beside the file, for its owner only, with a snapshot. Snapshots are taken
// between turns; while one is taken, the next turn waits.
type window struct {
	file  *store.DB
	where string // of the snapshots
	l     net.Listener
	done  sync.WaitGroup

	mu      sync.Mutex // held while a snapshot is taken, and while a turn begins or ends
	playing bool
	turns   int
	waiting []chan glimpse
	last    glimpse
	n       int
}

// glimpse is what a run answers.
type glimpse struct {
	Snapshot string    `json:"snapshot"`
	TakenAt  time.Time `json:"taken_at"`
	Turns    int       `json:"turns"` // finished since wb began
	Error    string    `json:"error,omitempty"`
}

// socketOf is where the run that holds a file answers. The path of a socket may have about a hundred bytes only.
func socketOf(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	if s := abs + ".sock"; len(s) < 100 {
		return s
	}
	h := sha256.Sum256([]byte(abs))
	return filepath.Join(os.TempDir(), "wb-"+hex.EncodeToString(h[:8])+".sock")
}

// openWindow begins to answer. Where no socket can be made, nobody can look, and the run goes on.
func openWindow(ctx context.Context, file *store.DB) *window {
	socket := socketOf(file.Path())
	_ = os.Remove(socket) // of a run that was killed: this process holds the file now
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return nil
	}
	own := "." + filepath.Base(file.Path()) + "-snapshot-"
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file.Path()), own+"*")); err == nil {
		for _, d := range left { // of a run that was killed
			_ = os.RemoveAll(d)
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(file.Path()), own) // for its owner only
	if err != nil {
		l.Close()
		return nil
	}
	w := &window{file: file, where: dir, l: l}
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
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
	return errors.Join(err, os.RemoveAll(w.where))
}

func (w *window) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Hour))
	reply := make(chan glimpse, 1)
	w.mu.Lock()
	if w.playing {
		w.waiting = append(w.waiting, reply)
	} else {
		reply <- w.take(ctx)
	}
	w.mu.Unlock()
	_ = json.NewEncoder(c).Encode(<-reply) // who left has no use for it
}

// turn is told when a turn begins and when it has ended and is committed.
func (w *window) turn(ctx context.Context, t collect.TurnInfo) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.playing = !t.Done
	if !t.Done {
		return
	}
	w.turns++
	if len(w.waiting) == 0 {
		return
	}
	g := w.take(ctx)
	for _, c := range w.waiting {
		c <- g
	}
	w.waiting = nil
}

// take makes a snapshot, or gives the last one when nothing has ended since. The caller holds mu.
func (w *window) take(ctx context.Context) glimpse {
	if w.last.Snapshot != "" && w.last.Turns == w.turns && time.Since(w.last.TakenAt) < time.Second {
		return w.last
	}
	w.n++
	g := glimpse{Snapshot: filepath.Join(w.where, fmt.Sprintf("%d.duckdb", w.n)), TakenAt: time.Now(), Turns: w.turns}
	if err := w.file.Snapshot(ctx, g.Snapshot); err != nil {
		return glimpse{Error: err.Error()}
	}
	if w.n > 2 { // whoever was given the last one may be opening it
		_ = os.Remove(filepath.Join(w.where, fmt.Sprintf("%d.duckdb", w.n-2)))
	}
	w.last = g
	return g
}

// openRead opens a file for queries. One that a run holds is asked for a snapshot, and stderr says how old that is.
func openRead(ctx context.Context, path string, stderr io.Writer) (*store.DB, error) {
	db, err := store.OpenRead(ctx, path)
	if !errors.Is(err, store.ErrLocked) {
		return db, err
	}
	c, derr := (&net.Dialer{}).DialContext(ctx, "unix", socketOf(path))
	if derr != nil { // another program holds it
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	lines := make(chan glimpse, 1)
	go func() {
		var g glimpse
		if derr := json.NewDecoder(bufio.NewReader(c)).Decode(&g); derr != nil {
			g.Error = derr.Error()
		}
		lines <- g
	}()
	var g glimpse
	select {
	case g = <-lines:
	case <-time.After(time.Second):
		fmt.Fprintf(stderr, "%s is held by a run: waiting for the turn under way to end\n", path)
		g = <-lines
	}
	if ctx.Err() != nil {
		return nil, collect.ErrInterrupted
	}
	if g.Error != "" {
		return nil, fmt.Errorf("look at %s: the run that holds it: %s", path, g.Error)
	}
	if db, err = store.OpenRead(ctx, g.Snapshot); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s is held by a run: this is a snapshot of it, %.1f s old, with every turn that had ended", path, time.Since(g.TakenAt).Seconds())
	fmt.Fprintln(stderr, "note: "+text)
	return db, nil
}
