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
	var a Args
	if err := a.Merge(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	get := func(n string) string { v, _ := a.Get(n); return v }
	log, err := os.ReadFile(filepath.Join("testdata", "logs", get("log")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
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
	for line := range strings.SplitSeq(string(log), "\n") {
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

func fakeOptions(t *testing.T, words ...string) *Options {
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
	dir := t.TempDir()
	o, err := NewOptions(&Install{Program: VLLM(), Command: []string{self}}, "single-user", "some/model", os.Environ(),
		append([]string{"--log", "vllm-0.32-cpu-ready.log", "--child-pid", filepath.Join(dir, "child")}, words...))
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.LogPath, o.Timeout = port, filepath.Join(dir, "logs", "vllm.log"), 20*time.Second
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
