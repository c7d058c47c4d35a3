// Package sample reads the machine, its processes and its GPUs at a steady rate while a run goes on. Each kind of sampler is one file and
// one line in Sources. Samples are recorded as rows of package store: separate types for some sixty columns would add nothing. The package
// knows nothing about turns, conversations or servers, apart from the server's process id.
package sample

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"wb/collect/gpu"
	"wb/store"
)

// Sampler reads something at a steady rate.
type Sampler interface {
	// Name is the source that its events name.
	Name() string
	// MostHz is the highest rate that is of use, in readings per second.
	MostHz() float64
	// Sample reads once and records. late is how long after its time the reading began, or LastReading.
	Sample(ctx context.Context, late time.Duration) error
}

// Source opens the samplers of one kind. end, which may be nil, closes them.
type Source func(ctx context.Context, env *Env) (samplers []Sampler, end func(), err error)

// Sources lists the sources.
func Sources() []Source {
	return []Source{
		hostSource,
		processSource,
		gpuSource,
	}
}

// Env is what samplers need to know about the run that they belong to.
type Env struct {
	RunID    uuid.UUID
	Rec      *store.Recorder
	Now      func() int64                                       // gives ns since the run's start
	Tell     func(kind store.EventKind, source, message string) // records an event of the turn that is under way
	Note     func(kind store.EventKind, source, message string) // records an event that belongs to no turn
	Warn     func(kind store.EventKind, source, message string) // records an event and shows it to the user
	Begins   bool                                               // the run begins, and the facts of the machine are not recorded yet
	OpenGPUs func() (*gpu.GPUs, error)                          // nil: gpu.Open

	MemoryReadBytesPerS *int64 // bandwidth of main memory, as it was measured before the run; nil: it was not

	ServerPID atomic.Int32  // process id of the server, 0 while it is not known
	gpuWatts  atomic.Uint64 // bits of a float64
}

// GPUWatts is the power of all GPUs by the last reading, in watts. It is 0 when not known.
func (e *Env) GPUWatts() float64 { return math.Float64frombits(e.gpuWatts.Load()) }

// Run opens the sources and drives their samplers until the context ends, each up to hz times per second.
func Run(ctx context.Context, env *Env, hz float64, sources []Source) {
	var all sync.WaitGroup
	for _, open := range sources {
		all.Go(func() {
			samplers, end, err := open(ctx, env)
			if end != nil {
				defer end()
			}
			if err != nil {
				env.Tell(store.EventSamplerFailed, "run", err.Error())
			}
			var driven sync.WaitGroup
			for _, s := range samplers {
				every := time.Duration(float64(time.Second) / min(hz, s.MostHz()))
				driven.Go(func() { drive(ctx, s, every, env.Tell) })
			}
			driven.Wait()
		})
	}
	all.Wait()
}

const (
	// LastReading is the value of late for the reading that ends a run. Everything is read then.
	LastReading = time.Duration(-1)

	slowAfter   = time.Second            // a reading that takes longer is an event
	frozenAfter = 250 * time.Millisecond // a reading that begins this much later than the next one should have is an event
)

// frozen says whether a reading began far too late. Then this process did not run for a while, and the stamps of that time are late too.
func frozen(late, every time.Duration) bool { return late > frozenAfter+every }

// drive calls a sampler until the context ends. A failure is an event, and sampling goes on. The same failure in a row is one event.
func drive(ctx context.Context, s Sampler, every time.Duration, event func(kind store.EventKind, source, message string)) {
	next := time.Now()
	told := ""
	for {
		late := max(time.Since(next), 0)
		if frozen(late, every) {
			event(store.EventFrozen, s.Name(),
				fmt.Sprintf("wb itself did not run for %d ms: times around this moment are not the server's", late.Milliseconds()))
		}
		began := time.Now()
		if err := s.Sample(ctx, late); err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			event(store.EventSamplerFailed, s.Name(), told)
		}
		if took := time.Since(began); took > slowAfter {
			event(store.EventSamplerSlow, s.Name(),
				fmt.Sprintf("a reading took %.1f s: turns went on, but nothing was sampled meanwhile", took.Seconds()))
		}
		next = next.Add(every)
		if now := time.Now(); next.Before(now) { // readings that were missed are not made up for
			next = now.Add(every)
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			// One more reading, so that the end of the last turn lies between two readings. An error is ignored: it is known or does not matter.
			_ = s.Sample(context.WithoutCancel(ctx), LastReading)
			return
		case <-t.C:
		}
	}
}
