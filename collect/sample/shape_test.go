package sample

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wb/store"
)

// tide is a sampler. A new sampler takes no more than this and one line in Sources.
type tide struct {
	env    *Env
	levels []string // when each reading was made
}

func (*tide) Name() string    { return "tide" }
func (*tide) MostHz() float64 { return 4 }

func (s *tide) Sample(_ context.Context, late time.Duration) error {
	at := time.Duration(s.env.Now())
	if late == LastReading {
		s.levels = append(s.levels, "last at "+at.String())
		return nil
	}
	s.levels = append(s.levels, at.String())
	if at == 500*time.Millisecond {
		return errors.New("the gauge is dry")
	}
	return nil
}

// A new sampler is one file and one line in the list of sources. It is asked no faster than it says, once more at the end, and is closed. A
// failure is an event, and ends neither that sampler nor the others.
func TestShapeOfASampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex // samplers report events at the same time
		var events []string
		env := &Env{
			Now: func() int64 { return int64(time.Since(begun)) },
			Tell: func(kind store.EventKind, source, message string) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, fmt.Sprintf("%s %s: %s", kind, source, message))
			},
		}
		sampler, closed := &tide{env: env}, false
		toy := func(_ context.Context, e *Env) ([]Sampler, func(), error) {
			return []Sampler{sampler}, func() { closed = e == env }, nil
		}
		broken := func(context.Context, *Env) ([]Sampler, func(), error) {
			return nil, nil, errors.New("there is no moon")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		Run(ctx, env, 20, []Source{toy, broken})
		if want := []string{"0s", "250ms", "500ms", "750ms", "last at 900ms"}; !slices.Equal(sampler.levels, want) {
			t.Errorf("it was read at %q, want %q", sampler.levels, want)
		}
		want := []string{"sampler_failed run: there is no moon", "sampler_failed tide: the gauge is dry"}
		if !slices.Equal(events, want) || !closed {
			t.Errorf("events %q, want %q; closed: %v", events, want, closed)
		}
	})
}
