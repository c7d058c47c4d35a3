//go:build duckdb_arrow

package history

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"wb/data/plain"
)

// Access holds settings for the use of lakes.
type Access struct {
	Extensions string                     // folder with extensions of DuckDB; "" to download them from DuckDB's repository
	Waiting    func(lake, cause string)   // called when other users of a lake have delayed a step for seconds; may be nil
	Brought    func(to string, n, of int) // called from time to time with how many of the runs were looked at; may be nil
}

type accessKey struct{}

// WithAccess returns a context with settings for the use of lakes.
func WithAccess(ctx context.Context, a Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

func accessOf(ctx context.Context) Access {
	a, _ := ctx.Value(accessKey{}).(Access)
	return a
}

// steps returns a function to call after each run. It calls Brought after the first seconds, and then at growing intervals.
func steps(ctx context.Context, to string, of int) func(n int) {
	told, pause, brought := time.Now(), tellAfter, accessOf(ctx).Brought
	return func(n int) {
		if brought != nil && n < of && time.Since(told) > pause {
			told, pause = time.Now(), min(2*pause, time.Minute)
			brought(to, n, of)
		}
	}
}

var quoted = regexp.MustCompile(`"[^"]*"`)

// conflict reports whether an error was caused by others who write at the same time, so that trying again can help.
// The names of the lake are removed from the text of the error first, because they may contain any words.
func (l Lake) conflict(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, name := range []string{l.catalog, strings.TrimPrefix(l.catalog, "postgres:"), l.Name, l.data} {
		if strings.ContainsAny(name, "/:= ") { // otherwise the name may be a word of the message itself
			text = strings.ReplaceAll(text, name, "")
		}
	}
	text = strings.ToLower(quoted.ReplaceAllString(text, ""))
	has := func(s string) bool { return strings.Contains(text, s) }
	if has("too many clients") || has("remaining connection slots") {
		return true
	}
	if has("connection to server") || has("unable to connect") || has("authentication failed") {
		return false
	}
	return slices.ContainsFunc([]string{
		"conflict", "could not serialize", "could not set lock", "duplicate key", "deadlock", "already exists", "maximum retry count",
		"concurrent",
	}, has)
}

// retryFor is how long a step is tried again because of others, and tellAfter is when the user is told.
const (
	retryFor  = 2 * time.Minute
	tellAfter = 3 * time.Second
)

// retry calls f until it does not conflict with other users of the lake, for at most retryFor.
func (l Lake) retry(ctx context.Context, f func() error) error {
	p := plain.Policy{Again: l.conflict, First: 20 * time.Millisecond, Most: time.Second, For: retryFor, Jitter: true}
	if waiting := accessOf(ctx).Waiting; waiting != nil {
		p.SlowAfter, p.Slow = tellAfter, func(error) { waiting(l.Name, "others are using it") }
	}
	return plain.Retry(ctx, p, f)
}
