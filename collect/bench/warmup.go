package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wb/collect/client"
	"wb/data"
	"wb/store"
)

const (
	steadyWarmups = 3    // warm-ups in a row that must be steady
	steadyWithin  = 0.05 // how far a steady one may be from their median, as a ratio of it
	mostWarmups   = 10   // at most, when the server does not get steady
)

// warmUp sends first turns of conversations; they count in no report. A given number of warm-ups takes the conversations in turn.
// WarmupAuto sends the first turn of the first conversation until the server is steady.
// One request does not warm a server up: on an H200 the median TTFT of equal runs of one vLLM was 61, 43, 38, 41 and 32 ms.
func (r *player) warmUp(ctx context.Context, cs []*data.Conversation, v data.Placement) error {
	for i := range max(int(r.job.Warmup), 0) {
		if err := r.session(ctx, cs[i%len(cs)], v, 0, 1, 0); err != nil {
			return err
		}
	}
	if r.job.Warmup != WarmupAuto {
		return nil
	}
	var took []float64 // ms to the first token
	for len(took) < mostWarmups && !steady(took) {
		if err := r.session(ctx, cs[0], v, 0, 1, 0); err != nil {
			return err
		}
		re := r.last
		if re.Status != client.StatusOK || re.FirstNs == nil {
			r.event(store.EventWarmup, "run", fmt.Sprintf("a warm-up failed (%s), so no more are sent", re.Status), nil)
			return nil
		}
		took = append(took, float64(*re.FirstNs-re.SubmitNs)/1e6)
	}
	var texts []string
	for _, ms := range took {
		texts = append(texts, fmt.Sprintf("%.1f", ms))
	}
	found := fmt.Sprintf("TTFT of %d warm-ups: %s ms", len(took), strings.Join(texts, ", "))
	if !steady(took) {
		r.warn(store.EventNotSteady, "run", fmt.Sprintf("the server did not get steady: "+
			"no %d warm-ups in a row lie within %.0f %% of their median (%s)", steadyWarmups, 100*steadyWithin, found))
		return nil
	}
	r.event(store.EventWarmup, "run", "the server is steady; "+found, nil)
	r.watch.Say("the server is steady after " + strconv.Itoa(len(took)) + " warm-ups")
	return nil
}

// steady says whether the last steadyWarmups times lie close to their median.
func steady(took []float64) bool {
	if len(took) < steadyWarmups {
		return false
	}
	last := slices.Sorted(slices.Values(took[len(took)-steadyWarmups:]))
	median := last[steadyWarmups/2]
	return median-last[0] <= steadyWithin*median && last[steadyWarmups-1]-median <= steadyWithin*median
}
