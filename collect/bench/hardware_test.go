package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wb/collect/gpu"
	"wb/collect/gpu/gputest"
	"wb/collect/sim"
	"wb/collect/target"
	"wb/data"
	"wb/store"
)

// besideGPU plays one conversation for about two seconds while gpus are sampled.
func besideGPU(t *testing.T, gpus *gpu.GPUs) (*store.DB, *Result, time.Duration) {
	t.Helper()
	_, db, c, e, start := against(t, sim.Options{Pace: 50})
	p := Job{
		RunSpec: RunSpec{
			Load:      Load{Isolation: IsolationSalt},
			Prompting: Prompting{MaxTokens: 25, IgnoreEOS: true},
			Recording: Recording{SampleHz: 20},
		},
		Start:         start,
		Repeats:       1,
		OpenGPUs:      func() (*gpu.GPUs, error) { return gpus, nil },
		Conversations: []*data.Conversation{{ID: "a", Title: "a", Turns: []data.Turn{{User: "one"}, {User: "two"}, {User: "three"}}}},
	}
	res, err := Run(context.Background(), db, &target.Target{Client: c, Server: e}, p, Watch{})
	if err != nil {
		t.Fatal(err)
	}
	return db, res, time.Since(start)
}

// When a GPU is lost during a run, each sampler that notices makes one event. Missing readings are NULL, and the run ends well.
func TestGPULost(t *testing.T) {
	g := gputest.FakeGPU(false)
	d := gputest.Quiet(g)
	var lost atomic.Bool
	gone := func() nvml.Return {
		if lost.Load() {
			return nvml.ERROR_GPU_IS_LOST
		}
		return nvml.SUCCESS
	}
	var asked atomic.Int32
	d.GetPowerUsageFunc = func() (uint32, nvml.Return) {
		lost.Store(asked.Add(1) > 10) // after half a second
		return 412_500, gone()
	}
	energy := d.GetTotalEnergyConsumptionFunc
	d.GetTotalEnergyConsumptionFunc = func() (uint64, nvml.Return) { v, _ := energy(); return v, gone() }
	db, res, _ := besideGPU(t, g)
	if res.Status != "ok" || res.Turns != 3 || res.Failed != 0 {
		t.Errorf("%+v", res)
	}
	got := cell(t, db, `SELECT (SELECT count(*) FROM turns WHERE status = 'ok' AND completion_tokens = 25) || ' ' || (
		SELECT count(*) FILTER (WHERE power_w IS NOT NULL) || ' ' || (count(*) FILTER (WHERE power_w IS NULL) > 5)
		FROM raw.gpu_sample WHERE sample_group = 'fast')`)
	if got != "3 10 true" {
		t.Errorf("whole turns, samples with power, some without: %s", got)
	}
	got = cell(t, db, "SELECT string_agg(source || ': ' || message, '; ' ORDER BY source) FROM raw.event WHERE kind = 'sampler_failed'")
	if got != "gpu (fast): gpu 0: power: NVML error 15; gpu (slow): gpu 0: energy: NVML error 15" {
		t.Errorf("events: %s", got)
	}
}

// A sampler that hangs for five seconds delays no turn and no other sampler, and an event tells of it.
// A sampler that hangs for ever does not keep a run from ending.
func TestSamplerBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		for_ time.Duration
		kind string
	}{"5 s": {5 * time.Second, "sampler_slow"}, "for ever": {time.Hour, "sampler_stuck"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gputest.FakeGPU(false)
			d := gputest.Quiet(g)
			var asked atomic.Int32
			free := make(chan struct{})
			t.Cleanup(func() { close(free) })
			d.GetPowerUsageFunc = func() (uint32, nvml.Return) {
				if asked.Add(1) == 5 {
					select {
					case <-time.After(c.for_):
					case <-free:
					}
				}
				return 412_500, nvml.SUCCESS
			}
			db, res, took := besideGPU(t, g)
			if res.Status != "ok" || res.Turns != 3 || took > 20*time.Second {
				t.Errorf("%+v in %v", res, took)
			}
			// the server sends 50 tokens per second, and the sampler beside it delayed none
			if got := count(t, db, "SELECT max(gap_ms)::BIGINT FROM gaps JOIN measured_turns USING (run_id, turn_id)"); got > 1000 {
				t.Errorf("largest gap %d ms", got)
			}
			got := cell(t, db, `SELECT (SELECT count(*) FROM raw.host_sample) > 5
				AND (SELECT count(*) FROM raw.event WHERE kind = 'frozen') = 0
				AND (SELECT count(*) FROM raw.event WHERE kind = '`+c.kind+`') = 1`)
			if got != "true" {
				t.Errorf("events: %s", cell(t, db, "SELECT string_agg(kind || ' ' || source || ' ' || message, '; ') FROM raw.event"))
			}
		})
	}
}
