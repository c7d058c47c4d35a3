package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wbCommand prepares wb as a separate process. Its standard output and standard error go to the buffer.
func wbCommand(t testing.TB, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	path, err := exec.LookPath("wb") // testscript puts the test binary on the PATH under this name
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

func wb(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd, out := wbCommand(t, dir, args...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("wb %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out.String()
}

func exitCode(t testing.TB, err error) int {
	t.Helper()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e == nil {
		return 0
	}
	return e.ExitCode()
}

func oneCell(t testing.TB, dir, q string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(wb(t, dir, "query", "-c", q, "--format", "csv")), "\n")
	return strings.TrimSuffix(lines[len(lines)-1], ",true") // the column that marks simulated runs
}

func startRun(t *testing.T, dir string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	cmd, _ := wbCommand(t, dir, append([]string{"run"}, args...)...)
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

// patience is how long a test waits for something that a busy machine does late.
const patience = 2 * time.Minute

// waitTurns waits until a running wb has printed n finished turns.
func waitTurns(t *testing.T, stderr *os.File, n int) {
	t.Helper()
	waitSaid(t, stderr, "TTFT", n)
}

// waitSaid waits until a text is n times in a run's stderr.
func waitSaid(t *testing.T, stderr *os.File, text string, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), text) >= n {
			return
		}
	}
	t.Fatalf("wb never said %q %d times", text, n)
}

// waitFile waits until a file exists.
func waitFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s was never created", path)
}

func waitText(t *testing.T, file, text string, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never said %q:\n%s", text, b)
		}
	}
}

// freePort gives a port on which no process listens. It is below the ports that the kernel gives to outgoing connections.
func freePort() string {
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
}

// marked sets a mark in the environment of a command, by which family finds every process that the command starts.
func marked(t *testing.T, cmd *exec.Cmd, env ...string) (mark string) {
	t.Helper()
	mark = fmt.Sprintf("WB_TEST_MARK=%d-%s", os.Getpid(), filepath.Base(t.TempDir())+t.Name())
	cmd.Env = append(append(os.Environ(), mark, "XDG_CACHE_HOME="+t.TempDir()), env...)
	return mark
}

// family lists the living processes with a mark, and their descendants, as names by pid. Descendants count, too, because vLLM's engine core
// writes its title over its environment.
func family(t *testing.T, mark string) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	names, parents, out := map[int]string{}, map[int]int{}, map[int]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		// pid (name) state ppid …
		from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
		rest := strings.Fields(string(b[to+1:]))
		pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:from])))
		ppid, err2 := strconv.Atoi(rest[1])
		if err1 != nil || err2 != nil || rest[0] == "Z" {
			continue
		}
		names[pid], parents[pid] = string(b[from+1:to]), ppid
		if env, err := os.ReadFile(filepath.Join(filepath.Dir(f), "environ")); err == nil && bytes.Contains(env, []byte(mark)) {
			out[pid] = names[pid]
		}
	}
	for more := true; more; {
		more = false
		for pid, ppid := range parents {
			if _, in := out[pid]; !in && out[ppid] != "" {
				out[pid], more = names[pid], true
			}
		}
	}
	return out
}

// noneLeft waits until no process with the mark is alive, and none of those that were known before.
func noneLeft(t *testing.T, mark string, limit time.Duration, known ...map[int]string) {
	t.Helper()
	began := time.Now()
	left := func() map[int]string {
		out := family(t, mark)
		for _, k := range known {
			for pid, name := range k {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(b)) == name {
					out[pid] = name
				}
			}
		}
		return out
	}
	for len(left()) > 0 {
		if time.Since(began) > limit {
			t.Fatalf("after %v these are left: %v", limit, left())
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("nothing is left after %v", time.Since(began))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
