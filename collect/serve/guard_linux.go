package serve

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// GuardCommand is the hidden command under which wb runs itself as a guard. main gives its arguments to Guard.
const GuardCommand = "__guard"

// How long a server may take to end by itself.
const (
	stopGrace   = 10 * time.Second // after wb told it to end
	orphanGrace = 3 * time.Second  // after wb is gone
	childGrace  = 2 * time.Second  // for the processes that it started, after it ended itself
)

const prSetChildSubreaper = 36 // prctl(2)

// Guard starts a command in a new process group. It ends the command, with every process that the command started, when it is told to, and
// also when the process that holds the other end of standard input is gone, in whatever way that process ended. The command's output goes
// to file descriptor 3. Guard reports on standard output, one line per event: "pid N", "exit CODE", "signal N", "error TEXT", "gone". It
// gives the exit status of the guard process.
//
// The guard exists because vLLM's processes outlive their parent: an API server that is killed leaves its engine core and workers behind,
// and they keep the GPU's memory. The guard is their subreaper, so it inherits such orphans and can find them.
func Guard(command []string) int {
	runtime.LockOSThread() // PDEATHSIG is tied to the thread that forks
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	main, err := startGuarded(command)
	if err != nil {
		tell("error %v", err)
		return 1
	}
	tell("pid %d", main)
	w := child{pid: main, ended: make(chan struct{}), gone: make(chan struct{})}
	go w.reap()
	told := make(chan time.Duration, 2)
	go hearOrders(told)
	w.wait(w.firstGrace(told), told)
	w.kill()
	tell("gone")
	return 0
}

// tell writes one line to the process that started the guard.
func tell(format string, a ...any) { fmt.Fprintf(os.Stdout, format+"\n", a...) }

// startGuarded makes this process the subreaper of all that the command will start, starts the command and gives its pid.
func startGuarded(command []string) (pid int, err error) {
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); e != 0 {
		return 0, fmt.Errorf("become subreaper: %w", e)
	}
	if len(command) == 0 {
		return 0, errors.New("no command")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	log := os.NewFile(3, "log")
	p, err := os.StartProcess(path, command, &os.ProcAttr{Files: []*os.File{null, log, log},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}})
	if err != nil {
		return 0, err
	}
	return p.Pid, nil
}

// hearOrders reads orders from standard input until the other end is closed. It sends how long the command may still take to end.
func hearOrders(told chan<- time.Duration) {
	in := bufio.NewScanner(os.Stdin)
	if in.Scan() && in.Text() == "stop" {
		told <- stopGrace
		if in.Scan() { // a second line means: at once
			told <- 0
		}
	}
	told <- orphanGrace // the other end is closed
}

// child is the command that a guard watches.
type child struct {
	pid   int
	ended chan struct{} // closed when the command itself is gone
	gone  chan struct{} // closed when the processes that it started are gone too
}

// reap waits for every process that the guard inherits, and reports how the command itself ended.
func (w *child) reap() {
	for running := true; ; {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil { // ECHILD: no process is left
			close(w.gone)
			return
		}
		if pid != w.pid || !running {
			continue
		}
		running = false
		if ws.Signaled() {
			tell("signal %d", ws.Signal())
		} else {
			tell("exit %d", ws.ExitStatus())
		}
		close(w.ended)
	}
}

// firstGrace waits until the command ends or is to end. In the second case it sends SIGTERM. It gives how long the end may take.
func (w *child) firstGrace(told <-chan time.Duration) (grace time.Duration) {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	select {
	case <-w.ended:
		return 0
	case grace = <-told:
	case <-terminated:
		grace = orphanGrace
	}
	_ = syscall.Kill(w.pid, syscall.SIGTERM)
	return grace
}

// wait gives the command and what it started time to end by themselves. An order may shorten that time.
func (w *child) wait(grace time.Duration, told <-chan time.Duration) {
	deadline, alone := time.After(grace), w.ended
	for grace > 0 {
		select {
		case <-w.gone:
			return
		case <-alone:
			alone, deadline = nil, time.After(min(grace, childGrace))
		case <-deadline:
			return
		case less := <-told:
			if less < grace {
				deadline = time.After(less)
			}
			grace = less
		}
	}
}

// kill sends SIGKILL to everything that is left, again and again until nothing is.
func (w *child) kill() {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		_ = syscall.Kill(-w.pid, syscall.SIGKILL)
		for _, pid := range descendants(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-w.gone:
			return
		case <-again.C:
		}
	}
}

// descendants lists the processes that descend from one, read from /proc.
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
		// The line is "pid (comm) state ppid …". comm may hold any character, so what follows is read from the last parenthesis on.
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
