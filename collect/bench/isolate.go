package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/serve"
	"wb/collect/target"
	"wb/data/plain"
	"wb/store"
)

// managed is a server that wb started, with how much about it has been recorded.
type managed struct {
	target.Process
	start  int32 // number of the start, from 1
	fresh  bool  // it has played no session
	phases int   // number of phases of this start that are recorded
}

// recordStart records a start of the server process. It is called once per start; why is the error when the start failed.
func (r *run) recordStart(ctx context.Context, why error) error {
	m := &r.server
	m.start++
	m.fresh, m.phases = true, 0
	f := m.Facts()
	row := store.EngineStart{
		RunID:             r.id,
		StartID:           m.start,
		Status:            "ready",
		Command:           r.client.Clean(plain.Quote(f.Command...)),
		LogPath:           plain.OrNil(f.LogPath),
		KVCacheSizeTokens: f.Report.KVCacheTokens,
		KVCacheBytes:      f.Report.KVCacheBytes,
		WeightsBytes:      f.Report.WeightsBytes,
		GraphBytes:        f.Report.GraphBytes,
		WeightsLoadS:      f.Report.WeightsS,
		CompileS:          f.Report.CompileS,
	}
	if f.PID != 0 {
		row.PID = new(int64(f.PID))
	}
	if why != nil {
		row.Status, row.Error = "failed", new(r.client.Clean(why.Error()))
	}
	return errors.Join(store.Add(ctx, r.rec, row), r.recordPhases(ctx))
}

// recordPhases records the phases of the server's start that have passed since the last call.
func (r *run) recordPhases(ctx context.Context) error {
	f := r.server.Facts()
	var rows []store.EnginePhase
	for _, p := range f.Phases[min(r.server.phases, len(f.Phases)):] {
		rows = append(rows, store.EnginePhase{RunID: r.id, StartID: r.server.start, Phase: p.Phase, TNs: p.At.Sub(r.job.Start).Nanoseconds()})
	}
	r.server.phases = len(f.Phases)
	return store.Add(ctx, r.rec, rows...)
}

// stopServer ends a managed server and records its last phases. It warns when the server's memory stays in use.
func (r *run) stopServer(ctx context.Context) error {
	r.env.ServerPID.Store(0)
	if !r.server.Stop(ctx) {
		r.warn(store.EventMemoryHeld, "server", "the server has ended, but its GPU memory is still in use; the next server may have less of it")
	}
	return r.recordPhases(context.WithoutCancel(ctx))
}

// restart starts a fresh server process for the next session, unless the present one has played none yet.
func (r *run) restart(ctx context.Context) error {
	if r.server.fresh {
		return nil
	}
	if err := r.stopServer(ctx); err != nil {
		return err
	}
	r.watch.Restart()
	r.cold()
	err := r.server.Start(ctx)
	if errors.Is(err, serve.ErrStopped) || (err != nil && ctx.Err() != nil) {
		return ErrInterrupted
	}
	if rerr := r.recordStart(context.WithoutCancel(ctx), err); err != nil || rerr != nil {
		return errors.Join(err, rerr)
	}
	return r.probeAgain(ctx)
}

// probeAgain probes a restarted server again. The run's engine row stays that of the first start.
func (r *run) probeAgain(ctx context.Context) error {
	r.client.Close()
	e, err := engine.Probe(ctx, r.client, r.engine.Model, nil)
	if err != nil {
		return err
	}
	e.Details = r.engine.Details
	r.engine = e
	r.env.ServerPID.Store(int32(r.server.Facts().PID))
	return nil
}

// settleIsolation sets the isolation that this server allows. told is a message about a change to line, and "" for none.
func (r *run) settleIsolation() (told string) {
	asked := r.job.Isolation
	switch {
	case asked != "" && asked != IsolationSalt:
		return ""
	case r.takesSalt():
		r.job.Isolation = IsolationSalt
		return ""
	}
	r.job.Isolation = IsolationLine
	return "this server takes no cache_salt: a line at the head of each session's prompts keeps sessions apart " +
		"(--isolation none leaves it out)"
}

// lineWords have four letters each, and are one token each in the vocabularies of common models, so all lines have the same length.
var lineWords = strings.Fields("time year life hand part case week work home room area fact book word side kind " +
	"head game line city name team body back face door road food love idea mind land")

// isolationLine gives the line that sets a session apart: twelve words that carry 60 bits of the run and the session.
// The first word moves on by one with each session. Were it drawn too, one pair of sessions in 32 would have it in common,
// and a server that caches by the token would find one token more at the second of them.
func isolationLine(run uuid.UUID, session int32) string {
	drawn := sha256.Sum256(fmt.Appendf(nil, "%s-%d", run, session))
	drawn[0] = run[len(run)-1] + byte(session)
	var line strings.Builder
	line.WriteString("Session name:")
	for _, b := range drawn[:12] {
		line.WriteString(" " + lineWords[int(b)%len(lineWords)])
	}
	return line.String()
}

// prepareIsolation checks that the isolation works on this server.
func (r *run) prepareIsolation(ctx context.Context) error {
	switch r.job.Isolation {
	case IsolationReset:
		if r.engine.PrefixCaching != nil && !*r.engine.PrefixCaching {
			return nil // there is nothing to reset
		}
		return r.proveReset(ctx)
	case IsolationRestart:
		if r.server.Process == nil {
			return errors.New("isolate sessions: only a server that wb started can be restarted")
		}
	}
	return nil
}

func (r *run) takesSalt() bool { return r.engine.Takes().CacheSalt }

// reset empties the server's prefix cache.
func (r *run) reset(ctx context.Context) error {
	err := r.engine.EmptyCache(ctx, r.client)
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// proveReset sends one prompt three times, with a reset before the third. The second must hit the cache and the third must not.
// A status of 200 proves nothing: up to vLLM 0.20 the server answers it even when nothing was reset.
func (r *run) proveReset(ctx context.Context) error {
	if err := r.reset(ctx); err != nil {
		return err
	}
	block := int64(128)
	if how := r.engine.CacheOf(); how != nil {
		block = int64(max(how.UnitTokens, how.AlignTokens))
	}
	text := fmt.Sprintf("Canary %s.%s Say yes.", r.id, strings.Repeat(" one two three", int(block)))
	req := client.Request{
		Model:     r.engine.Model,
		Messages:  []client.Message{{Role: "user", Content: text}},
		MaxTokens: 1,
		VLLM:      r.engine.Takes().VLLM,
	}
	send := func() (hits int64, known bool, err error) {
		before, _ := r.readCounters(ctx)
		re := r.client.Turn(ctx, req, r.job.Timeout)
		if re.Status == client.StatusInterrupted {
			return 0, false, ErrInterrupted
		}
		if re.Status != client.StatusOK {
			return 0, false, fmt.Errorf("prove that the prefix cache can be reset: %s: %s", re.Status, re.Err)
		}
		if re.CachedTokens != nil {
			return *re.CachedTokens, true, nil
		}
		after, ok := r.readCounters(ctx)
		return int64(after.Hits - before.Hits), ok && after.Queries > before.Queries, nil
	}
	var hits [3]int64
	for i := range hits {
		var known bool
		var err error
		if hits[i], known, err = send(); err != nil {
			return err
		}
		if !known {
			r.warn(store.EventResetUnproven, "run",
				"the server reports neither cached tokens nor cache counters, so wb cannot see whether a reset works")
			return nil
		}
		if i == 1 {
			if hits[1] == 0 {
				return nil // the server caches nothing, so there is nothing to reset
			}
			if err := r.reset(ctx); err != nil {
				return err
			}
		}
	}
	if hits[2] == 0 {
		proof := fmt.Sprintf("a prompt that hit %d cached tokens hit none after a reset of the prefix cache", hits[1])
		r.event(store.EventResetProved, "run", proof, nil)
	}
	if hits[2] > 0 {
		why := fmt.Sprintf("it was answered with success, but the cache still holds %d tokens of an earlier prompt", hits[2])
		return &engine.ResetError{Why: why}
	}
	return nil
}

// readCounters reads the server's counters without recording them; ok is false when they could not be read.
func (r *run) readCounters(ctx context.Context) (_ engine.Counters, ok bool) {
	if !r.engine.HasMetrics {
		return engine.Counters{}, false
	}
	s := engine.ReadMetrics(ctx, r.client, false)
	c, _ := r.engine.Counters(s)
	return c, s.Err == nil
}
