//go:build unix

package sample

import "syscall"

// wbCPU gives the processor time of wb itself, in seconds. It is as exact as the kernel's value, while /proc counts in steps of 10 ms.
func wbCPU() (float64, bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, true
}
