//go:build race

package compare

// raced says that the race detector is on, under which the same work takes ten times as long.
const raced = true
