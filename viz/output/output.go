// Package output writes to standard output, terminals and files. It escapes what could drive a terminal, replaces a line of progress by the
// next one, and changes a file as a whole or not at all. It must not know what is written, nor how it was computed.
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

// Plain writes text for people. It escapes what could drive a terminal or reorder a line, wherever the text comes from. The control
// sequences of wb go to the writer below it.
type Plain struct {
	Below io.Writer
	mu    sync.Mutex
	rest  []byte // first bytes of a character that another write completes
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

// Data is standard output. It remembers the first write that failed, so that a full disk is always reported.
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

// Failed gives the error of the first write that failed, or nil.
func (d *Data) Failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// raw gives the writer below those that escape, for control sequences of wb.
func raw(w io.Writer) io.Writer {
	for {
		p, ok := w.(*Plain)
		if !ok {
			return w
		}
		w = p.Below
	}
}

// fileOf gives the file to which a writer writes in the end, or nil.
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

// IsTerminal says whether a writer writes to a terminal in the end.
func IsTerminal(w io.Writer) bool {
	f := fileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// Render writes a page to standard output or standard error. The format table escapes its cells and may be coloured. Other formats are
// escaped on a terminal, and are not changed elsewhere.
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

// LiveLine is a line that the next one replaces if w is a terminal. Several goroutines may use it.
type LiveLine struct {
	w       io.Writer
	Live    bool
	mu      sync.Mutex
	pending bool
}

// NewLiveLine makes a line on w.
func NewLiveLine(w io.Writer) *LiveLine { return &LiveLine{w: w, Live: IsTerminal(w)} }

// Clear removes the current line from the screen.
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

// Show replaces the current line by another, or begins one.
func (l *LiveLine) Show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	fmt.Fprint(raw(l.w), cut(viz.Printable(text), width(l.w)-1)) // only the last line of a longer one could be replaced
	l.pending = true
}

// width gives the width of a terminal in columns, or 0 where it is not known.
func width(w io.Writer) int {
	f, ok := raw(w).(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// cut shortens a line that would be wider than the terminal. With no columns, which means that the width is not known, it is the text.
func cut(text string, columns int) string {
	if columns < 1 {
		return text
	}
	return viz.Cut(text, columns)
}

// Say replaces the current line by one that stays.
func (l *LiveLine) Say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	fmt.Fprintln(l.w, strings.ReplaceAll(text, "\n", `\n`))
}

// WriteTo writes the output of render to a path. A regular file changes as a whole or not at all, and keeps its mode and owner. Links are
// followed. A device, a pipe or a socket is written to and not replaced. Errors name the path.
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
		if _, lerr := os.Lstat(path); lerr == nil { // a link to a file that does not exist yet
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

// writeInPlace writes into whatever is at a path, without replacing it.
func writeInPlace(path string, render func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(render(f), f.Close())
}

// writeAside writes a new file beside the one at path and renames it. st describes the file at path, nil if there is none. If a rename
// would lose links, the owner or the mode of that file, it is written in place.
func writeAside(path string, st fs.FileInfo, render func(io.Writer) error) (err error) {
	var f *os.File
	for range 100 {
		name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".wb-%08x", rand.Uint32())) //nolint:gosec // a name, not a secret
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		if st != nil { // the user may be allowed to write the file, but not into its folder
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
