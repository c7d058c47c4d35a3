//go:build race

package main

// raced says that the race detector is on, under which memory is not what it is without.
const raced = true
