package serve

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeVLLM behaves as vLLM does towards its surroundings: it writes a log, answers /health late, has a child process that outlives it, and
// fails on request.
func fakeVLLM(args []string) {
	a, log := fakeArgs(VLLM(), args[1:])
	get := func(n string) string { v, _ := a.Get(n); return v }
	self, err := os.Executable()
	if err != nil {
		os.Exit(2)
	}
	child := exec.Command(self, "sleep")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // out of its parent's group, as some workers are
	if err := child.Start(); err != nil {
		os.Exit(2)
	}
	if f := get("child-pid"); f != "" {
		_ = os.WriteFile(f, []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	}
	for line := range strings.SplitSeq(log, "\n") {
		fmt.Println(line)
		if strings.Contains(line, "Loading safetensors") {
			time.Sleep(300 * time.Millisecond)
		}
	}
	if v, ok := a.Get("fail"); ok {
		n, _ := strconv.Atoi(v)
		os.Exit(n)
	}
	if _, ok := a.Get("hang"); ok {
		time.Sleep(time.Minute)
	}
	if _, ok := a.Get("stubborn"); ok {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+get("port"))
	if err != nil {
		os.Exit(1)
	}
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/die" {
			fmt.Println("(APIServer pid=1) ERROR 11-25 13:00:00 [core_client.py:1] Engine core proc EngineCore died unexpectedly, shutting down " +
				"client.")
			os.Exit(0) // so does vLLM
		}
	}))
}

// fakeArgs reads the command line of an imitated program, and the log that --log names.
func fakeArgs(program *Program, words []string) (a Args, log string) {
	a, err := program.Flags(words)
	var text []byte
	if err == nil {
		name, _ := a.Get("log")
		text, err = os.ReadFile(filepath.Join("testdata", "logs", name))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return a, string(text)
}

func fakeOptions(t *testing.T, words ...string) *Options {
	t.Helper()
	dir := t.TempDir()
	usual := []string{"--log", "vllm-0.32-cpu-ready.log", "--child-pid", filepath.Join(dir, "child")}
	return fakeStart(t, VLLM(), dir, "some/model", append(usual, words...))
}

// fakeStart gives the options for a start of this test's program in place of another, at a free port and with a log below dir.
func fakeStart(t *testing.T, program *Program, dir, model string, words []string) *Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	o, err := NewOptions(&Install{Program: program, Command: []string{self}}, "single-user", model, os.Environ(), words)
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.LogPath, o.Timeout = port, filepath.Join(dir, "logs", "server.log"), 20*time.Second
	return o
}

func childOf(t *testing.T, o *Options) int {
	t.Helper()
	f, _ := o.Args.Get("child-pid")
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(f); err == nil && len(b) > 0 {
			pid, err := strconv.Atoi(string(b))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("no child")
	return 0
}

func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}
