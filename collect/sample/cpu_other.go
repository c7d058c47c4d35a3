//go:build !unix

package sample

func wbCPU() (float64, bool) { return 0, false }
