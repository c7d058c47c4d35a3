//go:build !linux

package serve

import (
	"errors"
	"os"
)

// GuardCommand is the hidden command under which wb runs itself as a guard.
const GuardCommand = "__guard"

// Guard does nothing here: it needs Linux.
func Guard([]string) int { return 1 }

type guarded struct {
	pid         int
	ended, gone chan struct{}
}

func spawn(_, _ []string, _ *os.File) (*guarded, error) {
	return nil, errors.New("wb starts servers on Linux only; start one yourself and use --url")
}

func (p *guarded) stop(bool) {}

func (p *guarded) exitText() string { return "" }
