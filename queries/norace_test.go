//go:build !race

package queries

const raced = false
