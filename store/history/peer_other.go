//go:build duckdb_arrow && !linux && !darwin

package history

import "errors"

// peerOf returns an error: this system cannot tell.
func peerOf(int) (uid int, err error) {
	return 0, errors.New("this system does not say who is at the other end of a socket")
}
