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
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	main, err := startGuarded(command)
	if err != nil {
		tell("error %v", err)
		return 1
	}
	tell("pid %d", main)
	w := ward{pid: main, ended: make(chan struct{}), gone: make(chan struct{})}
	go w.reap()
	told := make(chan time.Duration, 2)
	go hearOrders(told)
	w.wait(w.firstGrace(told), told)
	w.kill()
	tell("gone")
	return 0
}

// tell writes a line to the process that started the guard.
func tell(format string, a ...any) { fmt.Fprintf(os.Stdout, format+"\n", a...) }

// startGuarded becomes the subreaper of all that the command will start, starts it, and gives its pid.
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

// hearOrders reads from standard input how long the command may take to end, until the other end is closed.
func hearOrders(told chan<- time.Duration) {
	in := bufio.NewScanner(os.Stdin)
	if in.Scan() && in.Text() == "stop" {
		told <- stopGrace
		if in.Scan() { // a second word: at once
			told <- 0
		}
	}
	told <- orphanGrace // the other end is closed
}

// ward is the command that a guard has in its care.
type ward struct {
	pid   int
	ended chan struct{} // the command itself is gone
	gone  chan struct{} // and so is everything it started
}

// reap waits for every process that the guard inherits, and tells how the command itself ended.
func (w *ward) reap() {
	for running := true; ; {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil { // ECHILD
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

// firstGrace waits until the command ends or is to end, which it is told then. It gives how long the end may take.
func (w *ward) firstGrace(told <-chan time.Duration) (grace time.Duration) {
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

// wait gives the command and what it started time to end by themselves; orders may shorten it.
func (w *ward) wait(grace time.Duration, told <-chan time.Duration) {
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

// kill ends whatever is left, again and again, until nothing is.
func (w *ward) kill() {
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
