//go:build race

package stats

// raced says that the race detector is on. The same work then takes ten times as long.
const raced = true
