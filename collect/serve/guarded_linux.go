package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// guarded is a command that runs under a guard, as the process sees it that started the guard.
type guarded struct {
	pid     int // of the command
	guard   *exec.Cmd
	control io.WriteCloser
	ended   chan struct{} // closed when the command itself is gone
	gone    chan struct{} // closed when everything is gone

	mu   sync.Mutex
	exit string // "exit 1", "signal 9"; "" while it runs
}

// spawn starts a command under a guard. The output of both goes to log.
func spawn(command, env []string, log *os.File) (*guarded, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find wb's executable: %w", err)
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
		_ = cmd.Wait() // the guard ends with status 1 after this line
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
		_ = cmd.Wait() // only that the guard ended matters, not how
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

// stop ends everything and waits until it is gone. hurry kills it at once, without time to end by itself.
func (p *guarded) stop(hurry bool) {
	word := "stop\n"
	if hurry {
		word += "now\n"
	}
	_, _ = io.WriteString(p.control, word) // fails only when the guard is gone already
	<-p.gone
	_ = p.control.Close()
}

// exitText says how the command ended, such as "exit 1" or "signal 9". It is "" while the command runs.
func (p *guarded) exitText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}
