package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/shirou/gopsutil/v4/process"

	"wb/collect/engine"
)

// PortError says that a port is taken, and by which process when that is known.
type PortError struct {
	Port    int
	PID     int32 // 0: not known
	Program string
}

func (e *PortError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("listen on port %d: it is taken", e.Port)
	}
	return fmt.Sprintf("listen on port %d: it is held by pid %d (%s)", e.Port, e.PID, e.Program)
}

// Hint says what to do about it.
func (e *PortError) Hint() string {
	return "use --port auto for a free one, or stop the program that holds it"
}

// CheckPort makes sure that a port can be listened on. It fails with a *PortError when another process listens on it.
func CheckPort(ctx context.Context, host string, port int) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		return l.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return fmt.Errorf("listen on %s port %d: %w", host, port, err)
	}
	e := &PortError{Port: port}
	if pid, ok := engine.Listener(ctx, port); ok {
		e.PID = pid
		if p, err := process.NewProcessWithContext(ctx, pid); err == nil {
			e.Program, _ = p.NameWithContext(ctx)
		}
	}
	return e
}

// descends says whether a process is another one, or was started by it or by its children.
func descends(ctx context.Context, pid, from int32) bool {
	const most = 20 // generations
	for range most {
		if pid == from {
			return true
		}
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			return false
		}
		if pid, err = p.PpidWithContext(ctx); err != nil || pid <= 1 {
			return false
		}
	}
	return false
}

// FreePort finds a port that no process listens on: one of the 100 ports from the given one on.
func FreePort(ctx context.Context, host string, from int) (int, error) {
	for p := from; p < min(from+100, 65536); p++ {
		if CheckPort(ctx, host, p) == nil {
			return p, nil
		}
	}
	return 0, fmt.Errorf("find a free port: %d to %d are taken", from, min(from+99, 65535))
}
