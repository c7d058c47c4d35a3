//go:build race

package stats

// raced says that the race detector is on, under which the same work takes ten times as long.
const raced = true
