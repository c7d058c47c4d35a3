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

// scrape reads /metrics and records what it finds. past is the number of finished requests to wait for, or 0: the server counts a request
// just after it has sent the last byte, so scrape reads up to ten times until it is counted. during is for scrapes while turns run.
func (r *run) scrape(ctx context.Context, phase string, turn int32, during bool, past float64) (seen engine.Counters) {
	if r.lost.hangs.Load() >= engine.EnoughHangs {
		return seen
	}
	var s *engine.Scrape
	for try := range 10 {
		s = engine.ReadMetrics(ctx, r.client, during)
		if during { // r.engine belongs to the goroutine of the turns, and a restart changes it
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
		r.metricsFailed(s.Err)
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

// lostMetrics counts readings of /metrics that failed.
type lostMetrics struct {
	told  atomic.Bool  // an event tells that a reading failed
	hangs atomic.Int32 // readings in a row that hung
}

// metricsFailed tells once that /metrics cannot be read any more, and once that wb has stopped reading it.
func (r *run) metricsFailed(why error) {
	text := "/metrics: " + why.Error()
	if errors.Is(why, context.DeadlineExceeded) && r.lost.hangs.Add(1) == engine.EnoughHangs {
		r.warn(store.EventNoMetrics, "metrics", text+"; wb does not read it any more")
		r.lost.told.Store(true)
	}
	if !r.lost.told.Swap(true) {
		r.event(store.EventNoMetrics, "metrics", text+"; the counters of that moment are missing", nil)
	}
}

// seriesAtOnce is how many series become rows at once, since a page may have very many.
const seriesAtOnce = 8192

// tick scrapes once per second: always with several users, and else only during turns that last longer than a second.
func (r *run) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if r.users != nil { // turns of several users overlap, so there are no scrapes before and after each
			r.scrape(ctx, "tick", 0, true, 0)
		} else if turn := r.active.Load(); turn != 0 && r.clock()-r.since.Load() > int64(time.Second) {
			r.scrape(ctx, "tick", turn, true, 0)
		}
	}
}
