//go:build !linux

package sample

import "runtime"

// platform names the system: its version would take a program that is started for it.
func platform() string { return runtime.GOOS }
