//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wb/queries"
)

func TestPlainWriter(t *testing.T) {
	for _, c := range []struct {
		name, want string
		writes     []string
	}{
		{"words", "ok: caf\u00e9 \U0001f600\tx\n", []string{"ok: caf\u00e9 \U0001f600\tx\n"}},
		{"colours and titles", `\x1b[31mred\x1b]0;title\a` + "\n", []string{"\x1b[31mred\x1b]0;title\a\n"}},
		{"one-byte controls", `a\u009b31mb` + "\n", []string{"a\u009b31mb\n"}},
		{"turned around", `name \u202egnp.exe` + "\n", []string{"name \u202egnp.exe\n"}},
		{"isolates", `\u2066a\u2069` + "\n", []string{"\u2066a\u2069\n"}},
		{"carriage return and backspace", `wrote x\rfailed\b` + "\n", []string{"wrote x\rfailed\b\n"}},
		{"a character in two writes", "caf\u00e9\n", []string{"caf\xc3", "\xa9\n"}},
		{"an escape in two writes", `a\x1b[31mb`, []string{"a\x1b", "[31mb"}},
		{"no UTF-8", `a\xffb` + "\n", []string{"a\xffb\n"}},
	} {
		var b bytes.Buffer
		w := &plainWriter{below: &b}
		for _, s := range c.writes {
			if n, err := io.WriteString(w, s); err != nil || n != len(s) {
				t.Fatalf("%s: wrote %d, %v", c.name, n, err)
			}
		}
		if b.String() != c.want {
			t.Errorf("%s: got %q, want %q", c.name, b.String(), c.want)
		}
	}
}

// text writes one.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// What is at a path stays what it is: only a regular file is replaced, and that keeps its mode, its other names and the links to it.
func TestWriteTo(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	holds := func(path, want string) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; want %q", path, b, err, want)
		}
	}
	mode := func(path string) os.FileMode {
		t.Helper()
		st, err := os.Lstat(path)
		must(err)
		return st.Mode()
	}

	must(writeTo("new.csv", text("a")))
	holds("new.csv", "a")

	must(os.WriteFile("old.csv", []byte("long before"), 0o640))
	must(os.Chmod("old.csv", 0o640))
	must(writeTo("old.csv", text("b")))
	holds("old.csv", "b")
	if m := mode("old.csv"); m != 0o640 {
		t.Errorf("mode is %v", m)
	}
	if err := writeTo("old.csv", func(w io.Writer) error { return errors.Join(text("half")(w), errors.New("no more")) }); err == nil {
		t.Error("a failed write passes")
	}
	holds("old.csv", "b")

	must(os.Symlink("old.csv", "link.csv"))
	must(writeTo("link.csv", text("c")))
	holds("old.csv", "c")
	must(os.Symlink("absent.csv", "dangling.csv"))
	must(writeTo("dangling.csv", text("d")))
	holds("absent.csv", "d")
	if mode("link.csv")&os.ModeSymlink == 0 || mode("dangling.csv")&os.ModeSymlink == 0 {
		t.Error("a link was replaced")
	}

	must(os.Link("old.csv", "twin.csv"))
	must(writeTo("old.csv", text("e")))
	holds("twin.csv", "e")

	must(os.Mkdir("dir", 0o755))
	if err := writeTo("dir", text("h")); err == nil || err.Error() != "write dir: it is a directory" {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(".wb-*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// A pipe and a device are written into, not replaced.
func TestWriteToPipes(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	must(syscall.Mkfifo("pipe", 0o600))
	read := make(chan string)
	go func() {
		b, err := os.ReadFile("pipe")
		read <- fmt.Sprint(string(b), err)
	}()
	must(writeTo("pipe", text("f")))
	if got := <-read; got != "f<nil>" {
		t.Errorf("the pipe gave %s", got)
	}
	if st, err := os.Lstat("pipe"); err != nil || st.Mode().Type() != os.ModeNamedPipe {
		t.Error("the pipe was replaced")
	}

	if err := syscall.Mknod("null", syscall.S_IFCHR|0o666, 1<<8|3); err == nil { // as root only
		must(writeTo("null", text("g")))
		if st, err := os.Lstat("null"); err != nil || st.Mode()&os.ModeCharDevice == 0 {
			t.Error("the device was replaced")
		}
	}
}

func TestRuntimeDir(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	dir, err := runtimeDir()
	if len(base) > 60 {
		t.Skip("the folder for tests has a long name")
	}
	if err != nil || dir != filepath.Join(base, "wb") {
		t.Fatalf("got %s, %v", dir, err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if again, err := runtimeDir(); err != nil || again != dir {
		t.Errorf("got %s, %v", again, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := runtimeDir(); err == nil || !strings.Contains(err.Error(), "not a folder that only you can enter") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(os.Remove(dir), os.Symlink(t.TempDir(), dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := runtimeDir(); err == nil {
		t.Error("a link passes")
	}
}

func TestPeer(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, end := range []net.Conn{c, s} {
		if uid, err := peer(end); err != nil || uid != os.Getuid() {
			t.Errorf("peer %d, %v", uid, err)
		}
	}
}

// A socket that somebody listens on is somebody's, whatever its name is.
func TestSocketsInUseStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if abandoned(t.Context(), path) {
		t.Error("one in use counts as abandoned")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !abandoned(t.Context(), path) {
		t.Error("one that nobody listens on does not")
	}
}

// Files of a report are named as the run, unless another run could have the same ones.
func TestFileName(t *testing.T) {
	const id = "0a1b2c3d-1111-4000-8000-000000000001"
	for name, want := range map[string]string{
		"base": "base", "a b": "a-b-0a1b2c3d", "a/b": "a-b-0a1b2c3d", "on 0a1b2c3d": "on-0a1b2c3d", "x_system": "x_system-0a1b2c3d",
		"日本": "0a1b2c3d", "..": "0a1b2c3d", strings.Repeat("x", 300): strings.Repeat("x", 80) + "-0a1b2c3d",
	} {
		if got := fileName(queries.RunRef{ID: id, Name: name}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Nothing but wb's own files is swept: not what another program put there under a name of the same kind.
func TestSweepersTakeTheirOwn(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "br[1].duckdb")
	other := filepath.Join(dir, ".br1.duckdb-snapshot-123")
	named := filepath.Join(dir, ".br[1].duckdb-snapshot-456") // without wb's mark
	file := filepath.Join(dir, ".br[1].duckdb-snapshot-789")
	if err := errors.Join(os.Mkdir(other, 0o755), os.Mkdir(named, 0o755), os.WriteFile(file, nil, 0o600), os.WriteFile(db+".sock", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	sweep(db)
	for _, p := range []string{other, named, file} {
		if _, err := os.Lstat(p); err != nil {
			t.Error(err)
		}
	}
	if isOwnSocket(db + ".sock") {
		t.Error("a file counts as a socket")
	}
}
