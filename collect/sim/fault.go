package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fault is a failure on purpose.
type Fault struct {
	Kind    string        // refuse, 500, 429, cut, damage, stall, hang, error or usage
	Request int           // which completion request, from 1; 0 = every one
	Chunk   int           // at which streamed event, from 1
	Pause   time.Duration // of a stall
}

// ParseFault reads a fault: KIND@REQUEST[:CHUNK[:PAUSE]], REQUEST a number from 1 or *.
//
//	refuse          close every connection at once       500@3          HTTP 500 to the 3rd request
//	429@2           HTTP 429 with Retry-After            hang@2         no answer until the client leaves
//	cut@2:5         connection dies after 5 events       damage@2:3     3rd event is broken JSON
//	stall@2:4:500ms a pause before the 4th event         error@2:3      an error event, then [DONE], as when the engine dies
//	usage@2         the closing usage counts each token twice
func ParseFault(s string) (Fault, error) {
	bad := func(why string) (Fault, error) {
		return Fault{}, fmt.Errorf("parse fault %q: %s; such as refuse, 500@3, 429@2, hang@2, cut@2:5, damage@2:3, error@2:3, usage@2 or stall@2:4:500ms", s, why)
	}
	kind, rest, at := strings.Cut(s, "@")
	f := Fault{Kind: kind}
	parts := strings.Split(rest, ":")
	var want int
	switch kind {
	case "refuse":
		if at {
			return bad("refuse takes nothing")
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
			return bad("REQUEST is a number from 1, or *")
		}
	}
	if want > 1 {
		if f.Chunk, err = strconv.Atoi(parts[1]); err != nil || f.Chunk < 1 {
			return bad("CHUNK is a number from 1")
		}
	}
	if want > 2 {
		if f.Pause, err = time.ParseDuration(parts[2]); err != nil || f.Pause <= 0 {
			return bad("PAUSE is a duration")
		}
	}
	return f, nil
}

// on says whether the fault strikes the nth completion request.
func (f Fault) on(n int) bool { return f.Request == 0 || f.Request == n }
