package bench

import (
	"context"

	"wb/collect/engine"
)

// memory is a measurement of this machine's memory.
type memory struct{ bytesPerS *int64 } // nil: it failed

// figure gives the bandwidth in bytes per second. It is nil when nothing was measured.
func (m *memory) figure() *int64 {
	if m == nil {
		return nil
	}
	return m.bytesPerS
}

// reachMeasured connects to the cell's server, and measures this machine's memory if the server runs here and is no simulator.
// A server that wb starts takes memory, so it is measured before the start. Other servers run already.
func (x *Execution) reachMeasured(ctx context.Context, c *CellRun) error {
	if c.Target.Engine.Managed() {
		if err := x.measureMemory(ctx, c); err != nil {
			return err
		}
	}
	if err := x.reach(ctx, c); err != nil {
		return err
	}
	if _, local := x.at.Client.Local(); !local || x.at.Server.Kind() == engine.KindSimulator {
		return nil
	}
	return x.measureMemory(ctx, c)
}

// measureMemory measures this machine's memory, once, if that is wanted and a run begins that can record it. A failure is only told.
func (x *Execution) measureMemory(ctx context.Context, c *CellRun) error {
	if x.tools.Memory == nil || x.memory != nil || c.Progress != nil {
		return nil
	}
	x.memory = &memory{}
	bytesPerS, told, err := x.tools.Memory(ctx, x.clock(x.began))
	switch {
	case ctx.Err() != nil:
		return ErrInterrupted
	case err != nil:
		x.tell.Warn(err.Error())
	default:
		x.memory.bytesPerS = &bytesPerS
		x.tell.Line("memory: " + told)
	}
	return nil
}
