// Package output writes to standard output, terminals and files: whatever could drive a terminal is escaped, a line under way is replaced
// by the next, and a file changes as a whole or not at all.
package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/term"

	"wb/data/plain"
	"wb/viz"
)

// Plain writes text for people: whatever could drive a terminal or turn its lines around is escaped, wherever the text came from.
// What wb itself says to a terminal goes to the writer below.
type Plain struct {
	Below io.Writer
	mu    sync.Mutex
	rest  []byte // of a character that another write ends
}

func (p *Plain) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, rest := viz.Whole(append(p.rest, b...))
	p.rest = rest
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for k := range parts {
			parts[k] = viz.Printable(parts[k])
		}
		lines[i] = strings.Join(parts, "\t")
	}
	if _, err := io.WriteString(p.Below, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Data is standard output: it remembers the first write that failed, so that a full disk is told of whatever was being written.
type Data struct {
	Below io.Writer
	mu    sync.Mutex
	err   error
}

func (d *Data) Write(b []byte) (int, error) {
	n, err := d.Below.Write(b)
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			d.err = err
		}
	}
	return n, err
}

// Failed gives the first write that failed; nil for none.
func (d *Data) Failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// raw gives the writer below those that escape: for what wb itself says to a terminal.
func raw(w io.Writer) io.Writer {
	for {
		p, ok := w.(*Plain)
		if !ok {
			return w
		}
		w = p.Below
	}
}

// fileOf gives the file that a writer ends in; nil when it is none.
func fileOf(w io.Writer) *os.File {
	for {
		switch x := w.(type) {
		case *Plain:
			w = x.Below
		case *Data:
			w = x.Below
		case *os.File:
			return x
		default:
			return nil
		}
	}
}

// IsTerminal says whether a writer ends in a terminal.
func IsTerminal(w io.Writer) bool {
	f := fileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// Render writes a page to standard output or error. Tables escape their cells themselves and may be coloured; other formats go to a
// terminal escaped, and to anything else as they are.
func Render(w io.Writer, format string, page viz.Page) error {
	o := viz.Options{}
	if IsTerminal(w) {
		o.Color = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(fileOf(w).Fd())); err == nil {
			o.Width = width
		}
	}
	if format == "table" {
		w = raw(w)
	}
	return viz.Render(w, format, page, o)
}

// LiveLine is a line that is replaced by the next one where w is a terminal. It may be used by several goroutines.
type LiveLine struct {
	w       io.Writer
	Live    bool
	mu      sync.Mutex
	pending bool
}

// NewLiveLine gives a line on w.
func NewLiveLine(w io.Writer) *LiveLine { return &LiveLine{w: w, Live: IsTerminal(w)} }

// Clear takes the line under way off the screen.
func (l *LiveLine) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
}

func (l *LiveLine) wipe() {
	if l.pending {
		fmt.Fprint(raw(l.w), "\r\x1b[K")
		l.pending = false
	}
}

// Show replaces the line under way by another, or begins one.
func (l *LiveLine) Show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	fmt.Fprint(raw(l.w), viz.Printable(text))
	l.pending = true
}

// Say ends the line under way with one that stays.
func (l *LiveLine) Say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	fmt.Fprintln(l.w, strings.ReplaceAll(text, "\n", `\n`))
}

// WriteTo writes to a path what render gives. A regular file changes as a whole or not at all, keeps its mode and owner, and is found
// through links; a device, a pipe or a socket is written to and stays what it is.
func WriteTo(path string, render func(io.Writer) error) error {
	told := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("write %s: %w", path, plain.PathCause(err))
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, lerr := os.Lstat(path); lerr == nil { // a link to what is not there yet
			return told(writeInPlace(path, render))
		}
		return told(writeAside(path, nil, render))
	case err != nil:
		return told(err)
	case st.IsDir():
		return told(errors.New("it is a directory"))
	case !st.Mode().IsRegular():
		return told(writeInPlace(path, render))
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return told(err)
	}
	return told(writeAside(target, st, render))
}

// writeInPlace writes through whatever is at a path.
func writeInPlace(path string, render func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(render(f), f.Close())
}

// writeAside writes a file beside the one at path and renames it; st is what is there, nil for nothing. Where that would not leave the file
// as it was, it is written in place.
func writeAside(path string, st fs.FileInfo, render func(io.Writer) error) (err error) {
	var f *os.File
	for range 100 {
		name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".wb-%08x", rand.Uint32())) //nolint:gosec // a name, not a secret
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		if st != nil { // the folder may be another's, and the file this user's to write
			return writeInPlace(path, render)
		}
		return err
	}
	if st != nil {
		if links(st) > 1 || keepOwner(f, st) != nil || f.Chmod(st.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)) != nil {
			if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
				return err
			}
			return writeInPlace(path, render)
		}
	}
	if err := errors.Join(render(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// WritePage renders into a file.
func WritePage(path, format string, page viz.Page) error {
	return WriteTo(path, func(w io.Writer) error { return viz.Render(w, format, page, viz.Options{}) })
}
