// Package sample reads the machine, its processes and its GPUs at a steady rate while a run goes on. One file gives one kind of
// sampler. A sample is a row of the store: types of its own for some sixty columns would say nothing new.
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
	// Name is the source of its events.
	Name() string
	// MostHz is how often a second it can be asked with use.
	MostHz() float64
	// Sample reads once and records; late is how long after its time the tick fired, or LastReading.
	Sample(ctx context.Context, late time.Duration) error
}

// Source opens the samplers of one kind; end, which may be nil, ends them. One file gives one.
type Source func(ctx context.Context, env *Env) (samplers []Sampler, end func(), err error)

// Sources lists them.
func Sources() []Source {
	return []Source{
		hostSource,
		processSource,
		gpuSource,
	}
}

// Env is what samplers need of the run that they belong to.
type Env struct {
	RunID    uuid.UUID
	Rec      *store.Recorder
	Now      func() int64                                       // ns since the run's start
	Tell     func(kind store.EventKind, source, message string) // records an event, of the turn that is under way
	Note     func(kind store.EventKind, source, message string) // records an event of no turn
	Warn     func(kind store.EventKind, source, message string) // and tells the person
	Begins   bool                                               // the run begins: facts of the machine are not on record yet
	OpenGPUs func() (*gpu.GPUs, error)                          // nil: NVML's

	ServerPID atomic.Int32  // of the server, 0 while unknown
	gpuWatts  atomic.Uint64 // bits of a float64
}

// GPUWatts is the power of all GPUs as read last; 0: unknown.
func (e *Env) GPUWatts() float64 { return math.Float64frombits(e.gpuWatts.Load()) }

// Run opens the sources and drives their samplers up to so many times a second, until the context ends.
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

// A sampler that fails again for the same reason is not told of again.
const frozenAfter = 250 * time.Millisecond

const (
	// LastReading stands for how late the reading is that ends a run: everything is read then.
	LastReading = time.Duration(-1)
	slowAfter   = time.Second // a sampler whose reading takes longer is told of
)

// frozen says that a tick came far too late: this process did not run, so stamps of that time are late as well.
func frozen(late, every time.Duration) bool { return late > frozenAfter+every }

// drive calls a sampler until the context ends. A failure is an event, and sampling goes on.
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
				fmt.Sprintf("a reading took %.1f s: nothing was sampled meanwhile, and turns went on", took.Seconds()))
		}
		next = next.Add(every)
		if now := time.Now(); next.Before(now) { // never hurry to catch up
			next = now.Add(every)
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			// once more, so that the end of the last turn lies between two readings; what fails now was told or does not matter
			_ = s.Sample(context.WithoutCancel(ctx), LastReading)
			return
		case <-t.C:
		}
	}
}
