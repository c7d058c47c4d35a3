package serve

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// When the process that started the guard is killed, the guard ends the server. When the guard is killed, the server dies with it.
func TestNothingOutlivesItsParent(t *testing.T) {
	needLinux(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("parent", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		f := filepath.Join(t.TempDir(), "child")
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		guard := &exec.Cmd{Path: self, Args: []string{self, GuardCommand, self, "serve", "m", "--log", "vllm-0.32-cpu-ready.log", "--hang",
			"--child-pid", f}, ExtraFiles: []*os.File{log}, Stdin: r}
		out, err := guard.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.Start(); err != nil {
			t.Fatal(err)
		}
		o := &Options{}
		o.Args.Set("child-pid", f)
		child := childOf(t, o)
		began := time.Now()
		w.Close() // as the kernel does when the parent is killed
		said, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.Wait(); err != nil || alive(child) || time.Since(began) > 8*time.Second || !strings.HasSuffix(string(said), "gone\n") {
			t.Errorf("%v, child alive %v, after %v, said %q", err, alive(child), time.Since(began), said)
		}
	})
	t.Run("guard", func(t *testing.T) {
		o := fakeOptions(t)
		s, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.proc.guard.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-s.Ended()
		for deadline := time.Now().Add(3 * time.Second); alive(s.Facts().PID) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		}
		if alive(s.Facts().PID) {
			t.Error("the server lives on without its guard")
		}
		_ = syscall.Kill(childOf(t, o), syscall.SIGKILL) // no guard is left that could end it
		s.Stop(t.Context())
	})
}
