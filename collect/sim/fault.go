package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fault is a failure that the simulator makes on purpose.
type Fault struct {
	Kind    string        // refuse, 500, 429, cut, damage, stall, hang, error or usage
	Request int           // which completion request, from 1; 0 means every one
	Chunk   int           // at which streamed event, from 1
	Pause   time.Duration // length of a stall
}

// ParseFault reads a fault, KIND@REQUEST[:CHUNK[:PAUSE]]. REQUEST is a number from 1, or * for every request.
//
//	refuse           closes every connection at once
//	500@3            answers the 3rd request with HTTP 500
//	429@2            answers the 2nd request with HTTP 429 and Retry-After
//	hang@2           does not answer until the client leaves
//	cut@2:5          closes the connection after 5 events
//	damage@2:3       sends broken JSON as the 3rd event
//	stall@2:4:500ms  pauses before the 4th event
//	error@2:3        sends an error as the 3rd event and then [DONE], as vLLM does when its engine dies
//	usage@2          counts each token twice in the closing usage
func ParseFault(s string) (Fault, error) {
	bad := func(why string) (Fault, error) {
		return Fault{}, fmt.Errorf("parse fault %q: %s; examples: refuse, 500@3, 429@2, hang@2, cut@2:5, damage@2:3, error@2:3, "+
			"usage@2, stall@2:4:500ms", s, why)
	}
	kind, rest, at := strings.Cut(s, "@")
	f := Fault{Kind: kind}
	parts := strings.Split(rest, ":")
	var want int
	switch kind {
	case "refuse":
		if at {
			return bad("refuse has no @REQUEST")
		}
		return f, nil
	case "500", "429", "hang", "usage":
		want = 1
	case "cut", "damage", "error":
		want = 2
	case "stall":
		want = 3
	default:
		return bad("unknown kind")
	}
	if !at || len(parts) != want {
		return bad("wants " + []string{"", "@REQUEST", "@REQUEST:CHUNK", "@REQUEST:CHUNK:PAUSE"}[want])
	}
	var err error
	if parts[0] != "*" {
		if f.Request, err = strconv.Atoi(parts[0]); err != nil || f.Request < 1 {
			return bad("REQUEST must be a number from 1, or *")
		}
	}
	if want > 1 {
		if f.Chunk, err = strconv.Atoi(parts[1]); err != nil || f.Chunk < 1 {
			return bad("CHUNK must be a number from 1")
		}
	}
	if want > 2 {
		if f.Pause, err = time.ParseDuration(parts[2]); err != nil || f.Pause <= 0 {
			return bad("PAUSE must be a duration such as 500ms")
		}
	}
	return f, nil
}

// on reports whether the fault applies to the nth completion request.
func (f Fault) on(n int) bool { return f.Request == 0 || f.Request == n }
