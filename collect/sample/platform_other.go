//go:build !linux

package sample

import "runtime"

// platform gives the system without its version, for which a program would have to be started.
func platform() string { return runtime.GOOS }
