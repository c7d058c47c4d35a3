//go:build !unix

package collect

func ownCPU() (float64, bool) { return 0, false }
