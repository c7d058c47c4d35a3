//go:build linux

package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
		w := &Plain{Below: &b}
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

// text gives a function that writes s.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// Only a regular file is replaced. It keeps its mode, its other names and the links to it.
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

	must(WriteTo("new.csv", text("a")))
	holds("new.csv", "a")

	must(os.WriteFile("old.csv", []byte("long before"), 0o640))
	must(os.Chmod("old.csv", 0o640))
	must(WriteTo("old.csv", text("b")))
	holds("old.csv", "b")
	if m := mode("old.csv"); m != 0o640 {
		t.Errorf("mode is %v", m)
	}
	if err := WriteTo("old.csv", func(w io.Writer) error { return errors.Join(text("half")(w), errors.New("no more")) }); err == nil {
		t.Error("a failed write passes")
	}
	holds("old.csv", "b")

	must(os.Symlink("old.csv", "link.csv"))
	must(WriteTo("link.csv", text("c")))
	holds("old.csv", "c")
	must(os.Symlink("absent.csv", "dangling.csv"))
	must(WriteTo("dangling.csv", text("d")))
	holds("absent.csv", "d")
	if mode("link.csv")&os.ModeSymlink == 0 || mode("dangling.csv")&os.ModeSymlink == 0 {
		t.Error("a link was replaced")
	}

	must(os.Link("old.csv", "twin.csv"))
	must(WriteTo("old.csv", text("e")))
	holds("twin.csv", "e")

	must(os.Mkdir("dir", 0o755))
	if err := WriteTo("dir", text("h")); err == nil || err.Error() != "write dir: it is a directory" {
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
	must(WriteTo("pipe", text("f")))
	if got := <-read; got != "f<nil>" {
		t.Errorf("the pipe gave %s", got)
	}
	if st, err := os.Lstat("pipe"); err != nil || st.Mode().Type() != os.ModeNamedPipe {
		t.Error("the pipe was replaced")
	}

	if err := syscall.Mknod("null", syscall.S_IFCHR|0o666, 1<<8|3); err == nil { // only root may do this
		must(WriteTo("null", text("g")))
		if st, err := os.Lstat("null"); err != nil || st.Mode()&os.ModeCharDevice == 0 {
			t.Error("the device was replaced")
		}
	}
}

// A line of progress that is wider than the terminal could not be replaced.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"turn 1", 80, "turn 1"}, {"turn 1", 6, "turn 1"}, {"turn 12", 6, "turn …"}, {"caf\u00e9s!!", 6, "caf\u00e9s…"},
		{"好好好", 5, "好好…"}, {"turn 1", 0, "turn 1"}, {"turn 1", -1, "turn 1"}, {"turn 1", 1, "…"},
	} {
		if got := cut(c.text, c.columns); got != c.want {
			t.Errorf("%q in %d columns: %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}
