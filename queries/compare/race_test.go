//go:build race

package compare

// raced says that the race detector is on. The same work then takes ten times as long.
const raced = true
