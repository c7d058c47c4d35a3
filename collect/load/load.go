// Package load says when sessions begin. One file gives one model of arrivals.
package load

import (
	"fmt"
	"time"
)

// Arrivals says when sessions begin, counted from the first.
type Arrivals interface {
	// Closed says whether users play sessions of their own, one after another: At then says when each user begins. Otherwise it says
	// when each session does, whether others have ended or not.
	Closed() bool
	// At gives when user or session i begins, from 0.
	At(i int) time.Duration
}

// Settings are what models of arrivals are told.
type Settings struct {
	Users int           // at once
	Ramp  time.Duration // users of a closed loop begin spread over so long
	Rate  float64       // sessions begun a second; 0: a closed loop
	Seed  int64
}

// Model makes arrivals at a rate.
type Model struct {
	Name string // as people choose it
	New  func(Settings) Arrivals
}

// Models lists those that sessions can arrive by at a rate, the default first.
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

// New gives the arrivals of one of the models, the first for the name ""; without a rate those of a closed loop.
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

// gaps are arrivals at a rate, by the gaps between them.
type gaps struct {
	rate float64
	next func() float64 // the next gap over the mean gap
	at   []time.Duration
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
