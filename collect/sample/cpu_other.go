//go:build !unix

package sample

// wbCPU is not known here.
func wbCPU() (float64, bool) { return 0, false }
