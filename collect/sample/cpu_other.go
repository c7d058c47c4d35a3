//go:build !unix

package sample

func ownCPU() (float64, bool) { return 0, false }
