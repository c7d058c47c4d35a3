package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// GuardCommand is the hidden command under which wb runs itself as a guard: main hands its arguments to Guard.
const GuardCommand = "__guard"

// How long a server may take to end by itself: told by wb, and when wb is gone.
const (
	stopGrace   = 10 * time.Second
	orphanGrace = 3 * time.Second
	childGrace  = 2 * time.Second // for what it started, once it is gone itself
)

const prSetChildSubreaper = 36 // prctl(2)

// Guard starts a command in a process group of its own and ends it, with everything it started, when told to or when the
// process that holds the other end of standard input is gone, however that ended. The command's output goes to file
// descriptor 3. What happens is told on standard output, a line each: "pid N", "exit CODE", "signal N", "error TEXT", "gone".
//
// It exists because vLLM's processes outlive their parent: an API server that is killed leaves its engine core and workers
// behind, with the GPU's memory. As their subreaper the guard inherits such orphans and can find them.
func Guard(command []string) int {
	runtime.LockOSThread() // PDEATHSIG is tied to the thread that forks
	say := func(format string, a ...any) { fmt.Fprintf(os.Stdout, format+"\n", a...) }
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); e != 0 {
		say("error become subreaper: %v", e)
		return 1
	}
	if len(command) == 0 {
		say("error no command")
		return 1
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		say("error %v", err)
		return 1
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		say("error %v", err)
		return 1
	}
	log := os.NewFile(3, "log")
	p, err := os.StartProcess(path, command, &os.ProcAttr{Files: []*os.File{null, log, log},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}})
	if err != nil {
		say("error %v", err)
		return 1
	}
	say("pid %d", p.Pid)

	ended := make(chan struct{}) // the command itself is gone
	gone := make(chan struct{})  // and so is everything it started
	go func() {
		main := true
		for {
			var ws syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &ws, 0, nil)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if err != nil { // ECHILD
				close(gone)
				return
			}
			if pid == p.Pid && main {
				main = false
				if ws.Signaled() {
					say("signal %d", ws.Signal())
				} else {
					say("exit %d", ws.ExitStatus())
				}
				close(ended)
			}
		}
	}()
	told := make(chan time.Duration, 2)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		if in.Scan() && in.Text() == "stop" {
			told <- stopGrace
			if in.Scan() { // a second word: at once
				told <- 0
			}
		}
		told <- orphanGrace // the other end is closed
	}()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)

	var grace time.Duration
	select {
	case <-ended:
	case grace = <-told:
		_ = syscall.Kill(p.Pid, syscall.SIGTERM)
	case <-terminated:
		grace = orphanGrace
		_ = syscall.Kill(p.Pid, syscall.SIGTERM)
	}
	deadline := time.After(grace)
	alone := ended
wait:
	for grace > 0 {
		select {
		case <-gone:
			break wait
		case <-alone:
			alone, deadline = nil, time.After(min(grace, childGrace))
		case <-deadline:
			break wait
		case less := <-told:
			if less < grace {
				deadline = time.After(less)
			}
			grace = less
		}
	}
	for kill := time.NewTicker(50 * time.Millisecond); ; {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
		for _, pid := range descendants(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-gone:
			kill.Stop()
			say("gone")
			return 0
		case <-kill.C:
		}
	}
}

// descendants lists the processes below one, from /proc.
func descendants(of int) []int {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", p.Name(), "stat"))
		if err != nil {
			continue
		}
		// pid (comm) state ppid …; comm may hold anything, so read from its last parenthesis
		text := string(b)
		i := strings.LastIndexByte(text, ')')
		if i < 0 {
			continue
		}
		fields := strings.Fields(text[i+1:])
		if len(fields) < 2 {
			continue
		}
		if ppid, err := strconv.Atoi(fields[1]); err == nil {
			children[ppid] = append(children[ppid], pid)
		}
	}
	var out []int
	for todo := []int{of}; len(todo) > 0; todo = todo[1:] {
		out = append(out, children[todo[0]]...)
		todo = append(todo, children[todo[0]]...)
	}
	return out
}

// guarded is a command under a guard.
type guarded struct {
	pid     int
	guard   *exec.Cmd
	control io.WriteCloser
	ended   chan struct{} // the command itself is gone
	gone    chan struct{} // everything is gone

	mu   sync.Mutex
	exit string // "exit 1", "signal 9"; "" while it runs
}

// spawn starts a command under a guard.
func spawn(command, env []string, log *os.File) (*guarded, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find wb's own executable: %w", err)
	}
	cmd := &exec.Cmd{Path: self, Args: append([]string{os.Args[0], GuardCommand}, command...), Env: env, ExtraFiles: []*os.File{log},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}} // out of reach of the terminal's Ctrl-C
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &guarded{guard: cmd, control: in, ended: make(chan struct{}), gone: make(chan struct{})}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("the guard process ended at once"), cmd.Wait())
	}
	if _, err := fmt.Sscanf(lines.Text(), "pid %d", &p.pid); err != nil {
		_ = cmd.Wait() // it ends with status 1 after its line
		return nil, errors.New(strings.TrimPrefix(lines.Text(), "error "))
	}
	go func() {
		for lines.Scan() {
			if t := lines.Text(); t != "gone" {
				p.mu.Lock()
				p.exit = t
				p.mu.Unlock()
				close(p.ended)
			}
		}
		_ = cmd.Wait() // how a guard ends does not matter, only that it did
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		p.mu.Lock()
		if p.exit == "" { // the guard itself was killed
			p.exit = "signal 9"
			close(p.ended)
		}
		p.mu.Unlock()
		close(p.gone)
	}()
	return p, nil
}

// stop ends everything and waits for it; hurry leaves out the time to end by itself.
func (p *guarded) stop(hurry bool) {
	word := "stop\n"
	if hurry {
		word += "now\n"
	}
	_, _ = io.WriteString(p.control, word) // a guard that is gone already needs no telling
	<-p.gone
	_ = p.control.Close()
}

// exitText says how the command ended, "" while it runs.
func (p *guarded) exitText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}
