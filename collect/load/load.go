// Package load decides when sessions begin. Each model of arrivals is one file. The package must not know what a session is.
package load

import (
	"fmt"
	"time"
)

// Arrivals says when sessions begin, as the time since the first one.
type Arrivals interface {
	// Closed says whether this is a closed loop, in which each user plays one session after another. At then says when each user begins.
	// Otherwise At says when each session begins, whether earlier ones have ended or not.
	Closed() bool
	// At gives the time at which user or session i begins; i counts from 0.
	At(i int) time.Duration
}

// Settings are the settings of all models of arrivals.
type Settings struct {
	Users int           // at once
	Ramp  time.Duration // over which the users of a closed loop begin
	Rate  float64       // sessions begun per second; 0: a closed loop
	Seed  int64
}

// Model makes arrivals at a rate.
type Model struct {
	Name string // the value of the flag --arrival
	New  func(Settings) Arrivals
}

// Models lists the models of arrivals at a rate. The first is the default.
func Models() []Model {
	return []Model{
		{"poisson", newPoisson},
		{"constant", newConstant},
	}
}

// Names lists the names of models.
func Names(models []Model) (names []string) {
	for _, m := range models {
		names = append(names, m.Name)
	}
	return names
}

// New makes the arrivals of the model with this name; "" means the first model. Without a rate it makes a closed loop, whatever the name.
func New(models []Model, name string, s Settings) (Arrivals, error) {
	if s.Rate == 0 {
		return newClosed(s), nil
	}
	for i, m := range models {
		if m.Name == name || name == "" && i == 0 {
			return m.New(s), nil
		}
	}
	return nil, fmt.Errorf("choose arrivals %q: there is no model of that name", name)
}

// gaps makes arrivals at a rate from the gaps between them.
type gaps struct {
	rate float64         // arrivals per second
	next func() float64  // gives the next gap, as a ratio of the mean gap
	at   []time.Duration // the arrivals so far
}

func (g *gaps) Closed() bool { return false }

func (g *gaps) At(i int) time.Duration {
	for len(g.at) <= i {
		last := time.Duration(0)
		if n := len(g.at); n > 0 {
			last = g.at[n-1] + time.Duration(g.next()/g.rate*1e9)
		}
		g.at = append(g.at, last)
	}
	return g.at[i]
}
