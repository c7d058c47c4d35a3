//go:build race

package main

// raced says whether the race detector is on. It makes wb use more memory.
const raced = true
