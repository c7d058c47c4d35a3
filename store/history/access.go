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

// Access is how lakes are reached.
type Access struct {
	Extensions string                     // folder with extensions of DuckDB; "" for DuckDB's own repository
	Waiting    func(lake, cause string)   // told when others have been in the way of a step for seconds; may be nil
	Brought    func(to string, n, of int) // told from time to time how many runs have been looked at; may be nil
}

type accessKey struct{}

// WithAccess gives a context in which lakes are reached so.
func WithAccess(ctx context.Context, a Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

func accessOf(ctx context.Context) Access {
	a, _ := ctx.Value(accessKey{}).(Access)
	return a
}

// steps gives what is to be called after each step: it tells of the first after seconds, and ever more rarely then.
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

// conflict says whether an error comes of others who write at the same time, so that trying again is all there is to do.
// Names, which may be any words, do not count.
func (l Lake) conflict(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, name := range []string{l.catalog, strings.TrimPrefix(l.catalog, "postgres:"), l.Name, l.data} {
		if strings.ContainsAny(name, "/:= ") { // not a word that the message itself may have
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

// againFor is how long others may be in the way, and tellAfter when they are worth a word.
const (
	againFor  = 2 * time.Minute
	tellAfter = 3 * time.Second
)

// again tries until nobody is in the way.
func (l Lake) again(ctx context.Context, f func() error) error {
	p := plain.Policy{Again: l.conflict, First: 20 * time.Millisecond, Most: time.Second, For: againFor, Jitter: true}
	if waiting := accessOf(ctx).Waiting; waiting != nil {
		p.SlowAfter, p.Slow = tellAfter, func(error) { waiting(l.Name, "others use it") }
	}
	return plain.Retry(ctx, p, f)
}
