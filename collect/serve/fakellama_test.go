package serve

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeLlama behaves as llama-server does towards its surroundings: it writes a log, answers 503 while it loads, and ends on request.
func fakeLlama(args []string) {
	a, log := fakeArgs(LlamaServer(), args)
	get := func(n string) string { v, _ := a.Get(n); return v }
	fmt.Print(log)
	if code, err := strconv.Atoi(get("fail")); err == nil {
		os.Exit(code)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+get("port"))
	if err != nil {
		os.Exit(1)
	}
	ready := time.Now().Add(300 * time.Millisecond)
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case time.Now().Before(ready):
			http.Error(w, `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`, http.StatusServiceUnavailable)
		}
	}))
}

func fakeLlamaOptions(t *testing.T, words ...string) *Options {
	t.Helper()
	o := fakeStart(t, LlamaServer(), t.TempDir(), "/models/m.gguf", append([]string{"--log", "llamacpp-b10434-cpu-ready.log"}, words...))
	o.ServedName = "m"
	return o
}

// A server that answers 503 is not ready. One that is killed says so, although its log names an error.
func TestLlamaStartsAndDies(t *testing.T) {
	needLinux(t)
	o := fakeLlamaOptions(t)
	began := time.Now()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Facts().Report
	if d := time.Since(began); d < 300*time.Millisecond || r.KVCacheTokens == nil || *r.KVCacheTokens != 2048 ||
		*r.KVCacheBytes != 45<<20 || r.WeightsS == nil {
		t.Errorf("ready after %v, %+v", d, r)
	}
	if resp, err := http.Get(s.URL() + "/die"); err == nil {
		resp.Body.Close()
	}
	if err := s.Err(t.Context()); err == nil || err.Error() != "keep llama-server running: it was killed (signal 9)" {
		t.Errorf("%v", err)
	}
	s.Stop(t.Context())
}

func TestLlamaFails(t *testing.T) {
	needLinux(t)
	o := fakeLlamaOptions(t, "--log", "llamacpp-b10434-cpu-unknown_architecture.log", "--fail", "1")
	_, err := Start(t.Context(), o)
	if err == nil || err.Error() != "start llama-server: this llama-server does not know the architecture lxama" {
		t.Errorf("%v", err)
	}
	o = fakeLlamaOptions(t, "--log", "llamacpp-b10434-cpu-ready.log", "--fail", "7")
	if _, err = Start(t.Context(), o); err == nil || err.Error() != "start llama-server: it ended with status 7" {
		t.Errorf("%v", err)
	}
}

// llamaScript writes an executable that answers as llama-server does when it is asked about itself.
func llamaScript(t *testing.T, path, version, help, devices string) {
	t.Helper()
	text := fmt.Sprintf("#!/bin/sh\ncase $1 in\n--version) echo '%s' >&2 ;;\n--help) echo '%s' ;;\n--list-devices) printf '%s\\n' ;;\nesac\n",
		version, help, strings.ReplaceAll(devices, "\n", `\n`))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
