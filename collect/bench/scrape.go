package bench

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"wb/collect/engine"
	"wb/store"
)

// scrape reads /metrics and records it. Given a finished-request count, it reads again until the count has moved past it:
// the server books a request just after it sent the last byte.
func (r *run) scrape(ctx context.Context, phase string, turn int32, during bool, past float64) (seen engine.Counters) {
	if r.lost.hangs.Load() >= engine.EnoughHangs {
		return seen
	}
	var s *engine.Scrape
	for try := range 10 {
		s = engine.ReadMetrics(ctx, r.client, during)
		if during { // beside the turns, which know when the engine may be another one
			break
		}
		var ok bool
		seen, ok = r.engine.Counters(s)
		if s.Err != nil || !ok || past == 0 || seen.Finished >= past || ctx.Err() != nil {
			break
		}
		if try < 9 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if s.Bad != nil && !r.badMetrics.Swap(true) {
		r.event(store.EventMetricsLine, "metrics", s.Bad.Error(), nil)
	}
	row := store.Scrape{RunID: r.id, ScrapeID: r.scrapes.Add(1), Phase: phase, TNs: s.TNs, CostNs: s.CostNs, ResponseBytes: s.ResponseBytes}
	if turn != 0 {
		row.TurnID = &turn
	}
	if s.Err != nil && ctx.Err() == nil {
		row.Error = new(s.Err.Error())
		r.lose(s.Err)
	} else if s.Err == nil {
		r.lost.hangs.Store(0)
	}
	err := store.Add(ctx, r.rec, row)
	for part := range slices.Chunk(s.Series, seriesAtOnce) {
		metrics := make([]store.EngineMetric, len(part))
		for i, x := range part {
			metrics[i] = store.EngineMetric{RunID: r.id, ScrapeID: row.ScrapeID, TNs: s.TNs, Name: x.Name, Labels: x.Labels, Value: x.Value}
		}
		err = errors.Join(err, store.Add(ctx, r.rec, metrics...))
	}
	if err != nil {
		r.event(store.EventSamplerFailed, "metrics", err.Error(), nil)
	}
	return seen
}

// lostMetrics is what a run knows of readings of /metrics that failed.
type lostMetrics struct {
	told  atomic.Bool
	hangs atomic.Int32 // in a row
}

// lose tells once that /metrics, which was there, is not any more, and once that it is given up.
func (r *run) lose(why error) {
	text := "/metrics: " + why.Error()
	if errors.Is(why, context.DeadlineExceeded) && r.lost.hangs.Add(1) == engine.EnoughHangs {
		r.warn(store.EventNoMetrics, "metrics", text+"; it is not read any more")
		r.lost.told.Store(true)
	}
	if !r.lost.told.Swap(true) {
		r.event(store.EventNoMetrics, "metrics", text+"; counters of that moment are missing", nil)
	}
}

// seriesAtOnce is how many series become rows at once: a page may have very many.
const seriesAtOnce = 8192

// tick scrapes once a second inside turns that last longer.
func (r *run) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if r.users != nil { // with several at once there is no before and after
			r.scrape(ctx, "tick", 0, true, 0)
		} else if turn := r.active.Load(); turn != 0 && r.clock()-r.since.Load() > int64(time.Second) {
			r.scrape(ctx, "tick", turn, true, 0)
		}
	}
}
