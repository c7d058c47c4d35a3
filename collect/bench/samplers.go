package bench

import (
	"context"
	"sync"

	"wb/collect/engine"
	"wb/collect/sample"
	"wb/store"
)

// startSamplers starts the samplers. At the same time it reads the facts of the machine, which takes a while on a large one.
func (r *run) startSamplers(ctx context.Context, wg *sync.WaitGroup) {
	if r.job.Part.Continue == nil {
		wg.Go(func() { sample.RecordHost(ctx, r.env) })
	}
	if r.server.Process != nil {
		r.env.ServerPID.Store(int32(r.server.Facts().PID))
	} else {
		wg.Go(func() {
			if pid, ok := engine.ServerPID(ctx, r.client); ok {
				r.env.ServerPID.Store(pid)
			}
		})
	}
	if r.job.SampleHz > 0 {
		wg.Go(func() { sample.Run(ctx, r.env, r.job.SampleHz, sample.Sources()) })
	}
}

// newEnv makes what the samplers need to know about this run.
func (r *run) newEnv() *sample.Env {
	tell := func(kind store.EventKind, source, message string) {
		var turn *int32
		if t := r.active.Load(); t != 0 {
			turn = &t
		}
		r.event(kind, source, message, turn)
	}
	note := func(kind store.EventKind, source, message string) { r.event(kind, source, message, nil) }
	return &sample.Env{
		RunID:    r.id,
		Rec:      r.rec,
		Now:      r.clock,
		Tell:     tell,
		Note:     note,
		Warn:     r.warn,
		Begins:   r.job.Part.Continue == nil,
		OpenGPUs: r.job.OpenGPUs,

		MemoryReadBytesPerS: r.job.MemoryReadBytesPerS,
	}
}
